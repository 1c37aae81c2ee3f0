// The decodes of pictures and sounds, between those of tokens.
#include "engine/engine.h"

#include "base/log.h"
#include "media/encoder.h"
#include "tokens/media_token.h"

#include <algorithm>
#include <new>

namespace luup {

namespace {

// While others decode, a picture is decoded by at most this many vectors a step, as the prompts of others are.
constexpr int32_t vectors_a_step = 128;

}  // namespace

// Decodes a part of the next picture or sound of one completion, if any is at one.
void Engine::step_media() {
    const auto at_media = [&](const std::unique_ptr<Active> & a) {
        return a->sequence && a->adapters() == applied_ && a->pending() > 0 &&
               is_media(a->tokens[a->sequence->tokens.size()]);
    };
    const auto found = std::find_if(active_.begin(), active_.end(), at_media);
    if (found == active_.end()) {
        return;
    }
    Active & active = **found;
    in_batch_.clear();
    try {
        MediaSpan &   span  = span_of(active);
        const auto    first = static_cast<int32_t>(active.sequence->tokens.size() - span.begin);
        const int32_t n     = vectors_of_step(active, span, first);
        if (!make_room(static_cast<size_t>(n))) {
            return;
        }
        const int rc = decode_media(active, span, first, n);
        log_expect_errors(false);
        totals_.batches++;
        check_weights();
        if (rc != 0) {
            roll_back_batch(true);
            fail_batch(rc);
            return;
        }
        totals_.batch_tokens += static_cast<uint64_t>(n);
        totals_.largest_batch = std::max(totals_.largest_batch, n);
    } catch (...) {
        const Failure failure = current_failure();
        roll_back_batch(true);
        if (failure.code == LUUP_ERROR_CANCELLED) {  // drop_ended() finds out for whom
            return;
        }
        if (active.sequence) {  // fail_batch() has not ended it
            end(active, LUUP_FINISH_NONE, failure);
        }
        erase_ended();
        return;
    }
    after_decode();
}

// Returns the chunk that a completion is at, with its vectors. They are computed here only if the context has lost them
// since the completion was made. Throws Error.
MediaSpan & Engine::span_of(Active & active) {
    Completion & completion = *active.completion;
    const size_t at         = active.sequence->tokens.size();
    const auto   span       = std::find_if(completion.media.begin(), completion.media.end(),
                                           [&](const MediaSpan & s) { return s.begin <= at && at < s.end(); });
    if (span == completion.media.end() || !encoder_) {
        fail(LUUP_ERROR_INTERNAL, "token %zu of a prompt belongs to a picture that is missing", at);
    }
    if (!span->vectors) {
        span->vectors =
            encoder_->vectors(span->file, span->chunk.index, [&] { return reason_to_end(completion).has_value(); });
    }
    return *span;
}

int32_t Engine::vectors_of_step(const Active & active, const MediaSpan & span, int32_t first) const {
    const int32_t left = span.chunk.tokens - first;
    if (!span.chunk.causal) {
        return left;  // the encoder's room checks that a batch takes them
    }
    const bool alone = std::all_of(active_.begin(), active_.end(),
                                   [&](const auto & a) { return a.get() == &active || !a->decoding(); });
    return std::min({ left, context_->batch_size(), alone ? left : vectors_a_step });
}

// Returns llama_decode()'s result.
int Engine::decode_media(Active & active, const MediaSpan & span, int32_t first, int32_t n) {
    if (!media_batch_) {
        media_batch_ = std::make_unique<MediaBatch>(context_->get());
    }
    active.batch = { n, -1, -1 };
    in_batch_.push_back(&active);
    const llama_pos position = sequences_->position(active.tokens, span.begin);
    context_->set_threads(many_tokens_threads_.count());
    abortable_ = true;
    int rc     = 0;
    try {
        rc = media_batch_->decode(span, first, n, position, active.sequence->id);
    } catch (const std::bad_alloc &) {
        rc = -2;  // as llama_decode() reports it
    } catch (...) {
        abortable_ = false;
        throw;
    }
    abortable_ = false;
    llama_synchronize(context_->get());
    decoded_ = Clock::now();
    return rc;
}

}  // namespace luup
