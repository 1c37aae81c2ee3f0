// Shared by the checks of chat templates: two tools, calls of them, and a question.
#pragma once

#include "answer/answer.h"
#include "chat/template.h"
#include "base/error.h"
#include "answer/guide.h"
#include "answer/output.h"
#include "chat/tools.h"

#include "llama.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace template_cases {

using namespace luup;
using json = nlohmann::ordered_json;

// The model that is given: its vocabulary alone is loaded.
inline const llama_vocab *               vocab = nullptr;
inline std::shared_ptr<const Vocabulary> vocabulary;

inline constexpr char tools_text[] = R"([
{"type": "function", "function": {"name": "book_flight2", "description": "Books_seats", "parameters": {"type": "object", "properties": {
    "city": {"type": "string", "description": "Arrival_city"},
    "passengers": {"type": "integer", "minimum": 1, "maximum": 9},
    "cabin": {"type": "string", "enum": ["economy", "business"]},
    "address": {"type": "object", "properties": {"street": {"type": "string"}, "number": {"type": "integer"}}, "required": ["street", "number"],
                "additionalProperties": false},
    "tags": {"type": "array", "items": {"type": "string"}},
    "price": {"type": "number"},
    "window": {"type": "boolean"}},
  "required": ["city", "passengers", "cabin", "address"], "additionalProperties": false}}},
{"type": "function", "function": {"name": "find_3d_model", "description": "Finds_meshes", "parameters": {"type": "object", "properties": {
    "query": {"type": "string"}, "limit": {"type": "integer"}}, "required": ["query"], "additionalProperties": false}}}])";

inline const ToolCall flight = {
    "CallId001", "book_flight2",
    R"({"city":"Sao Paulo","passengers":2,"cabin":"business","address":{"street":"Main Road","number":17},"tags":["near","quiet"],"price":99.5,"window":true})"
};
inline const ToolCall mesh  = { "CallId002", "find_3d_model", R"({"query":"a \"red\" teapot, 2 <b> wide","limit":3})" };
inline const ToolCall plain = { "CallId003", "find_3d_model", R"({"query":"blue cup"})" };

inline constexpr char question[] =
    "Book a business flight to Sao Paulo for 2, Main Road 17, near and quiet, "
    "99.5, window true. Find 3 of a \"red\" teapot, 2 <b> wide, and a blue "
    "cup.";

struct Problem : std::runtime_error {
    using std::runtime_error::runtime_error;
};

inline Message user(const std::string & text) {
    return Message::user(text);
}

inline Message calling(const std::vector<ToolCall> & calls) {
    return Message::assistant("", "", calls);
}

inline Message result(const ToolCall & call, const std::string & text) {
    return Message::tool_result(call, text);
}

inline std::string quoted(const std::string & text) {
    return json(text).dump(-1, ' ', false, json::error_handler_t::replace);
}

inline std::string trimmed(const std::string & text) {
    const size_t begin = text.find_first_not_of(" \n");
    return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(" \n") + 1 - begin);
}

inline std::string excerpt(const std::string & text, size_t at) {
    return quoted(text.substr(at - std::min<size_t>(at, 60), 160));
}

inline std::string text_of(const std::vector<llama_token> & tokens) {
    std::string text;
    for (llama_token token : tokens) {
        text += token_bytes(vocab, token, true);
    }
    return text;
}

inline bool has(const std::string & prompt, const std::string & part) {
    return prompt.find(part) != std::string::npos;
}

// Checks of prompts; see prompts.cpp. Each throws a Problem.
void nothing_is_lost(const ChatTemplate & chat, const ToolSet & tools);
void names_stay_text(const ChatTemplate & chat);
void every_part_stays_text(const ChatTemplate & chat);
void known_parts_change_nothing(const ChatTemplate & chat, const ToolSet & tools);
void program_agrees(const llama_model * model, const std::string & source);

// See orders.cpp.
void every_order_is_kept(const ChatTemplate & chat, const ToolSet & tools);

// See thinking.cpp.
void thoughts_are_bounded(const ChatTemplate & chat);
void arguments_stay_text(const ChatTemplate & chat);

// Checks of answers: a Writer writes, token by token, what the template writes for such an answer; see answers.cpp.
void calls_come_back(const ChatTemplate & chat, const std::shared_ptr<const ToolSet> & tools,
                     const std::vector<ToolCall> & calls, CallPlan::Mode kind, bool thoughts = false);
void typed_results_come_back(const ChatTemplate & chat, const std::shared_ptr<const ToolSet> & tools, bool thoughts,
                             CallPlan::Mode kind);
void any_split_reads_the_same(const ChatTemplate & chat, const ToolSet & tools, bool thoughts);
void typed_results_are_opened(const ChatTemplate & chat, const ToolSet & tools);

}  // namespace template_cases
