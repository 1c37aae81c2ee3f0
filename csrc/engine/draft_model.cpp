#include "engine/draft_model.h"

#include "engine/completion.h"
#include "engine/logits.h"
#include "engine/token_prefix.h"

#include <algorithm>
#include <new>

namespace luup {

namespace {

// Tokens of a prompt that are read between two steps of the engine.
constexpr size_t read_chunk = 128;

// A shorter beginning is read again rather than copied from another text.
constexpr size_t worth_copying = 16;

// The weight of a new measurement in the moving average.
constexpr double reading_weight = 0.3;

}  // namespace

llama_context_params DraftModel::context_params(const llama_context_params & engine) {
    llama_context_params own = engine;
    own.n_outputs_max        = own.n_seq_max;
    own.type_k = own.type_v = GGML_TYPE_F16;
    return own;
}

DraftModel::DraftModel(llama_model * model, const llama_context_params & params, int32_t threads, int32_t threads_batch)
    : context_(model, params, threads, threads_batch),
      batch_(context_.batch_size()),
      n_vocab_(llama_vocab_n_tokens(llama_model_get_vocab(model))),
      memory_(llama_get_memory(context_.get())),
      sequences_(static_cast<size_t>(context_.max_sequences())) {}

// How many of the first tokens of `text` the sequence holds; the last one is always decoded again, for its logits.
size_t DraftModel::held(size_t sequence, const std::vector<llama_token> & text) const {
    return std::min(common_prefix(sequences_[sequence], text), text.size() - 1);
}

size_t DraftModel::unread(size_t sequence, const std::vector<llama_token> & text) const {
    return text.size() - 1 - held(sequence, text);
}

// Cuts the sequence to what it shares with the text, or begins with a copy of another one that shares more.
void DraftModel::start(size_t sequence, const std::vector<llama_token> & text) {
    std::vector<llama_token> & own    = sequences_[sequence];
    size_t                     length = held(sequence, text), donor = sequence;
    const bool                 copies = text.size() > length + worth_copying;
    for (size_t other = 0; copies && other < sequences_.size(); other++) {
        const size_t shared = other == sequence ? 0 : held(other, text);
        if (shared >= length + worth_copying) {
            length = shared;
            donor  = other;
        }
    }
    const auto id = static_cast<llama_seq_id>(sequence);
    if (donor != sequence) {
        llama_memory_seq_rm(memory_, id, -1, -1);
        llama_memory_seq_cp(memory_, static_cast<llama_seq_id>(donor), id, 0, static_cast<llama_pos>(length));
        own.assign(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(length));
    } else if (own.size() > length) {
        if (!llama_memory_seq_rm(memory_, id, static_cast<llama_pos>(length), -1)) {
            llama_memory_seq_rm(memory_, id, -1, -1);
            length = 0;
        }
        own.resize(length);
    }
}

// A decode failed, so the content of the context is unknown, or it has no room: all of it is removed.
void DraftModel::forget() {
    llama_memory_clear(memory_, false);
    for (auto & each : sequences_) {
        each.clear();
    }
}

bool DraftModel::decode() {
    try {
        const bool whole = llama_decode(context_.get(), batch_.get()) == 0;
        llama_synchronize(context_.get());
        if (whole) {
            return true;
        }
    } catch (const std::bad_alloc &) {
    }
    forget();
    return false;
}

bool DraftModel::read(size_t sequence, const std::vector<llama_token> & text) {
    start(sequence, text);
    std::vector<llama_token> & own = sequences_[sequence];
    const size_t n = std::min({ text.size() - 1 - own.size(), read_chunk, static_cast<size_t>(context_.batch_size()) });
    if (n > 0) {
        batch_.clear();
        for (size_t i = 0; i < n; i++) {
            batch_.add(text[own.size() + i], own.size() + i, static_cast<llama_seq_id>(sequence), i + 1 == n);
        }
        const auto begin = Clock::now();
        if (!decode()) {
            return false;
        }
        const double each = seconds(begin, Clock::now()) / static_cast<double>(n);
        if (n >= worth_copying) {
            read_seconds_ += (read_seconds_ == 0 ? 1 : reading_weight) * (each - read_seconds_);
        }
        const auto from = text.begin() + static_cast<std::ptrdiff_t>(own.size());
        own.insert(own.end(), from, from + static_cast<std::ptrdiff_t>(n));
    }
    return own.size() + 1 == text.size();
}

void DraftModel::draft(const std::vector<DraftRequest> & requests) {
    std::vector<DraftRequest> open = requests;
    std::vector<llama_token>  next;  // of each open one
    for (const DraftRequest & request : open) {
        request.draft->clear();
        start(request.sequence, *request.text);
        next.push_back(request.text->back());
    }
    while (!open.empty()) {
        batch_.clear();
        for (size_t i = 0; i < open.size(); i++) {
            batch_.add(next[i], sequences_[open[i].sequence].size(), static_cast<llama_seq_id>(open[i].sequence), true);
        }
        const auto begin = Clock::now();
        if (!decode()) {
            return;
        }
        times_.record(open.size(), seconds(begin, Clock::now()));
        size_t left = 0;
        for (size_t i = 0; i < open.size(); i++) {
            sequences_[open[i].sequence].push_back(next[i]);
            const float * row   = llama_get_logits_ith(context_.get(), static_cast<int32_t>(i));
            const auto    token = row ? argmax(row, n_vocab_) : LLAMA_TOKEN_NULL;
            if (token == LLAMA_TOKEN_NULL) {
                continue;
            }
            open[i].draft->push_back(token);
            if (open[i].draft->size() < open[i].limit) {
                next[left]   = token;
                open[left++] = open[i];
            }
        }
        open.resize(left);
        next.resize(left);
    }
}

}  // namespace luup
