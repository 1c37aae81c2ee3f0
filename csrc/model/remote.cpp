#include "model/remote.h"

#include "base/error.h"

namespace luup {

namespace {

// Servers do not report their context size: assume one that all current models have, in tokens, and few bytes for a
// token, so that texts are not underestimated.
constexpr int32_t usual_context         = 8192;
constexpr size_t  least_bytes_per_token = 3;

class ServerTurn : public ModelTurn {
  public:
    ServerTurn(ChatCompletions & server, TurnRequest request) : server_(server), request_(std::move(request)) {}

    size_t prompt_tokens() const override { return 0; }

    TurnPrompt prompt() const override {
        RequestForm form;
        return { server_.body(completion(request_.messages), form), {} };
    }

    void make_answer(std::shared_ptr<TurnListener> listener) override {
        exchange_.body   = server_.body(completion(std::move(request_.messages)), form_);
        exchange_.answer = std::make_shared<ChatCompletionStream>(std::move(listener), request_.tools, server_.habits(),
                                                                  request_.begun.value_or(Clock::now()));
        server_.add(exchange_.answer);
    }

    void start(bool &) override {}

    void cancel() override {}

    size_t submitted_tokens() const override { return 0; }

    const Exchange * exchange() const override { return &exchange_; }

    bool adapt(const std::string & refusal) override {
        return exchange_.answer->untouched() && server_.habits()->learn(form_, refusal);
    }

  private:
    ChatCompletionRequest completion(std::vector<Message> messages) const {
        return { std::move(messages),     request_.tools,  request_.tool_choice,
                 request_.parallel_calls, request_.output, request_.sampling };
    }

    ChatCompletions & server_;
    TurnRequest       request_;
    Exchange          exchange_;
    RequestForm       form_;  // of the request
};

}  // namespace

RemoteModel::RemoteModel(std::unique_ptr<ChatCompletions> server)
    : SingleModel(server->name(), plain_info(server->name(), "remote")), server_(std::move(server)) {}

RemoteModel::~RemoteModel() {
    if (forked()) {
        server_.release();  // a thread of the parent may have held its lock at the fork
    } else {
        close();
    }
}

std::shared_ptr<ModelTurn> RemoteModel::prepare(TurnRequest request) {
    check(request.sampling);
    if (!request.choices.empty()) {
        fail(LUUP_ERROR_UNSUPPORTED, "choices can't be scored by a remote model");
    }
    if (request.raw_prompt) {
        fail(LUUP_ERROR_UNSUPPORTED, "%s is a remote model, which takes messages and no raw prompt", name().c_str());
    }
    return std::make_shared<ServerTurn>(*server_, std::move(request));
}

void RemoteModel::check(Sampling sampling) const {
    if (!sampling.adapters.empty()) {
        fail(LUUP_ERROR_UNSUPPORTED,
             "adapter: %s is not a local model; a server offers a model with an adapter under a name of its own",
             name().c_str());
    }
    for (const LogitBias & bias : sampling.logit_bias) {
        if (!bias.text.empty()) {
            fail(LUUP_ERROR_INVALID_PARAM,
                 "logit_bias: only the server of %s knows which token the text '%s' is: give the token's number",
                 name().c_str(), bias.text.c_str());
        }
        if (bias.token < 0) {
            fail(LUUP_ERROR_INVALID_PARAM, "logit_bias: a token's number must be at least 0, got %d", bias.token);
        }
    }
}

int32_t RemoteModel::context_size() const {
    return usual_context;
}

size_t RemoteModel::count_tokens(const std::string & text) const {
    return text.size() / least_bytes_per_token + 1;
}

// Ends the runs without the lock: their callers may begin a turn on another model at once, and take use() for it.
void RemoteModel::shut_down(std::unique_lock<std::shared_mutex> & lock) {
    lock.unlock();
    server_->close();
}

}  // namespace luup
