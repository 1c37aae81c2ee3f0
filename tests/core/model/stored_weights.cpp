// Weights that are kept in a file: the same as those that are made, in every format, whatever happens to the file.
#include "check.h"
#include "base/mapped_files.h"
#include "device/backends.h"
#include "model/known_file.h"
#include "model/stored_weights.h"

#include "ggml-alloc.h"
#include "ggml-backend.h"
#include "ggml.h"

#if defined(__linux__)

#    include <sys/stat.h>
#    include <unistd.h>

#    include <cstring>
#    include <filesystem>
#    include <fstream>
#    include <memory>
#    include <random>
#    include <string>
#    include <vector>

using namespace luup;

namespace fs = std::filesystem;

namespace {

constexpr int64_t limit   = int64_t(1) << 30;
constexpr int64_t columns = 512, rows = 2048;

// A folder that is gone at the end of the case.
struct Folder {
    std::string path;

    Folder() {
        std::string name = (fs::temp_directory_path() / "luup-weights-XXXXXX").string();
        CHECK(mkdtemp(&name[0]));
        path = name;
    }

    ~Folder() {
        std::error_code ignored;
        fs::remove_all(path, ignored);
    }
};

ggml_backend_buffer_type_t interleaved_type() {
    const auto registration = ggml_backend_dev_backend_reg(cpu_device());
    const auto list         = reinterpret_cast<ggml_backend_dev_get_extra_bufts_t>(
        ggml_backend_reg_get_proc_address(registration, "ggml_backend_dev_get_extra_bufts"));
    for (auto * type = list ? list(cpu_device()) : nullptr; type && *type; type++) {
        if (std::strcmp(ggml_backend_buft_name(*type), "CPU_INTERLEAVED") == 0) {
            return *type;
        }
    }
    return nullptr;
}

// The sizes that a load reports, and the content of its buffer.
struct Loaded {
    StoredSizes sizes;
    bool        right = false;
    std::string bytes;
};

// Does what llama.cpp does with weights of these types: one buffer, and then the values of each tensor.
Loaded load(const WeightsCache & cache, const std::string & model, const std::vector<ggml_type> & types,
            int64_t its_rows = rows) {
    Loaded      result;
    MappedFiles watched({});
    const auto  context = std::unique_ptr<ggml_context, decltype(&ggml_free)>(
        ggml_init({ ggml_tensor_overhead() * 64, nullptr, true }), ggml_free);
    for (const ggml_type type : types) {
        ggml_set_name(ggml_new_tensor_2d(context.get(), type, columns, its_rows), ggml_type_name(type));
    }
    StoredWeights stored(cache, model, false, watched, [] { return false; });
    const auto    buffer = std::unique_ptr<ggml_backend_buffer, decltype(&ggml_backend_buffer_free)>(
        ggml_backend_alloc_ctx_tensors_from_buft(context.get(), interleaved_type()), ggml_backend_buffer_free);
    CHECK(buffer);
    std::mt19937 random(1);
    for (ggml_tensor * t = ggml_get_first_tensor(context.get()); t; t = ggml_get_next_tensor(context.get(), t)) {
        std::vector<uint32_t> values(ggml_nbytes(t) / 4 + 1);
        for (uint32_t & value : values) {
            value = static_cast<uint32_t>(random());
        }
        ggml_backend_tensor_set(t, values.data(), 0, ggml_nbytes(t));
    }
    stored.keep();
    result.sizes = stored.sizes();
    result.right = stored.is_right();
    result.bytes.assign(static_cast<const char *>(ggml_backend_buffer_get_base(buffer.get())),
                        ggml_backend_buffer_get_size(buffer.get()));
    return result;
}

const std::vector<ggml_type> & formats() {
    static const std::vector<ggml_type> all = { GGML_TYPE_Q4_0, GGML_TYPE_Q4_1, GGML_TYPE_Q5_0, GGML_TYPE_Q5_1,
                                                GGML_TYPE_Q8_0, GGML_TYPE_Q4_K, GGML_TYPE_Q5_K, GGML_TYPE_Q6_K };
    return all;
}

// The path of the only file with weights.
std::string weights_path(const Folder & folder) {
    for (const auto & entry : fs::directory_iterator(folder.path)) {
        if (entry.path().extension() == ".weights") {
            return entry.path().string();
        }
    }
    return "";
}

size_t count_files(const Folder & folder, const std::string & end) {
    size_t n = 0;
    for (const auto & entry : fs::directory_iterator(folder.path)) {
        n += entry.path().extension() == end;
    }
    return n;
}

void flip(const std::string & path, std::streamoff offset) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(offset, offset < 0 ? std::ios::end : std::ios::beg);
    const auto at   = file.tellg();
    const char byte = static_cast<char>(file.get() ^ 1);
    file.seekp(at);
    file.put(byte);
}

