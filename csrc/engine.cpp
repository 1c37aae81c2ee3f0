#include "engine.h"

#include "backends.h"
#include "log.h"

#include "ggml-cpu.h"
#include "llama-ext.h"
#include "llama-model.h"

#include <algorithm>
#include <future>

namespace luup {

namespace {

// A prefix that another completion is computing right now is worth waiting for from this many tokens on.
constexpr size_t prefix_worth_waiting = 16;

// A prefix is read from the disk if that brings so many tokens.
constexpr size_t prefix_worth_loading = 64;

// Tokens left free for each active completion when another one is admitted.
constexpr size_t room_to_grow = 32;

// How long ggml's threads spin after a decode before they sleep, in units of 131,072 pauses, some 2 to 6 ms each: longer than it takes to choose a token.
// ggml's own 50 would keep the processors busy for a quarter of a second of a tool's time, or of Python's.
constexpr uint32_t idle_polling = 1;

double seconds(Clock::time_point from, Clock::time_point to) {
    return std::chrono::duration<double>(to - from).count();
}

// ggml's thread pools belong to the CPU backend, which is loaded at run time.
template <typename F>
F cpu_function(const char * name) {
    return reinterpret_cast<F>(ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(cpu_device()), name));
}

ggml_threadpool * new_threadpool(int32_t threads) {
    const auto create = cpu_function<decltype(&ggml_threadpool_new)>("ggml_threadpool_new");
    auto       params = ggml_threadpool_params_default(threads);
    params.poll       = idle_polling;
    return create ? create(&params) : nullptr;
}

void free_threadpool(ggml_threadpool * pool) {
    const auto destroy = cpu_function<decltype(&ggml_threadpool_free)>("ggml_threadpool_free");
    if (pool && destroy) {
        destroy(pool);
    }
}

}  // namespace

Engine::Engine(llama_model * model, const EngineParams & params) : model_(model), servers_(params.servers), vocab_(llama_model_get_vocab(model)) {
    llama_context_params p = params.context;
    p.abort_callback       = [](void * self) { return static_cast<Engine *>(self)->should_abort(); };
    p.abort_callback_data  = this;
    LogCapture log;
    context_ = llama_init_from_model(model, p);
    if (!context_) {
        fail(LUUP_ERROR_OUT_OF_MEMORY, "a context of %u tokens could not be made: %s", p.n_ctx,
             log.text().empty() ? "not enough memory" : log.text().c_str());
    }
    try {
        n_ctx_         = static_cast<int32_t>(llama_n_ctx(context_));
        n_batch_       = static_cast<int32_t>(std::min(llama_n_batch(context_), llama_n_ubatch(context_)));
        max_waiting_   = params.max_waiting;
        n_seq_max_     = static_cast<int32_t>(llama_n_seq_max(context_));
        n_outputs_max_ = static_cast<int32_t>(p.n_outputs_max);
        pool_decode_   = new_threadpool(params.threads);
        if (params.threads_batch != params.threads) {
            pool_prefill_ = new_threadpool(params.threads_batch);
        }
        llama_attach_threadpool(context_, pool_decode_, pool_prefill_ ? pool_prefill_ : pool_decode_);
        batch_     = llama_batch_init(n_batch_, 0, 1);
        sequences_ = std::make_unique<SequencePool>(context_, n_seq_max_, params.cache_ram);
        prefixes_  = sequences_->keeps_states() ? params.prefixes : nullptr;
        thread_    = std::thread(&Engine::run, this);
    } catch (...) {
        release_context();
        throw;
    }
}

Engine::~Engine() {
    close();
}

void Engine::release_context() {
    sequences_.reset();
    prefixes_.reset();
    if (batch_.token) {
        llama_batch_free(batch_);
        batch_ = {};
    }
    llama_free(context_);
    free_threadpool(pool_prefill_);
    free_threadpool(pool_decode_);
    context_      = nullptr;
    pool_prefill_ = pool_decode_ = nullptr;
}

