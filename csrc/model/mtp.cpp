#include "model/mtp.h"

#include "base/error.h"
#include "base/log.h"
#include "model/header_trial.h"
#include "model/load_params.h"
#include "model/weights.h"

#include "llama-ext.h"
#include "llama-model.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string_view>
#include <vector>

namespace luup {

namespace {

// Those with a graph of LLM_GRAPH_TYPE_DECODER_MTP that answered as without it in our tests. Of others llama.cpp would
// run the model itself as its head, or the graph is unfinished ("glm5-next"), or untried ("deepseek4").
constexpr std::array<std::string_view, 13> architectures = {
    "bailingmoe3", "cohere2moe",     "deepseek2", "deepseek32", "glm-dsa",   "glm4moe", "hy_v3",
    "mimo2",       "nemotron_h_moe", "qwen35",    "qwen35moe",  "qwen3next", "step35",
};

constexpr std::string_view no_heads = "none";

// Whether the file's header may have heads. The field is in the beginning of it, where the tokens are the largest part.
bool mentions_heads(const std::string & path) {
    constexpr std::string_view field = ".nextn_predict_layers";
    constexpr size_t           limit = size_t(32) << 20, part = size_t(1) << 20;
    std::ifstream              file(std::filesystem::u8path(path), std::ios::binary);
    std::vector<char>          text(part + field.size());
    size_t                     kept = 0;
    for (size_t done = 0; done < limit && file; done += part) {
        file.read(text.data() + kept, static_cast<std::streamsize>(part));
        const size_t size = kept + static_cast<size_t>(file.gcount());
        if (std::string_view(text.data(), size).find(field) != std::string_view::npos) {
            return true;
        }
        kept = std::min(size, field.size());
        std::copy(text.data() + size - kept, text.data() + size, text.data());
    }
    return false;
}

// Returns the reason of a trial without the folder that llama.cpp was built in.
std::string readable(std::string reason) {
    const size_t assertion = reason.find(": GGML_ASSERT");
    const size_t folder    = assertion == std::string::npos ? std::string::npos : reason.rfind('/', assertion);
    if (folder != std::string::npos) {
        reason.erase(0, folder + 1);
    }
    std::replace(reason.begin(), reason.end(), '\n', ' ');
    return reason;
}

// Makes the contexts of the model and of its heads, which builds their graphs. Throws std::runtime_error with the
// reason why that can't be.
void try_heads(const std::string & path) {
    LogCapture            log;
    const llama_model_ptr model = read_header(path, true);
    if (!model) {
        throw std::runtime_error("the heads can't be loaded: " + log.text());
    }
    if (llama_model_n_layer_nextn(model.get()) == 0 || model->hparams.router_layer >= 0) {
        throw std::runtime_error(std::string(no_heads));
    }
    const std::string architecture = metadata(model.get(), "general.architecture");
    if (!has_mtp_graph(architecture)) {
        throw std::runtime_error("heads of the architecture " + architecture + " are not supported");
    }
    llama_context_params c = smallest_context();
    c.n_rs_seq             = recurrent_states;
    const llama_context_ptr context(llama_init_from_model(model.get(), c));
    const bool              recurrent = llama_model_is_recurrent(model.get()) || llama_model_is_hybrid(model.get());
    if (context && recurrent && llama_n_rs_seq(context.get()) < recurrent_states) {
        throw std::runtime_error("the model has recurrent layers, whose state can't go back when a guess was wrong");
    }
    c          = smallest_context();
    c.ctx_type = LLAMA_CONTEXT_TYPE_MTP;
    const llama_context_ptr heads(context ? llama_init_from_model(model.get(), c) : nullptr);
    if (!heads) {
        throw std::runtime_error("the heads can't be used: " + log.text());
    }
}

}  // namespace

bool has_mtp_graph(const std::string & architecture) {
    return std::find(architectures.begin(), architectures.end(), architecture) != architectures.end();
}

std::string check_mtp(const std::string & path, KnownFile & known) {
    const std::string version = LUUP_VERSION " " LUUP_LLAMA_COMMIT ": ";
    const auto        earlier = known.get("mtp");
    if (earlier && earlier->compare(0, version.size(), version) == 0) {
        return earlier->substr(version.size());
    }
    TrialEnd    end    = TrialEnd::Passed;
    std::string result = std::string(no_heads);
    if (mentions_heads(path)) {
        const auto task = [&] { try_heads(path); };
        result          = try_in_child(task, header_limits, &end);
        if (end == TrialEnd::NotTried) {
            try {
                task();
            } catch (const std::runtime_error & e) {
                result = e.what();
            }
        }
    }
    result = result.empty() ? mtp_used : result == no_heads ? "" : readable(result);
    if (end != TrialEnd::Killed) {
        known.put("mtp", version + result);
    }
    return result;
}

}  // namespace luup
