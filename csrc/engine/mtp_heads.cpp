#include "engine/mtp_heads.h"

#include "engine/completion.h"
#include "engine/logits.h"
#include "engine/token_prefix.h"

#include "llama-ext.h"

#include <algorithm>
#include <exception>

namespace luup {

namespace {

// Pairs are read together from this many on: a decode of a few costs as much as one of many.
constexpr size_t worth_reading = 32;

// Fewer unread pairs are decoded with the guess itself.
constexpr size_t read_with_guess = 8;

// Fewer pairs are not copied from another sequence.
constexpr size_t least_copied = 16;

// Rows of logits beyond one for each sequence.
constexpr uint32_t more_outputs = 16;

}  // namespace

llama_context_params MtpHeads::context_params(const llama_context_params & engine) {
    llama_context_params own = engine;
    own.ctx_type             = LLAMA_CONTEXT_TYPE_MTP;
    own.n_outputs_max        = own.n_seq_max + more_outputs;
    own.n_rs_seq             = 0;
    own.abort_callback       = nullptr;
    own.abort_callback_data  = nullptr;
    own.type_k = own.type_v = GGML_TYPE_F16;
    return own;
}

MtpHeads::MtpHeads(llama_model * model, llama_context * engine, const llama_context_params & params, int32_t threads,
                   int32_t threads_batch)
    : engine_(engine),
      context_(model, params, threads, threads_batch),
      batch_(context_.batch_size()),
      width_(static_cast<size_t>(llama_model_n_embd_out(model))),
      n_vocab_(llama_vocab_n_tokens(llama_model_get_vocab(model))),
      memory_(llama_get_memory(context_.get())),
      known_(static_cast<size_t>(context_.max_sequences())) {
    llama_set_embeddings_nextn(context_.get(), true, true);
}

MemoryUse MtpHeads::memory() const {
    MemoryUse use = context_.memory();
    use.weights   = 0;
    return use;
}

void MtpHeads::look(bool rows) {
    if (rows != looks_) {
        llama_set_embeddings_nextn(engine_, rows, false);
        looks_ = rows;
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// The known part of each sequence
// ---------------------------------------------------------------------------------------------------------------------

void MtpHeads::clear(size_t sequence) {
    llama_memory_seq_rm(memory_, static_cast<llama_seq_id>(sequence), -1, -1);
    known_[sequence] = {};
}

// A decode failed, so the content of the context is unknown.
void MtpHeads::forget() {
    llama_memory_clear(memory_, false);
    for (Known & known : known_) {
        known = {};
    }
}

// Forgets what lies behind the first `length` tokens of a sequence.
void MtpHeads::cut(size_t sequence, size_t length) {
    Known & known = known_[sequence];
    if (known.read > length) {
        if (length < known.first || !llama_memory_seq_rm(memory_, static_cast<llama_seq_id>(sequence),
                                                         static_cast<llama_pos>(length) + known.offset, -1)) {
            clear(sequence);
            return;
        }
        known.read = length;
    }
    known.rows_end = std::min(known.rows_end, length);
    if (known.rows_begin >= known.rows_end) {
        known.rows.clear();
    } else if (!known.rows.empty()) {
        known.rows.resize((known.rows_end - known.rows_begin) * width_);
    }
    known.text.resize(std::min(known.text.size(), length));
}

// Begins with the decoded tokens, or with a copy of the sequence that knows the most before them.
void MtpHeads::begin(size_t sequence, const Decoded & decoded) {
    const auto & text   = *decoded.text;
    const auto   offset = static_cast<llama_pos>(decoded.position - static_cast<llama_pos>(decoded.begin));
    size_t       donor = sequence, most = least_copied - 1;
    clear(sequence);
    for (size_t other = 0; other < known_.size(); other++) {
        const Known & known = known_[other];
        const bool    fits  = other != sequence && known.offset == offset && known.read >= decoded.begin &&
                              known.first + most < decoded.begin && common_prefix(known.text, text) >= decoded.begin;
        if (fits) {
            donor = other;
            most  = decoded.begin - known.first;
        }
    }
    Known & known  = known_[sequence];
    known.offset   = offset;
    known.rows_end = decoded.begin;
    known.text.assign(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(decoded.begin));
    if (donor != sequence) {
        known.first = known_[donor].first;
        known.read  = decoded.begin;
        llama_memory_seq_cp(memory_, static_cast<llama_seq_id>(donor), static_cast<llama_seq_id>(sequence),
                            static_cast<llama_pos>(known.first) + offset, static_cast<llama_pos>(known.read) + offset);
    } else {
        known.first = known.read = decoded.begin + 1;
    }
}

void MtpHeads::keep(const Decoded & decoded) {
    try {
        const auto & text = *decoded.text;
        const size_t at = decoded.begin, end = at + decoded.n;
        Known &      known = known_[decoded.sequence];
        const size_t same  = common_prefix(known.text, text);
        if (same < known.text.size()) {
            cut(decoded.sequence, same);
        }
        const bool misses_rows = known.read < at && (known.rows.empty() || known.rows_begin + 1 > known.read);
        if (known.read == 0 || known.rows_end < at || misses_rows ||
            decoded.position != static_cast<llama_pos>(at) + known.offset) {
            begin(decoded.sequence, decoded);
        }
        if (known.rows_begin > at || (known.read <= at && known.rows_begin + 1 > known.read)) {
            known.rows.clear();
        }
        if (known.rows.empty()) {
            // The row between an earlier text and this one is gone: zeros stand for it.
            known.rows_begin = known.read == at ? at - 1 : at;
        }
        known.rows.resize((at - known.rows_begin) * width_);
        for (size_t i = 0; i < decoded.n; i++) {
            const float * row = llama_get_embeddings_nextn_ith(engine_, decoded.row + static_cast<int32_t>(i));
            if (!row) {
                clear(decoded.sequence);
                return;
            }
            known.rows.insert(known.rows.end(), row, row + width_);
        }
        known.rows_end = end;
        known.text.assign(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(std::max(end, known.read)));
    } catch (const std::exception &) {  // no memory: it only saves time
        forget();
    }
}

// Drops the rows that no pair needs any more, but for the last one.
void MtpHeads::trim(Known & known) {
    const size_t needed = std::min(known.read, known.rows_end) - 1;
    if (known.rows_begin < needed && !known.rows.empty()) {
        const size_t numbers = (needed - known.rows_begin) * width_;
        known.rows           = { known.rows.begin() + static_cast<std::ptrdiff_t>(numbers), known.rows.end() };
        known.rows_begin     = needed;
    }
}

bool MtpHeads::knows(size_t sequence, const std::vector<llama_token> & text) const {
    const Known & known = known_[sequence];
    return !known.rows.empty() && known.rows_end + 1 == text.size() &&
           common_prefix(known.text, text) == known.text.size();
}

// ---------------------------------------------------------------------------------------------------------------------
// Decodes
// ---------------------------------------------------------------------------------------------------------------------

void MtpHeads::add(size_t sequence, llama_token token, size_t index, const float * row, bool output) {
    batch_.add(token, static_cast<llama_pos>(index) + known_[sequence].offset, static_cast<llama_seq_id>(sequence),
               output);
    inputs_.insert(inputs_.end(), row, row + width_);
}

// Clears the sequences that are not in the batch.
void MtpHeads::drop_others() {
    const llama_batch & batch = batch_.get();
    for (size_t sequence = 0; sequence < known_.size(); sequence++) {
        const auto is_of = [&](llama_seq_id * id) { return static_cast<size_t>(*id) == sequence; };
        if (std::none_of(batch.seq_id, batch.seq_id + batch.n_tokens, is_of)) {
            clear(sequence);
        }
    }
}

// Decodes the batch, and empties it. False if that failed; then nothing is known any more.
bool MtpHeads::decode() {
    llama_batch batch = batch_.get();
    batch.embd        = inputs_.data();
    const auto begin  = Clock::now();
    bool       whole  = false;
    try {
        int rc = llama_decode(context_.get(), batch);
        if (rc == 1) {  // no room: other sequences leave
            drop_others();
            rc = llama_decode(context_.get(), batch);
        }
        llama_synchronize(context_.get());
        whole = rc == 0;
    } catch (const std::exception &) {  // guesses are not worth an error
    }
    if (!whole) {
        forget();
    } else if (batch_.outputs() == batch_.size()) {
        times_.record(static_cast<size_t>(batch_.size()), seconds(begin, Clock::now()));
    }
    batch_.clear();
    inputs_.clear();
    return whole;
}

// Reads all pairs of a sequence.
bool MtpHeads::flush(size_t sequence) {
    Known & known = known_[sequence];
    while (known.unread() > 0) {
        const size_t n = std::min(known.unread(), static_cast<size_t>(context_.batch_size()));
        for (size_t i = known.read; i < known.read + n; i++) {
            add(sequence, known.text[i], i, known.rows.data() + (i - 1 - known.rows_begin) * width_, false);
        }
        if (!decode()) {
            return false;
        }
        known.read += n;
    }
    trim(known);
    return true;
}

void MtpHeads::read() {
    try {
        for (size_t sequence = 0; sequence < known_.size(); sequence++) {
            if (known_[sequence].unread() >= worth_reading && !flush(sequence)) {
                return;
            }
        }
    } catch (const std::exception &) {
        forget();
    }
}

void MtpHeads::draft(const std::vector<DraftRequest> & requests) {
    struct Open {
        DraftRequest request;
        int32_t      row;    // of the batch
        size_t       index;  // of its last token
    };
    std::vector<Open> open;
    for (const DraftRequest & request : requests) {
        request.draft->clear();
    }
    const auto limit = static_cast<size_t>(std::min(context_.batch_size(), context_.max_outputs()));
    size_t     rows  = requests.size();
    for (const DraftRequest & request : requests) {
        Known & known = known_[request.sequence];
        if (known.read > known.rows_end) {  // a guess that the engine did not check
            cut(request.sequence, known.rows_end);
        }
        const size_t unread = known.unread();
        if ((unread > read_with_guess || rows + unread > limit) && unread > 0 && !flush(request.sequence)) {
            return;
        }
        rows += known.unread();
    }
    for (const DraftRequest & request : requests) {
        Known & known = known_[request.sequence];
        if (!knows(request.sequence, *request.text) || open.size() >= limit) {
            continue;
        }
        // All are outputs: llama.cpp finds the rows of some of a batch in the wrong place with some models.
        for (size_t i = known.read; i <= known.rows_end; i++) {
            add(request.sequence, (*request.text)[i], i, known.rows.data() + (i - 1 - known.rows_begin) * width_, true);
        }
        open.push_back({ request, batch_.size() - 1, known.rows_end });
    }
    const std::vector<Open> begun = open;
    for (bool first = true; !open.empty(); first = false) {
        if (!decode()) {
            return;
        }
        for (const Open & each : first ? begun : std::vector<Open>()) {
            Known & known = known_[each.request.sequence];
            known.read    = known.rows_end + 1;
            known.text.resize(known.rows_end);
            known.text.push_back(each.request.text->back());
            trim(known);
        }
        size_t left = 0;
        for (Open each : open) {
            const float * logits = llama_get_logits_ith(context_.get(), each.row);
            const float * row    = llama_get_embeddings_nextn_ith(context_.get(), each.row);
            const auto    token  = logits ? argmax(logits, n_vocab_) : LLAMA_TOKEN_NULL;
            if (token == LLAMA_TOKEN_NULL) {
                continue;
            }
            each.request.draft->push_back(token);
            if (row && each.request.draft->size() < each.request.limit) {
                add(each.request.sequence, token, ++each.index, row, true);
                each.row     = batch_.size() - 1;
                open[left++] = each;
            }
        }
        open.resize(left);
    }
    for (const Open & each : begun) {  // the pairs of guesses have guessed rows
        const Known & known = known_[each.request.sequence];
        llama_memory_seq_rm(memory_, static_cast<llama_seq_id>(each.request.sequence),
                            static_cast<llama_pos>(known.read) + known.offset, -1);
    }
}

}  // namespace luup