// Whether this machine's CPU variant has our kernels.
bool has_kernels() {
    load_backends();
    return interleaved_type() != nullptr;
}

}  // namespace

CASE(weights_from_a_file_are_those_that_were_made) {
    if (!has_kernels()) {
        return;
    }
    const Folder       folder;
    const WeightsCache none(nullptr, limit), cache(folder.path.c_str(), limit);
    const Loaded       plain = load(none, "model", formats());
    CHECK(plain.right && plain.sizes.memory == plain.bytes.size() && plain.sizes.found + plain.sizes.made == 0);
    const Loaded made = load(cache, "model", formats());
    CHECK(made.right && made.sizes.made == made.bytes.size() && made.bytes == plain.bytes);
    const Loaded found = load(cache, "model", formats());
    CHECK(found.right && found.sizes.found == found.bytes.size() && found.bytes == plain.bytes);
    // Another model, and one of another shape, have files of their own.
    CHECK(load(cache, "other", formats()).sizes.made > 0);
    CHECK(load(cache, "model", { GGML_TYPE_Q4_0, GGML_TYPE_Q4_1 }).sizes.made > 0);
    CHECK(count_files(folder, ".weights") == 3 && count_files(folder, ".part") == 0);
    struct stat info = {};
    CHECK(stat(weights_path(folder).c_str(), &info) == 0 && (info.st_mode & 0777) == 0600);
}

CASE(a_damaged_file_of_weights_is_made_again) {
    if (!has_kernels()) {
        return;
    }
    const Folder                             folder;
    const WeightsCache                       cache(folder.path.c_str(), limit);
    const std::vector<ggml_type>             types   = { GGML_TYPE_Q4_K, GGML_TYPE_Q6_K };
    const std::string                        bytes   = load(cache, "model", types).bytes;
    const std::string                        path    = weights_path(folder);
    const std::string                        other   = folder.path + "/other";
    const auto                               size    = fs::file_size(path);
    const std::vector<std::function<void()>> damages = {
        [&] { flip(path, 0); },
        [&] { flip(path, static_cast<std::streamoff>(bytes.size() / 2)); },
        [&] { flip(path, -1); },                                          // the footer's own checksum
        [&] { flip(path, -60); },                                         // the table
        [&] { fs::resize_file(path, size - 1); },
        [&] { fs::resize_file(path, size + 1); },
        [&] { fs::resize_file(path, 0); },
        [&] { chmod(path.c_str(), 0644); },                               // others may read it
        [&] { chmod(path.c_str(), 0620); },
        [&] {
            fs::rename(path, other);
            fs::create_symlink(other, path);
        },
        [&] {
            fs::remove(path);
            fs::create_symlink("/nowhere", path);
        },
        [&] {
            fs::remove(path);
            CHECK(mkfifo(path.c_str(), 0600) == 0);
        },
        [&] {
            fs::remove(path);
            fs::create_directory(path);
        },
    };
    for (const auto & damage : damages) {
        damage();
        const Loaded again = load(cache, "model", types);
        CHECK(again.right && again.sizes.made == bytes.size() && again.bytes == bytes);
        const Loaded next = load(cache, "model", types);
        CHECK(next.right && next.sizes.found == bytes.size() && next.bytes == bytes);
    }
    CHECK(fs::file_size(other) == size);  // what the link pointed to is as it was
    // A file of another user.
    if (geteuid() == 0) {
        CHECK(chown(path.c_str(), 1, 1) == 0);
        CHECK(load(cache, "model", types).sizes.made == bytes.size());
    }
}