void Engine::submit(std::shared_ptr<Completion> completion) {
    {
        std::lock_guard<std::mutex> lock(mutex_);
        if (closed_ || closing_) {
            throw Error(LUUP_ERROR_CLOSED, "the model is closed");
        }
        if (max_waiting_ >= 0 && !completion->admitted) {
            check_queue();
        }
        inbox_.push_back(std::move(completion));
        stats_.runs_waiting++;
    }
    wakeup_.notify_one();
}

// mutex_ is held. What is in the inbox waits only if nothing is free for it.
void Engine::check_queue() const {
    const auto    arriving = static_cast<int32_t>(inbox_.size());
    const int32_t stuck    = stats_.runs_waiting - arriving;
    const int32_t free     = stuck > 0 ? 0 : n_seq_max_ - stats_.runs_active;
    if (stuck + arriving - free >= max_waiting_) {
        fail(LUUP_ERROR_BUSY, "the model is busy: %d runs are active and %d wait already (max_waiting)", stats_.runs_active, stats_.runs_waiting);
    }
}

void Engine::interrupt() {
    {
        std::lock_guard<std::mutex> lock(mutex_);
        interrupts_.fetch_add(1, std::memory_order_release);
    }
    wakeup_.notify_one();
}

void Engine::disown(uint64_t owner) {
    {
        std::lock_guard<std::mutex> lock(mutex_);
        if (closed_ || closing_) {
            return;
        }
        tasks_.push_back([this, owner] {
            computed_.erase(owner);
            sequences_->disown(owner);
        });
    }
    wakeup_.notify_one();
}

// What `task` gives in the engine's thread, where it is called between two steps.
template <typename F>
auto Engine::ask_thread(F task) -> decltype(task()) {
    std::packaged_task<decltype(task())()> packaged(std::move(task));
    {
        std::lock_guard<std::mutex> lock(mutex_);
        if (closed_ || closing_) {
            throw Error(LUUP_ERROR_CLOSED, "the model is closed");
        }
        tasks_.push_back([&packaged] { packaged(); });
    }
    wakeup_.notify_one();
    return packaged.get_future().get();
}

std::optional<StoredSequence> Engine::snapshot(uint64_t owner, const std::vector<llama_token> & tokens) {
    return ask_thread([&] {
        auto sequence = sequences_->snapshot(owner, tokens);
        return servers_ && !servers_->lost().empty() ? std::nullopt : std::move(sequence);
    });
}

bool Engine::adopt(StoredSequence sequence) {
    return ask_thread([&] { return sequences_->adopt(std::move(sequence)); });
}

// After all that asks the model's devices for something, and before that is used.
void Engine::check_servers() {
    const std::string lost = servers_ ? servers_->lost() : "";
    if (!lost.empty()) {
        fail(LUUP_ERROR_INFERENCE_FAILED, "the RPC server %s has gone away, and with it a part of the model: load the model again", lost.c_str());
    }
}

void Engine::warmup() {
    const int rc = ask_thread([this] {
        // Any token will do; the sequence goes back empty. If all are active, the model is warm already.
        llama_token token = llama_vocab_bos(vocab_);
        token             = token == LLAMA_TOKEN_NULL ? 0 : token;
        Sequence * s      = make_room(1) ? sequences_->acquire(0, { token }) : nullptr;
        int        rc     = 0;
        if (s) {
            batch_.n_tokens     = 1;
            batch_.token[0]     = token;
            batch_.pos[0]       = 0;
            batch_.n_seq_id[0]  = 1;
            batch_.seq_id[0][0] = s->id;
            batch_.logits[0]    = 1;
            rc                  = llama_decode(context_, batch_);
            llama_synchronize(context_);
            check_servers();
            sequences_->rollback(*s);
            sequences_->release(*s);
        }
        return rc;
    });
    if (rc != 0) {
        fail(closing_ ? LUUP_ERROR_CLOSED : LUUP_ERROR_INFERENCE_FAILED, "the warm-up token could not be decoded (llama_decode: %d)", rc);
    }
}

