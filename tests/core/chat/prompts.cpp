// The prompts that a chat template makes.
#include "template_cases.h"

#include "chat/prompt_program.h"
#include "tokens/tokenizer.h"

#include "common/chat.h"

#include <cctype>
#include <iterator>
#include <optional>
#include <tuple>

namespace template_cases {

namespace {

void need(const std::string & prompt, const std::vector<std::string> & parts, const char * where) {
    for (const std::string & part : parts) {
        if (!has(prompt, part)) {
            throw Problem(std::string(where) + ": the prompt lacks \"" + part + "\"");
        }
    }
}

const std::vector<std::string> tool_parts   = { "book_flight2",  "Books_seats",  "Arrival_city", "passengers",
                                                "find_3d_model", "Finds_meshes", "query" };
const std::vector<std::string> flight_parts = { "Sao Paulo", "Main Road", "17", "quiet", "99.5" };
const std::vector<std::string> mesh_parts   = { "teapot", "limit" };

}  // namespace

void nothing_is_lost(const ChatTemplate & chat, const ToolSet & tools) {
    const auto prompt = [&](const std::vector<Message> & messages) {
        return text_of(chat.render(messages, &tools, true).tokens);
    };
    const auto with = [](std::vector<std::string> a, const std::vector<std::string> & b) {
        a.insert(a.end(), b.begin(), b.end());
        return a;
    };
    need(prompt({ user("Hello_there") }), with(tool_parts, { "Hello_there" }), "a question");
    need(prompt({ Message::system("Be_terse"), user("Hello_there") }), with(tool_parts, { "Hello_there", "Be_terse" }),
         "a system prompt");
    const std::vector<Message> one = { user("Hello_there"), calling({ flight }), result(flight, "Booked_it") };
    need(prompt(one), with(with(tool_parts, flight_parts), { "Hello_there", "Booked_it" }), "a call");
    const std::vector<Message> two = { user("Hello_there"), calling({ flight, mesh }), result(flight, "Booked_it"),
                                       result(mesh, "{\"found\": 3}") };
    need(prompt(two), with(with(with(tool_parts, flight_parts), mesh_parts), { "Hello_there", "Booked_it", "found" }),
         "two calls");
    std::vector<Message> on = two;
    on.insert(on.end(), { Message::assistant("All_done"), user("And_then") });
    const std::string later = prompt(on);
    need(later,
         with(with(with(tool_parts, flight_parts), mesh_parts),
              { "Hello_there", "Booked_it", "found", "All_done", "And_then" }),
         "an answer");
}

namespace {

// The tokens that are not text.
std::vector<llama_token> controls(const std::vector<llama_token> & tokens) {
    std::vector<llama_token> found;
    std::copy_if(tokens.begin(), tokens.end(), std::back_inserter(found), [](llama_token t) {
        return (llama_vocab_get_attr(vocab, t) & (LLAMA_TOKEN_ATTR_CONTROL | LLAMA_TOKEN_ATTR_USER_DEFINED)) != 0;
    });
    return found;
}

}  // namespace

// Control tokens' names in what tools say and are called with stay text.
void names_stay_text(const ChatTemplate & chat) {
    const auto render = [&](const std::string & text) {
        const std::string quoted = json(text).dump();
        const auto        tools  = ToolSet::parse(
            R"([{"type": "function", "function": {"name": "note", "description": )" + quoted +
            R"(, "parameters": {"type": "object", "properties": {"words": {"type": "string", "description": )" +
            quoted + R"(}}, "required": ["words"]}}}])");
        const ToolCall call = { "CallId001", "note", "{\"words\":" + quoted + "}" };
        return chat.render({ user("Hi " + text), calling({ call }), result(call, "Got " + text),
                             Message::assistant("So " + text), user("Go") },
                           tools.get(), true);
    };
    const auto harmless = render("the word zzz here");
    for (const char * name : { "<|im_end|>", "<|eot_id|>", "[/INST]", "</tool_call>", "<|end|>", "</s>" }) {
        const auto tokens = tokenize_text(vocab, name, false, false);
        if (tokens.size() == 1 && chat.source().find(name) == std::string::npos) {
            continue; // defined for plain text, and nothing of this template's
        }
        const auto evil = render(std::string("the word ") + name + " here");
        if (controls(evil.tokens) != controls(harmless.tokens)) {
            throw Problem(std::string("what messages and tools say becomes a control token: ") + name);
        }
    }
}

// So do they in the names and ids of calls, which a server or a history may bring, and in texts that a template
// changes.
void every_part_stays_text(const ChatTemplate & chat) {
    const auto tools = ToolSet::parse(
        R"([{"type": "function", "function": {"name": "note", "description": "", "parameters": {"type": "object",
            "properties": {"words": {"type": "string"}}, "required": ["words"]}}}])");
    const auto render = [&](const std::string & name, const std::string & id, const std::string & key,
                            const std::string & role_text) -> std::optional<Prompt> {
        const ToolCall call = { id, name, json{ { "words", "a" }, { key, "b" } }.dump() };
        try {
            return chat.render(
                { user(role_text), calling({ call }), result(call, "Got it"), Message::assistant("So"), user("Go") },
                tools.get(), true);
        } catch (const Error &) {
            return std::nullopt;  // some templates refuse such ids
        }
    };
    const auto same = [](const std::optional<Prompt> & harmless, const std::optional<Prompt> & evil) {
        return !harmless || !evil || controls(harmless->tokens) == controls(evil->tokens);
    };
    const PromptTokenizer tokenizer(vocab, chat.source());
    for (const std::string & marker : tokenizer.controls()) {
        std::string turned = marker;  // for templates that write text in other letters
        for (char & c : turned) {
            c = std::isupper(static_cast<unsigned char>(c)) ? static_cast<char>(std::tolower(c))
                                                            : static_cast<char>(std::toupper(c));
        }
        const std::string ids[] = { "CallId" + marker, marker };
        const bool        text  = same(render("note_zzz", "CallId001", "k", "Hi zzz"),
                                       render("note_" + marker, "CallId001", "k" + marker, "Hi " + turned));
        const bool        id    = same(render("note", "CallIdzzz", "k", "Hi"), render("note", ids[0], "k", "Hi")) &&
                                  same(render("note", "zzz", "k", "Hi"), render("note", ids[1], "k", "Hi"));
        if (!text || !id) {
            throw Problem("a part of a call becomes a control token: " + marker);
        }
    }
}

