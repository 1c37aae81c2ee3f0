// Assembles the tool calls of a server's answer from their fragments.
#pragma once

#include "answer/answer.h"
#include "answer/server_json.h"
#include "chat/tools.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace luup {

// Reports whether a JSON object that arrives in pieces is complete, by its brackets.
class ObjectProgress {
  public:
    void push(std::string_view piece);

    bool complete() const { return begun_ && depth_ == 0; }

  private:
    size_t depth_   = 0;
    bool   begun_   = false;
    bool   in_text_ = false;
    bool   escaped_ = false;
};

// OpenAI sends the id and the name of a call once, its arguments in pieces, and with each fragment the call's index.
// Others send every call with index 0, or with none; repeat ids and names, split names, or send all arguments so far
// again. A fragment therefore begins a new call where its id or name is new, or where the arguments of the last call
// are complete; the names of the tools help to tell a piece of a name from a name.
class ServerCalls {
  public:
    // `tools`: those that the model may call; may be null.
    explicit ServerCalls(std::shared_ptr<const ToolSet> tools) : tools_(std::move(tools)) {}

    // Adds the field tool_calls of a message or a delta. `whole`: every item is a call of its own, as in an answer that
    // is not streamed. Returns the error in it, or "".
    std::string add(const Json & calls, bool whole);

    // Adds the field function_call, which came before tool_calls.
    void add_function(const Json & function);

    bool empty() const { return calls_.empty(); }

    // Appends the calls to `result`, with the problem of one that can't be read.
    void write(AnswerResult & result) const;

  private:
    struct Call {
        std::string            id, name;
        std::string            arguments;          // all pieces
        std::string            latest;             // the last piece
        bool                   cumulative = true;  // each piece has begun with the one before
        size_t                 pieces     = 0;
        ObjectProgress         progress;           // of `arguments`
        std::optional<int64_t> index;
        Json                   extra = Json::object();

        bool complete() const;
    };

    struct Fragment {
        std::string            id, name, arguments;
        std::optional<int64_t> index;
    };

    enum class Step { Continue, Begin, Repeat };

    bool        is_tool(const std::string & name) const { return tools_ && tools_->find(name) != nullptr; }
    Call *      target(const Fragment & fragment, size_t position);
    Step        step(const Call & call, const Fragment & fragment) const;
    Step        step_of_name(const Call & call, const Fragment & fragment) const;
    void        extend(Call & call, const Fragment & fragment) const;
    static void append(Call & call, const std::string & arguments);

    std::shared_ptr<const ToolSet> tools_;
    std::vector<Call>              calls_;  // in the order of their first fragments
    std::optional<size_t>          function_;  // the one that came as function_call
};

}  // namespace luup