void Engine::close() {
    std::lock_guard<std::mutex> close_lock(close_mutex_);
    if (!thread_.joinable()) {
        return;
    }
    {
        std::lock_guard<std::mutex> lock(mutex_);
        closing_ = true;
        interrupts_.fetch_add(1, std::memory_order_release);
    }
    wakeup_.notify_one();
    thread_.join();
    release_context();
}

MemoryUse Engine::memory() const {
    MemoryUse use;
    for (const auto & [type, part] : llama_get_memory_breakdown(context_)) {
        use.context += part.context;
        use.compute += part.compute;
        if (!ggml_backend_buft_is_host(type)) {
            use.weights += part.model;
        }
    }
    // A mapped file counts as a whole there, also where most of its weights were laid out anew for the CPU's kernels.
    for (const auto & [name, tensor] : llama_internal_get_tensor_map(model_)) {
        if (ggml_backend_buffer_is_host(tensor->buffer)) {
            use.weights += ggml_nbytes(tensor);
        }
    }
    return use;
}

luup_model_stats Engine::stats() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return stats_;
}

// ---------------------------------------------------------------------------------------------------------------------
// The thread; what one decode does is in engine_step.cpp
// ---------------------------------------------------------------------------------------------------------------------

void Engine::run() {
    while (wait_for_work()) {
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
    end_all({ LUUP_ERROR_CLOSED, "the model was closed while the run was going on" });
    run_tasks();
    publish_stats();
}

// Takes in what was submitted; sleeps while there is nothing to do. False when the engine closes.
bool Engine::wait_for_work() {
    std::unique_lock<std::mutex> lock(mutex_);
    wakeup_.wait(lock, [&] { return closing_ || !inbox_.empty() || !tasks_.empty() || !active_.empty() || !waiting_.empty(); });
    for (auto & completion : inbox_) {
        queue({ std::move(completion), nullptr }, false);
    }
    inbox_.clear();
    closed_ = closing_;
    return !closing_;
}

// Before those of a lower priority; `first`: before those of its own, too.
void Engine::queue(Waiting waiting, bool first) {
    const int32_t priority = waiting.completion->priority;
    const auto    behind   = [&](const Waiting & w) { return w.completion->priority < priority || (first && w.completion->priority == priority); };
    waiting_.insert(std::find_if(waiting_.begin(), waiting_.end(), behind), std::move(waiting));
}

void Engine::run_tasks() {
    for (;;) {
        std::function<void()> task;
        {
            std::lock_guard<std::mutex> lock(mutex_);
            if (tasks_.empty()) {
                return;
            }
            task = std::move(tasks_.front());
            tasks_.pop_front();
        }
        task();
    }
}

std::optional<Failure> Engine::reason_to_end(const Completion & completion) const {
    if (closing_) {
        return Failure{ LUUP_ERROR_CLOSED, "the model was closed while the run was going on" };
    }
    if (completion.cancelled.load(std::memory_order_acquire)) {
        return Failure{ LUUP_ERROR_CANCELLED, "the run was cancelled" };
    }
    if (completion.deadline && Clock::now() >= *completion.deadline) {
        return Failure{ LUUP_ERROR_TIMED_OUT, "the run's timeout passed" };
    }
    return std::nullopt;
}

// Ends what was cancelled or is too late, active or waiting.
void Engine::drop_ended() {
    seen_interrupts_ = interrupts_.load(std::memory_order_acquire);
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

// Takes those out of active_ that end() was called for.
void Engine::erase_ended() {
    active_.erase(std::remove_if(active_.begin(), active_.end(), [](const auto & a) { return a->sequence == nullptr; }), active_.end());
}

// Gives sequences to waiting completions, first come first served within a priority; only those that wait for a shared prefix let others pass.
void Engine::admit() {
    for (auto it = waiting_.begin(); it != waiting_.end();) {
        const auto & tokens = it->resumed ? it->resumed->tokens : it->completion->prompt;
        if (must_wait_for_prefix(*it, tokens)) {
            ++it;
            continue;
        }
        if (!has_room(it->completion->owner, tokens) || !admit_one(*it)) {
            return;
        }
        it = waiting_.erase(it);
    }
}

bool Engine::admit_one(Waiting & waiting) {
    Completion &            completion = *waiting.completion;
    std::unique_ptr<Active> fresh;
    if (!waiting.resumed) {
        fresh             = std::make_unique<Active>(completion.sampling, llama_vocab_n_tokens(vocab_));
        fresh->completion = waiting.completion;
        fresh->tokens     = completion.prompt;
        for (llama_token token : completion.prompt) {
            fresh->sampler.accept(token);
        }
    }
    std::unique_ptr<Active> & active   = waiting.resumed ? waiting.resumed : fresh;
    const auto                earlier  = computed_.find(completion.owner);
    const size_t              before   = fresh ? earlier == computed_.end() ? 0 : common_prefix(earlier->second, active->tokens) : active->computed;
    Sequence *                sequence = sequences_->acquire(completion.owner, active->tokens);
    if (!sequence) {
        return false;
    }
    if (completion.score_from > 0) {
        sequences_->shorten(*sequence, completion.score_from - 1);
    }
    load_prefix(*active, *sequence);
    if (fresh) {
        active->admitted              = Clock::now();
        active->metrics.queue_seconds = seconds(completion.submitted, active->admitted);
        active->metrics.prompt_tokens = static_cast<int32_t>(completion.prompt.size());
        active->metrics.cached_tokens = static_cast<int32_t>(sequence->tokens.size());
        totals_.tokens_cached += sequence->tokens.size();
    }
    const size_t again = std::min(before, active->tokens.size() - 1);  // the last token is decoded for its logits
    active->metrics.recomputed_tokens += static_cast<int32_t>(again - std::min(again, sequence->tokens.size()));
    active->sequence = sequence;
    active->order    = ++admissions_;
    const auto lower = [&](const auto & a) { return a->completion->priority < completion.priority; };
    active_.insert(std::find_if(active_.begin(), active_.end(), lower), std::move(active));
    return true;
}

// Gets what the sequence lacks of the completion's prefix from the disk; if it is not there, it is kept when it has been computed.
void Engine::load_prefix(Active & active, Sequence & sequence) {
    const size_t length = active.completion->prefix;
    active.keep         = 0;
    if (!keeps_prefixes() || length <= sequence.tokens.size() + prefix_worth_loading) {
        return;
    }
    std::optional<StoredSequence> stored;
    if (prefixes_) {
        stored = prefixes_->find({ active.tokens.begin(), active.tokens.begin() + static_cast<std::ptrdiff_t>(length) });
    }
    if (!stored) {
        active.keep = length;
    } else if (sequences_->load(sequence, *stored)) {
        totals_.prefixes_loaded++;
    }
}

void Engine::keep_prefix(Active & active) {
    active.keep = 0;
    if (!sequences_->can_shorten()) {
        sequences_->keep(*active.sequence);
    }
    if (prefixes_) {
        if (auto copy = sequences_->copy_of(*active.sequence)) {
            check_servers();
            prefixes_->put(std::move(*copy));
        }
    }
}

// Agents with the same system prompt that start together: the first computes it, the others wait for it and share it.
bool Engine::must_wait_for_prefix(Waiting & waiting, const std::vector<llama_token> & tokens) const {
    if (waiting.behind != 0) {
        for (const auto & a : active_) {
            if (a->order == waiting.behind) {
                return a->sequence->tokens.size() < waiting.behind_tokens;
            }
        }
    }
    waiting.behind      = 0;
    const size_t limit  = tokens.size() - 1;
    size_t       warm   = 0;
    bool         looked = false;
    for (const auto & a : active_) {
        if (a->pending() <= prefix_worth_waiting) {
            continue;
        }
        const size_t common = std::min(common_prefix(a->tokens, tokens), limit);
        if (common <= a->sequence->tokens.size() + prefix_worth_waiting) {
            continue;
        }
        if (!looked) {
            warm   = sequences_->warm_tokens(waiting.completion->owner, tokens);
            looked = true;
        }
        if (common > warm + prefix_worth_waiting) {
            waiting.behind        = a->order;
            waiting.behind_tokens = common;
            return true;
        }
    }
    return false;
}

bool Engine::has_room(uint64_t owner, const std::vector<llama_token> & tokens) const {
    if (active_.empty()) {
        return true;
    }
    size_t needed = tokens.size() - std::min(sequences_->warm_tokens(owner, tokens), tokens.size()) + room_to_grow;
    for (const auto & a : active_) {
        needed += a->pending() + room_to_grow;
    }
    return sequences_->cells_active() + needed <= sequences_->cells_total();
}

// Tells the completion and parks its sequence. The caller takes it out of active_.
void Engine::end(Active & active, luup_finish_reason reason, const Failure & failure) {
    Metrics &  m    = active.metrics;
    const auto now  = Clock::now();
    m.total_seconds = seconds(active.completion->submitted, now);
    if (m.answer_tokens > 0) {
        m.prefill_seconds     = seconds(active.admitted, active.first_token);
        m.decode_seconds      = seconds(active.first_token, active.last_token);
        m.first_token_seconds = seconds(active.completion->submitted, active.first_token);
    } else {
        m.prefill_seconds = seconds(active.admitted, now);
    }
    if (!active.draft.empty()) {
        sequences_->rollback(*active.sequence);
    }
    if (active.completion->owner != 0 && active.completion->score_from == 0) {
        computed_[active.completion->owner] = active.sequence->tokens;
    }
    const bool scored = active.completion->score_from > 0 && sequences_->owned(active.completion->owner) > 1;  // one is enough to keep the prompt warm
    if (scored || failure.code == LUUP_ERROR_INFERENCE_FAILED || failure.code == LUUP_ERROR_INTERNAL) {
        sequences_->release(*active.sequence);
    } else {
        sequences_->park(*active.sequence);
    }
    active.sequence = nullptr;
    publish_stats();  // before the run hears of it: who sees the end sees the count without it
    active.completion->on_end(reason, failure, m);
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
    std::deque<Waiting>                  waiting;
    active.swap(active_);
    waiting.swap(waiting_);
    in_batch_.clear();
    for (auto & a : active) {
        if (a->sequence) {
            end(*a, LUUP_FINISH_NONE, failure);
        }
    }
    for (auto & w : waiting) {
        end_waiting(w, failure);
    }
}

void Engine::publish_stats() {
    const auto on_sequence   = [](const auto & a) { return a->sequence != nullptr; };
    totals_.runs_active      = static_cast<int32_t>(std::count_if(active_.begin(), active_.end(), on_sequence));
    totals_.sequences_active = sequences_->count(true);
    totals_.sequences_parked = sequences_->count(false);
    totals_.context_used     = static_cast<int32_t>(sequences_->cells_used());
    totals_.evictions        = sequences_->evictions();
    totals_.restored         = sequences_->restored();
    totals_.sequences_in_ram = static_cast<int32_t>(sequences_->store().count());
    totals_.ram_used         = sequences_->store().bytes();
    std::lock_guard<std::mutex> lock(mutex_);
    totals_.runs_waiting = static_cast<int32_t>(waiting_.size() + inbox_.size());
    stats_               = totals_;
}

}  // namespace luup