CASE(a_file_with_the_tensors_of_another_model_is_not_used) {
    if (!has_kernels()) {
        return;
    }
    const Folder       folder;
    const WeightsCache cache(folder.path.c_str(), limit);
    // A file of the same size, in another order.
    CHECK(load(cache, "model", { GGML_TYPE_Q4_K, GGML_TYPE_Q6_K }).sizes.made > 0);
    const Loaded other = load(cache, "model", { GGML_TYPE_Q6_K, GGML_TYPE_Q4_K });
    CHECK(!other.right && count_files(folder, ".weights") == 0);
}

CASE(the_cache_of_weights_has_a_limit) {
    if (!has_kernels()) {
        return;
    }
    const Folder                 folder;
    const std::vector<ggml_type> types = { GGML_TYPE_Q8_0 };
    const auto                   size  = static_cast<int64_t>(load(WeightsCache(nullptr, 0), "a", types).bytes.size());
    const WeightsCache           cache(folder.path.c_str(), 2 * size + size / 2);
    for (const char * model : { "a", "b" }) {
        CHECK(load(cache, model, types).sizes.made > 0);
        usleep(20000);
    }
    CHECK(load(cache, "a", types).sizes.found > 0);
    CHECK(load(cache, "c", types).sizes.made > 0);
    CHECK(count_files(folder, ".weights") == 2 && count_files(folder, ".checked") == 2);
    CHECK(load(cache, "a", types).sizes.found > 0);
    CHECK(load(cache, "b", types).sizes.found == 0);  // the one that was not used for the longest time
    const WeightsCache small(folder.path.c_str(), size / 2);
    const Loaded       loaded = load(small, "d", types);
    CHECK(loaded.sizes.memory > 0 && loaded.sizes.made == 0);
}

CASE(what_a_killed_process_has_left_is_removed) {
    if (!has_kernels()) {
        return;
    }
    const Folder       folder;
    const WeightsCache cache(folder.path.c_str(), limit);
    std::ofstream(folder.path + "/.luup-1-1.part") << "half";
    CHECK(load(cache, "model", { GGML_TYPE_Q8_0 }).sizes.made > 0);
    CHECK(count_files(folder, ".part") == 0);
}

CASE(a_folder_that_others_may_write_to_keeps_nothing) {
    const Folder folder;
    CHECK(WeightsCache(folder.path.c_str(), limit));
    CHECK(chmod(folder.path.c_str(), 0770) == 0);
    CHECK(!WeightsCache(folder.path.c_str(), limit));
    CHECK(!WeightsCache("/proc/weights", limit));
    CHECK(!WeightsCache("", limit) && !WeightsCache(nullptr, limit));
}

CASE(facts_are_kept_while_a_file_is_the_same) {
    const Folder      folder, models;
    const OwnFolder   own(folder.path);
    const std::string path = models.path + "/model";
    std::ofstream(path) << std::string(2 << 20, 'x');
    {
        KnownFile known(&own, { path });
        known.put("color", "red");
        CHECK(!known.is_kept() && !known.get("color"));  // it was written this moment
    }
    sleep(3);
    {
        KnownFile known(&own, { path });
        CHECK(known.is_kept() && !known.get("color"));
        known.put("color", "red");
        known.put("content", "12 34");
    }
    {
        const KnownFile known(&own, { path });
        CHECK(known.get("color") == "red" && known.get("content") == "12 34" && known.is_unchanged());
        CHECK(!KnownFile(nullptr, { path }).is_kept());
    }
    for (const auto & entry : fs::directory_iterator(folder.path)) {
        flip(entry.path().string(), -3);
    }
    CHECK(!KnownFile(&own, { path }).get("color"));
    KnownFile known(&own, { path });
    known.put("color", "red");
    flip(path, 100);
    CHECK(!known.is_unchanged());
    known.put("color", "blue");  // of another content
    const KnownFile changed(&own, { path });
    CHECK(!changed.get("color"));
}

#endif
