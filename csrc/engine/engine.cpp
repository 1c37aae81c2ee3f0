// The engine's thread: its loop, its tasks, and the end of completions.
#include "engine/engine.h"

#include "base/error.h"
#include "media/encoder.h"

#include <algorithm>
#include <future>
#include <system_error>

namespace luup {

namespace {

const Failure closed = { LUUP_ERROR_CLOSED, "the model was closed while the run was going on" };

// The times of `active` as its metrics.
void set_times(Metrics & metrics, const Active & active) {
    const auto & times     = active.times;
    const auto   submitted = active.completion->submitted;
    const auto   now       = Clock::now();
    metrics.total_seconds  = seconds(submitted, now);
    if (metrics.answer_tokens > 0) {
        metrics.prefill_seconds     = seconds(times.admitted, times.first_token);
        metrics.decode_seconds      = seconds(times.first_token, times.last_token);
        metrics.first_token_seconds = seconds(submitted, times.first_token);
    } else {
        metrics.prefill_seconds = seconds(times.admitted, now);
    }
}

llama_context_params with_abort(llama_context_params params, ggml_abort_callback callback, void * data) {
    params.abort_callback      = callback;
    params.abort_callback_data = data;
    return params;
}

}  // namespace

Engine::Engine(llama_model * model, const EngineParams & params)
    : vocab_(llama_model_get_vocab(model)),
      servers_(params.servers),
      files_(params.files),
      encoder_(params.encoder),
      adapters_(params.adapters ? params.adapters : std::make_shared<Adapters>(std::vector<Adapter>())),
      context_(std::make_unique<Context>(
          model,
          with_abort(
              params.context, [](void * self) { return static_cast<Engine *>(self)->should_abort(); }, this),
          params.threads, params.threads_batch)),
      batch_(std::make_unique<Batch>(context_->batch_size())),
      sequences_(std::make_unique<SequencePool>(context_->get(), context_->max_sequences(), params.cache_ram)),
      prefixes_(sequences_->keeps_states() ? params.prefixes : nullptr),
      few_tokens_threads_(params.threads, params.fixed_threads),
      many_tokens_threads_(params.threads_batch, params.fixed_threads),
      inbox_(params.max_waiting, context_->max_sequences()) {
    if (params.draft) {
        draft_model_ = std::make_unique<DraftModel>(params.draft, DraftModel::context_params(params.context),
                                                    params.threads, params.threads_batch);
    } else if (params.mtp) {
        try {
            mtp_heads_ = std::make_unique<MtpHeads>(model, context_->get(), MtpHeads::context_params(params.context),
                                                    params.threads, params.threads_batch);
        } catch (const Error & error) {  // the model works without them
            mtp_failure_ = error.what();
        }
    }
    context_size_   = context_->size();
    max_sequences_  = context_->max_sequences();
    keeps_prefixes_ = prefixes_ != nullptr || !sequences_->can_shorten();
    try {
        thread_ = std::thread(&Engine::run, this);
    } catch (const std::system_error & e) {
        fail(LUUP_ERROR_OUT_OF_MEMORY, "the thread of the model could not be started: %s", e.what());
    }
}

Engine::~Engine() {
    close();
}

void Engine::close() {
    std::lock_guard<std::mutex> lock(close_mutex_);
    if (thread_.joinable()) {
        inbox_.close();
        thread_.join();
        release_context();
    }
}

void Engine::release_context() {
    draft_model_.reset();
    mtp_heads_.reset();
    sequences_.reset();
    prefixes_.reset();
    media_batch_.reset();
    batch_.reset();
    context_.reset();
}

// ---------------------------------------------------------------------------------------------------------------------
// Tasks
// ---------------------------------------------------------------------------------------------------------------------

// Returns what `task` returns in the engine's thread, where it is called between two steps.
template <typename F> auto Engine::ask_thread(F task) -> decltype(task()) {
    std::packaged_task<decltype(task())()> packaged(std::move(task));
    if (!inbox_.post([&packaged] { packaged(); })) {
        throw Error(LUUP_ERROR_CLOSED, "the model is closed");
    }
    return packaged.get_future().get();
}

// Without memory, or without an engine that is open, the sequences stay until others need their room.
void Engine::disown(uint64_t owner) noexcept {
    try {
        (void) inbox_.post([this, owner] {
            computed_.erase(owner);
            sequences_->disown(owner);
        });
    } catch (const std::bad_alloc &) {
    }
}

std::optional<StoredSequence> Engine::snapshot(const SequenceKey & key, const std::vector<llama_token> & tokens) {
    return ask_thread([&] {
        auto sequence = sequences_->snapshot(key, tokens);
        return lost_weights().empty() ? std::move(sequence) : std::nullopt;
    });
}

std::optional<StoredSequence> Engine::last(const SequenceKey & key, size_t least, uint64_t most) {
    return ask_thread([&] {
        auto sequence = sequences_->last(key, least, most);
        return lost_weights().empty() ? std::move(sequence) : std::nullopt;
    });
}

bool Engine::adopt(StoredSequence sequence) {
    return ask_thread([&] { return sequences_->adopt(std::move(sequence)); });
}

size_t Engine::cached_tokens(const SequenceKey & key, const std::vector<llama_token> & tokens) {
    return ask_thread([&] { return sequences_->cached_tokens(key, tokens); });
}

void Engine::warmup() {
    const int rc = ask_thread([this] {
        // Any token will do; the sequence goes back empty. If all are active, the model needs no warm-up.
        llama_token token = llama_vocab_bos(vocab_);
        token             = token == LLAMA_TOKEN_NULL ? 0 : token;
        Sequence * s      = make_room(1) ? sequences_->acquire({}, { token }) : nullptr;
        int        rc     = 0;
        if (s) {
            batch_->clear();
            batch_->add(token, 0, s->id, true);
            rc = llama_decode(context_->get(), batch_->get());
            llama_synchronize(context_->get());
            check_weights();
            sequences_->rollback(*s);
            sequences_->release(*s);
        }
        return rc;
    });
    if (rc != 0) {
        fail(inbox_.closing() ? LUUP_ERROR_CLOSED : LUUP_ERROR_INFERENCE_FAILED,
             "the warm-up token could not be decoded (llama_decode: %d)", rc);
    }
}

// Returns the error if a part of the weights is lost: the connection to a server is lost, or a mapped file became
// shorter (zeros were read instead) or was overwritten. "" if all are there.
std::string Engine::lost_weights() const {
    const std::string server = servers_ ? servers_->lost() : "";
    if (!server.empty()) {
        return "the connection to the RPC server " + server +
               " is lost, and a part of the model with it: load the model again";
    }
    const std::string shortened = files_ ? files_->lost() : "";
    if (!shortened.empty()) {
        return "the model's file " + shortened +
               " can't be read any more: it was changed while it was in use, or its disk failed; load the model again "
               "(use_mmap=False makes it independent of the file)";
    }
    const std::string changed = files_ ? files_->changed() : "";
    if (!changed.empty()) {
        return "the model's file " + changed +
               " was changed while it was in use, so answers would be wrong: load the model again (use_mmap=False "
               "makes it independent of the file)";
    }
    return "";
}

// Throws if a part of the weights is lost. Call it after everything that uses the weights, and before the results are
// used.
void Engine::check_weights() const {
    const std::string lost = lost_weights();
    if (!lost.empty()) {
        throw Error(LUUP_ERROR_INFERENCE_FAILED, lost);
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// The loop
// ---------------------------------------------------------------------------------------------------------------------

void Engine::run() {
    while (take_in()) {
        try {
            run_tasks();
            drop_ended();
            admit();
            publish_stats();
            if (!active_.empty()) {
                step();
            }
        } catch (...) {
            end_all(current_failure());
        }
        publish_stats();
    }
    end_all(closed);
    run_tasks();
    publish_stats();
}

// Queues what was submitted; sleeps while there is nothing to do. False when the engine closes.
bool Engine::take_in() {
    const bool open = inbox_.wait(!active_.empty() || !waiting_.empty());
    while (const auto completion = inbox_.take_completion()) {
        Waiting arrived{ completion, nullptr };
        try {
            queue({ completion, nullptr }, false);
        } catch (...) {
            end_waiting(arrived, current_failure());
        }
    }
    return open;
}

// The exceptions of a task go to the thread that waits for it; other tasks may be left undone.
void Engine::run_tasks() {
    while (const Inbox::Task task = inbox_.take_task()) {
        try {
            task();
        } catch (const std::bad_alloc &) {
        }
    }
}

Engine::Ended Engine::reason_to_end(const Completion & completion) const {
    if (inbox_.closing()) {
        return closed;
    }
    if (completion.cancelled.load(std::memory_order_acquire)) {
        return Failure{ LUUP_ERROR_CANCELLED, "the run was cancelled" };
    }
    if (completion.deadline && Clock::now() >= *completion.deadline) {
        return Failure{ LUUP_ERROR_TIMED_OUT, "the run's timeout passed" };
    }
    return std::nullopt;
}

// Ends the completions, active or waiting, that were cancelled or whose deadline has passed.
void Engine::drop_ended() {
    seen_interrupts_ = inbox_.interrupts();
    for (auto & active : active_) {
        if (const auto reason = reason_to_end(*active->completion)) {
            end(*active, LUUP_FINISH_NONE, *reason);
        }
    }
    erase_ended();
    for (auto it = waiting_.begin(); it != waiting_.end();) {
        if (const auto reason = reason_to_end(*it->completion)) {
            end_waiting(*it, *reason);
            it = waiting_.erase(it);
        } else {
            ++it;
        }
    }
}

// Removes from active_ those that end() was called for.
void Engine::erase_ended() {
    active_.erase(std::remove_if(active_.begin(), active_.end(), [](const auto & a) { return a->sequence == nullptr; }),
                  active_.end());
}

// Keeps what an owner has computed, for the count of tokens that are computed again.
void Engine::remember(uint64_t owner, const std::vector<llama_token> & tokens) {
    try {
        computed_[owner] = tokens;
    } catch (const std::bad_alloc &) {
        computed_.erase(owner);
    }
}

// Parks the sequence and calls on_end(). The caller removes the completion from active_.
void Engine::end(Active & active, luup_finish_reason reason, const Failure & failure) {
    const Completion & completion = *active.completion;
    set_times(active.metrics, active);
    active.metrics.thought_tokens = std::min(completion.thought_tokens, active.metrics.answer_tokens);
    if (!active.draft.tokens.empty()) {
        sequences_->rollback(*active.sequence);
    }
    if (active.metrics.answer_tokens > 0) {
        draft_policy_.end(active.draft.of_model, static_cast<size_t>(active.metrics.answer_tokens));
    }
    if (completion.key.owner != 0) {
        remember(completion.key.owner, active.sequence->tokens);
    }
    if (failure.code == LUUP_ERROR_INFERENCE_FAILED || failure.code == LUUP_ERROR_INTERNAL) {
        sequences_->release(*active.sequence);
    } else {
        sequences_->park(*active.sequence);
    }
    active.sequence = nullptr;
    publish_stats();  // before on_end(): a thread that sees the end must see counts without this completion
    active.completion->on_end(reason, failure, active.metrics);
}

void Engine::end_waiting(Waiting & waiting, const Failure & failure) {
    Metrics metrics       = waiting.resumed ? waiting.resumed->metrics : Metrics{};
    metrics.prompt_tokens = static_cast<int32_t>(waiting.completion->prompt.size());
    metrics.total_seconds = seconds(waiting.completion->submitted, Clock::now());
    if (!waiting.resumed) {
        metrics.queue_seconds = metrics.total_seconds;
    }
    waiting.completion->on_end(LUUP_FINISH_NONE, failure, metrics);
}

void Engine::end_all(const Failure & failure) {
    std::vector<std::unique_ptr<Active>> active;
    active.swap(active_);
    in_batch_.clear();
    for (auto & a : active) {
        if (a->sequence) {
            end(*a, LUUP_FINISH_NONE, failure);
        }
    }
    while (!waiting_.empty()) {
        Waiting waiting = std::move(waiting_.front());
        waiting_.pop_front();
        end_waiting(waiting, failure);
    }
}

void Engine::publish_stats() {
    const auto on_sequence   = [](const auto & a) { return a->sequence != nullptr; };
    totals_.runs_active      = static_cast<int32_t>(std::count_if(active_.begin(), active_.end(), on_sequence));
    totals_.runs_waiting     = static_cast<int32_t>(waiting_.size());
    totals_.sequences_active = sequences_->count(true);
    totals_.sequences_parked = sequences_->count(false);
    totals_.context_used     = static_cast<int32_t>(sequences_->cells_used());
    totals_.evictions        = sequences_->evictions();
    totals_.restored         = sequences_->restored();
    totals_.sequences_in_ram = static_cast<int32_t>(sequences_->store().count());
    totals_.ram_used         = sequences_->store().bytes();
    totals_.media_encoded    = encoder_ ? encoder_->encoded() : 0;
    totals_.checkpoints      = static_cast<int32_t>(sequences_->checkpoints().count());
    totals_.checkpoint_bytes = sequences_->checkpoints().bytes();
    totals_.rewound          = sequences_->checkpoints().restored();
    inbox_.publish(totals_);
}

}  // namespace luup
