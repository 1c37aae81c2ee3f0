#include "base/log.h"

#include "ggml.h"
#include "llama.h"
#include "base/fork_locks.h"
#include "base/text.h"

#include <atomic>
#include <cstring>
#include <deque>
#include <mutex>

// From llama-common's log.h, which can't be included beside ours of the same name.
void common_log_set_verbosity_thold(int verbosity);

namespace luup {

namespace {

constexpr size_t max_records = 1000;
constexpr size_t max_line    = 4096;

struct Record {
    luup_log_level level;
    std::string    text;
};

struct Queue {
    std::mutex         mutex;
    std::deque<Record> records;
};

// Never destroyed: the engine thread may still log while the process exits.
Queue & queue() {
    static Queue * q = [] {
        Queue * made = new Queue();
        keep_over_fork(ForkLock::Log, made->mutex);
        return made;
    }();
    return *q;
}

// Made when the library is loaded, see keep_over_fork().
[[maybe_unused]] const Queue & made_at_load = queue();

std::atomic<int>          min_level{ LUUP_LOG_WARN };
thread_local LogCapture * capture         = nullptr;
thread_local bool         errors_expected = false;

luup_log_level level_of(ggml_log_level level) {
    switch (level) {
        case GGML_LOG_LEVEL_ERROR: return LUUP_LOG_ERROR;
        case GGML_LOG_LEVEL_WARN: return LUUP_LOG_WARN;
        case GGML_LOG_LEVEL_INFO: return LUUP_LOG_INFO;
        default: return LUUP_LOG_DEBUG;
    }
}

// llama.cpp logs a line in pieces; a piece of level CONT continues the previous one.
void on_log(ggml_log_level level, const char * text, void *) {
    thread_local std::string    line;
    thread_local luup_log_level line_level = LUUP_LOG_DEBUG;
    try {
        if (level != GGML_LOG_LEVEL_CONT) {
            line_level = errors_expected ? LUUP_LOG_DEBUG : level_of(level);
            line.clear();
        }
        if (line.size() < max_line) {
            line += text;
        }
        if (line.empty() || line.back() != '\n') {
            return;
        }
        while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) {
            line.pop_back();
        }
        if (!line.empty()) {
            if (capture && line_level == LUUP_LOG_ERROR) {
                capture->add(line);
            }
            log_write(line_level, line);
        }
        line.clear();
    } catch (...) {
        line.clear();
    }
}

}  // namespace

void log_install() {
    static std::once_flag once;
    std::call_once(once, [] {
        common_log_set_verbosity_thold(-1);
        llama_log_set(on_log, nullptr);
    });
}

void log_write(luup_log_level level, const std::string & text) noexcept {
    if (level < min_level.load(std::memory_order_relaxed)) {
        return;
    }
    try {
        Queue &                     q = queue();
        std::lock_guard<std::mutex> lock(q.mutex);
        if (q.records.size() >= max_records) {
            q.records.pop_front();
        }
        q.records.push_back({ level, text });
    } catch (...) {
        // Out of memory: drop the record.
    }
}

void log_expect_errors(bool expected) {
    errors_expected = expected;
}

LogCapture::LogCapture() : outer_(capture) {
    capture = this;
}

LogCapture::~LogCapture() {
    capture = outer_;
}

void LogCapture::add(const std::string & line) {
    if (text_.size() < max_line) {
        text_ += (text_.empty() ? "" : "; ") + line;
    }
}

}  // namespace luup

void luup_log_set_level(luup_log_level level) {
    luup::min_level.store(level, std::memory_order_relaxed);
}

bool luup_log_next(luup_log_level * level, char * text, size_t capacity) {
    luup::Queue &               q = luup::queue();
    std::lock_guard<std::mutex> lock(q.mutex);
    if (q.records.empty()) {
        return false;
    }
    const luup::Record & record = q.records.front();
    if (level) {
        *level = record.level;
    }
    if (text && capacity > 0) {
        const size_t length = luup::utf8_prefix(record.text, capacity - 1);
        std::memcpy(text, record.text.data(), length);
        text[length] = '\0';
    }
    q.records.pop_front();
    return true;
}