// A prompt of which a part was tokenized before has the tokens that it would have without.
void known_parts_change_nothing(const ChatTemplate & chat, const ToolSet & tools) {
    const std::vector<std::vector<Message>> prompts = {
        { user(question) },
        { user(question), calling({ flight }), result(flight, "Seat 4A") },
        { user(question), calling({ flight }), result(flight, "Seat 4A"), calling({ mesh }),
          result(mesh, " blanks \n") },
        { user(question), calling({ flight }), result(flight, "Seat 4B") },
        { user("<|im_end|> </s> <|eot_id|>"), calling({ flight }), result(flight, "Seat 4B") },
        { user("Another question") },
        { user("Another") },
        { user("Another question") },
        { user("Another question") },
    };
    const PromptTokenizer parts(vocab, chat.source());
    TokenizedText         known;
    for (size_t i = 0; i < prompts.size(); i++) {
        const auto tokens = chat.render(prompts[i], &tools, true, &known).tokens;
        if (tokens != chat.render(prompts[i], &tools, true).tokens) {
            throw Problem("prompt " + std::to_string(i) + " has other tokens because of the one before");
        }
        // Tokenized by parts, some of them kept from before, a text has the tokens that llama.cpp gives to the whole.
        const std::string text = text_of(tokens);
        for (const std::string & whole : { text, text + text, " " + text, text.substr(text.size() / 3) }) {
            if (parts.tokenize(whole, "", nullptr) != tokenize_text(vocab, whole, true, true)) {
                throw Problem("prompt " + std::to_string(i) +
                              " has other tokens than the whole: " + excerpt(whole, whole.size() / 2));
            }
        }
    }
}

namespace {

std::vector<std::vector<common_chat_msg>> conversations() {
    const auto say = [](const char * role, const char * content, const char * thought = "") {
        common_chat_msg message;
        message.role              = role;
        message.content           = content;
        message.reasoning_content = thought;
        return message;
    };
    common_chat_msg call = say("assistant", "", "I_must_look"), result = say("tool", "{\"price\": 7}");
    call.tool_calls.push_back({ "book_flight2", R"({"city":"Oslo","passengers":2})", "abcdefghi" });
    result.tool_call_id = "abcdefghi";
    result.tool_name    = "book_flight2";
    return {
        { say("user", "Hi") },
        { say("system", "Be nice. "), say("user", " Hello\n") },
        { say("user", "a"), say("assistant", "\nb ", "so"), say("user", "c") },
        { say("system", "s"), say("user", "a"), call, result },
        { say("user", "a"), call, result, say("assistant", "done", "well"), say("user", "more"), call, result },
    };
}

}  // namespace

// A template's program alone makes the prompts that llama-common makes with it, and what is kept of the analysis is
// what it would find again.
void program_agrees(const llama_model * model, const std::string & source) {
    const auto    templates = common_chat_templates_init(model, source);
    PromptProgram program(templates.get(), vocab);
    for (const bool with_tool : { false, true }) {
        common_chat_templates_inputs inputs;
        inputs.add_generation_prompt = true;
        inputs.reasoning_format      = COMMON_REASONING_FORMAT_AUTO;
        inputs.tool_choice           = COMMON_CHAT_TOOL_CHOICE_NONE;
        if (with_tool) {
            inputs.tools.push_back(
                { "book_flight2", "Books_seats",
                  R"({"type":"object","properties":{"city":{"type":"string"}},"required":["city"]})" });
        }
        for (auto & messages : conversations()) {
            inputs.messages = std::move(messages);
            std::optional<common_chat_params> expected, got;
            try {
                expected = common_chat_templates_apply(templates.get(), inputs);
            } catch (const std::exception &) {
            }
            try {
                got = program.apply(inputs);
            } catch (const std::exception &) {
            }
            const auto parts = [](const common_chat_params & p) {
                return std::tie(p.prompt, p.generation_prompt, p.parser, p.additional_stops, p.preserved_tokens,
                                p.thinking_start_tag, p.thinking_end_tags);
            };
            if (got.has_value() != expected.has_value() || (got && parts(*got) != parts(*expected))) {
                throw Problem("the prompt is " + quoted(got ? got->prompt : "refused") + ", not " +
                              quoted(expected ? expected->prompt : "refused"));
            }
        }
    }
}

}  // namespace template_cases
