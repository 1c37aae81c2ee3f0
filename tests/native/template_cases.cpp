// Chat templates with tools: what is told to the model, and how what it answers
// is read.
//   luup-template-cases model.gguf template.jinja …
// A line for each template, "ok" or "FAILED"; exits with 1 if one failed. Only
// the vocabulary of the model is loaded.
#include "answer.h"
#include "chat.h"
#include "error.h"
#include "grounding.h"
#include "guide.h"
#include "output.h"
#include "prompt_program.h"
#include "sampler.h"
#include "tool_format.h"
#include "tools.h"

#include "common/chat.h"
#include "llama.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

using namespace luup;
using json = nlohmann::ordered_json;

namespace {

const llama_vocab *               vocab = nullptr;
std::shared_ptr<const Vocabulary> vocabulary;

constexpr char tools_text[] = R"([
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

const ToolCall flight = {
    "CallId001", "book_flight2",
    R"({"city":"Sao Paulo","passengers":2,"cabin":"business","address":{"street":"Main Road","number":17},"tags":["near","quiet"],"price":99.5,"window":true})"
};
const ToolCall mesh  = { "CallId002", "find_3d_model",
                         R"({"query":"a \"red\" teapot, 2 <b> wide","limit":3})" };
const ToolCall plain = { "CallId003", "find_3d_model",
                         R"({"query":"blue cup"})" };

constexpr char question[] =
    "Book a business flight to Sao Paulo for 2, Main Road 17, near and quiet, "
    "99.5, window true. Find 3 of a \"red\" teapot, 2 <b> wide, and a blue "
    "cup.";

struct Problem : std::runtime_error {
    using std::runtime_error::runtime_error;
};

Message user(const std::string & text) {
    return { "user", text, "", {}, "", "" };
}

Message calling(const std::vector<ToolCall> & calls) {
    return { "assistant", "", "", calls, "", "" };
}

Message result(const ToolCall & call, const std::string & text) {
    return { "tool", text, "", {}, call.id, call.name };
}

std::string quoted(const std::string & text) {
    return json(text).dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string trimmed(const std::string & text) {
    const size_t begin = text.find_first_not_of(" \n");
    return begin == std::string::npos
               ? ""
               : text.substr(begin, text.find_last_not_of(" \n") + 1 - begin);
}

std::string excerpt(const std::string & text, size_t at) {
    return quoted(text.substr(at - std::min<size_t>(at, 60), 160));
}

std::string text_of(const std::vector<llama_token> & tokens) {
    std::string text;
    for (llama_token token : tokens) {
        text += token_bytes(vocab, token, true);
    }
    return text;
}

// With what surrounds a text that JSON or XML may escape taken away.
bool has(const std::string & prompt, const std::string & part) {
    return prompt.find(part) != std::string::npos;
}

void need(const std::string & prompt, const std::vector<std::string> & parts,
          const char * where) {
    for (const std::string & part : parts) {
        if (!has(prompt, part)) {
            throw Problem(std::string(where) + ": the prompt lacks \"" + part + "\"");
        }
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// What is told to the model
// ---------------------------------------------------------------------------------------------------------------------

const std::vector<std::string> tool_parts = {
    "book_flight2", "Books_seats", "Arrival_city", "passengers",
    "find_3d_model", "Finds_meshes", "query"
};
const std::vector<std::string> flight_parts = { "Sao Paulo", "Main Road", "17",
                                                "quiet", "99.5" };
const std::vector<std::string> mesh_parts   = { "teapot", "limit" };

void nothing_is_lost(const ChatTemplate & chat, const ToolSet & tools) {
    const auto prompt = [&](const std::vector<Message> & messages) {
        return text_of(chat.render(messages, &tools, true).tokens);
    };
    const auto with = [](std::vector<std::string>         a,
                         const std::vector<std::string> & b) {
        a.insert(a.end(), b.begin(), b.end());
        return a;
    };
    need(prompt({ user("Hello_there") }), with(tool_parts, { "Hello_there" }),
         "a question");
    need(prompt({ { "system", "Be_terse", "", {}, "", "" }, user("Hello_there") }),
         with(tool_parts, { "Hello_there", "Be_terse" }), "a system prompt");
    const std::vector<Message> one = { user("Hello_there"), calling({ flight }),
                                       result(flight, "Booked_it") };
    need(prompt(one),
         with(with(tool_parts, flight_parts), { "Hello_there", "Booked_it" }),
         "a call");
    const std::vector<Message> two = {
        user("Hello_there"), calling({ flight, mesh }), result(flight, "Booked_it"),
        result(mesh, "{\"found\": 3}")
    };
    need(prompt(two),
         with(with(with(tool_parts, flight_parts), mesh_parts),
              { "Hello_there", "Booked_it", "found" }),
         "two calls");
    std::vector<Message> on = two;
    on.insert(on.end(),
              { { "assistant", "All_done", "", {}, "", "" }, user("And_then") });
    const std::string later = prompt(on);
    need(later,
         with(with(with(tool_parts, flight_parts), mesh_parts),
              { "Hello_there", "Booked_it", "found", "All_done", "And_then" }),
         "an answer");
}

// The tokens that are not text.
std::vector<llama_token> controls(const std::vector<llama_token> & tokens) {
    std::vector<llama_token> found;
    std::copy_if(tokens.begin(), tokens.end(), std::back_inserter(found),
                 [](llama_token t) {
                     return (llama_vocab_get_attr(vocab, t) &
                             (LLAMA_TOKEN_ATTR_CONTROL |
                              LLAMA_TOKEN_ATTR_USER_DEFINED)) != 0;
                 });
    return found;
}

// Control tokens' names in what tools say and are called with stay text.
void names_stay_text(const ChatTemplate & chat) {
    const auto render = [&](const std::string & text) {
        const std::string quoted = json(text).dump();
        const auto        tools  = ToolSet::parse(
            R"([{"type": "function", "function": {"name": "note", "description": )" +
            quoted +
            R"(, "parameters": {"type": "object", "properties": {"words": {"type": "string", "description": )" +
            quoted + R"(}}, "required": ["words"]}}}])");
        const ToolCall call = { "CallId001", "note", "{\"words\":" + quoted + "}" };
        return chat.render({ user("Hi " + text),
                             calling({ call }),
                             result(call, "Got " + text),
                             { "assistant", "So " + text, "", {}, "", "" },
                             user("Go") },
                           tools.get(), true);
    };
    const auto harmless = render("the word zzz here");
    for (const char * name : { "<|im_end|>", "<|eot_id|>", "[/INST]",
                               "</tool_call>", "<|end|>", "</s>" }) {
        const auto tokens = tokenize_text(vocab, name, false, false);
        if (tokens.size() == 1 && chat.source().find(name) == std::string::npos) {
            continue; // defined for plain text, and nothing of this template's
        }
        const auto evil = render(std::string("the word ") + name + " here");
        if (controls(evil.tokens) != controls(harmless.tokens)) {
            throw Problem(
                std::string("what messages and tools say becomes a control token: ") +
                name);
        }
    }
}

// A prompt of which a part was tokenized before has the tokens that it would have without.
void known_parts_change_nothing(const ChatTemplate & chat, const ToolSet & tools) {
    const std::vector<std::vector<Message>> prompts = {
        { user(question) },
        { user(question), calling({ flight }), result(flight, "Seat 4A") },
        { user(question), calling({ flight }), result(flight, "Seat 4A"), calling({ mesh }), result(mesh, " blanks \n") },
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
                throw Problem("prompt " + std::to_string(i) + " has other tokens than the whole: " + excerpt(whole, whole.size() / 2));
            }
        }
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// What the model answers: it is made to write, token by token, what the
// template writes for such an answer
// ---------------------------------------------------------------------------------------------------------------------

struct Listener : Answer::Listener {
    void on_answer_progress(int32_t, int32_t) override {}
    void on_answer_text(const std::string & reasoning,
                        const std::string & text) override {
        thoughts += reasoning;
        shown += text;
    }
    void on_answer_end(AnswerResult, luup_finish_reason, const Failure &,
                       const Metrics &) override {}

    std::string thoughts, shown;
};

AnswerPlan plan_for(const ChatTemplate & chat, const Prompt & prompt,
                    const std::shared_ptr<const ToolSet> & tools,
                    AnswerPlan::Calls                      calls) {
    AnswerPlan plan;
    plan.thinking = prompt.thinking;
    plan.opening  = prompt.opening;
    plan.calls    = calls;
    plan.parallel = true;
    plan.tools    = tools;
    plan.format   = chat.tool_format(*tools, true);
    plan.given    = std::make_shared<const Grounding>(question);
    if (!prompt.thinking.ends.empty()) {
        plan.think_end = chat.marker_tokens(prompt.thinking.ends.front());
        if (!prompt.thinking.start.empty()) {
            plan.think_start = chat.marker_tokens(prompt.thinking.start);
        }
    }
    return plan;
}

// Writes `script` as a model would that is sure of every token; where the
// answer is not free, it goes on behind what was dictated.
class Writer {
  public:
    Writer(std::string script, const ChatTemplate & chat)
        : script_(std::move(script)), chat_(chat), closing_(static_cast<size_t>(llama_vocab_n_tokens(vocab))) {
        for (const char * text : { "\"", "]", "}", ">", "</", "1" }) {
            closing_[static_cast<size_t>(chat.marker_tokens(text).front())] = 20;
        }
    }

    void write(Answer & answer) {
        Sampling greedy;
        greedy.temperature = 0;
        Sampler            sampler(greedy, llama_vocab_n_tokens(vocab));
        Completion::Choice choice;
        for (int i = 0; i < 2000; i++) {
            std::vector<float> logits           = closing_;
            logits[static_cast<size_t>(next())] = 60;
            choice.tokens.clear();
            choice.take_back = 0;
            answer.choose(sampler, logits.data(), choice);
            for (size_t n = choice.take_back; n > 0; n--) {
                written_.resize(begins_.back());
                begins_.pop_back();
            }
            for (llama_token token : choice.tokens) {
                if (llama_vocab_is_eog(vocab, token)) {
                    answer.on_end(LUUP_FINISH_STOP, {}, {});
                    return;
                }
                begins_.push_back(written_.size());
                written_ += token_bytes(vocab, token, true);
                if (!answer.on_token(token)) {
                    answer.on_end(LUUP_FINISH_STOP, {}, {});
                    return;
                }
            }
        }
        throw Problem(
            "an answer without an end: " + quoted(written_.substr(0, 400)) +
            (left_ == std::string::npos ? ""
                                        : ", left at " + excerpt(script_, left_)));
    }

    const std::string & written() const { return written_; }

    // Where the answer left the script; npos if it did not.
    size_t left_at() const { return left_; }

  private:
    // There are templates that write True for true.
    static bool same(char a, char b) {
        return std::tolower(static_cast<unsigned char>(a)) ==
               std::tolower(static_cast<unsigned char>(b));
    }

    // How far the script has been written, blanks aside.
    size_t position() {
        size_t at = 0;
        for (char c : written_) {
            size_t here = at;
            while (here < script_.size() && !same(script_[here], c) &&
                   std::isspace(static_cast<unsigned char>(script_[here]))) {
                here++;
            }
            if (here < script_.size() && same(script_[here], c)) {
                at = here + 1;
            } else if (!std::isspace(static_cast<unsigned char>(c))) {
                left_ = std::min(left_, at);
                return std::string::npos;
            }
        }
        return at;
    }

    llama_token next() {
        const size_t at = position();
        if (at == std::string::npos ||
            script_.find_first_not_of(" \n", at) == std::string::npos) {
            return vocabulary->ends.front();
        }
        size_t begin =
            at; // of the character, of which a token may have brought a part
        while (begin > 0 &&
               (static_cast<unsigned char>(script_[begin]) & 0xC0) == 0x80) {
            begin--;
        }
        for (llama_token token : chat_.marker_tokens(script_.substr(begin, 100))) {
            if (begin >= at) {
                return token;
            }
            begin += token_bytes(vocab, token, true).size();
        }
        return vocabulary->ends.front();
    }

    std::string          script_;
    const ChatTemplate & chat_;
    std::string          written_;
    std::vector<size_t>  begins_; // of its tokens
    std::vector<float>
           closing_; // logits of what ends an answer that has left the script
    size_t left_ = std::string::npos;
};

// What the template writes for `answer` after a question: that is what its
// models were trained to write. Thoughts come before it where the prompt leaves
// them open.
std::string script_for(const ChatTemplate & chat, const Prompt & prompt,
                       const ToolSet & tools, const Message & answer, bool must) {
    const auto format = chat.tool_format(tools, true);
    const auto whole =
        chat.render({ user(question), answer }, &tools, false).tokens;
    auto              rest   = whole;
    const std::string before = text_of(prompt.tokens), all = text_of(whole);
    if (all.compare(0, before.size(), before) == 0) {
        rest = chat.marker_tokens(all.substr(before.size()));
    } else {
        rest.erase(rest.begin(),
                   rest.begin() +
                       (std::mismatch(prompt.tokens.begin(), prompt.tokens.end(),
                                      whole.begin(), whole.end())
                            .second -
                        whole.begin()));
    }
    const auto ids  = chat.marker_ids(format->markers);
    const auto goes = [&](llama_token token) {
        const std::string text = token_bytes(vocab, token, true);
        const bool        blank =
            std::all_of(text.begin(), text.end(),
                        [](unsigned char c) { return std::isspace(c); });
        return blank || (vocabulary->trie->bytes(token).empty() &&
                         std::find(ids.begin(), ids.end(), token) == ids.end());
    };
    std::string script = text_of(rest);
    script.resize(script.find_last_not_of(" \n") + 1);
    // What ends a message is the model's end token.
    const std::string plain =
        text_of(chat.render({ user(question),
                              { "assistant", "luup_answer", "", {}, "", "" } },
                            &tools, false)
                    .tokens);
    std::string end = plain.substr(plain.rfind("luup_answer") + 11);
    end             = trimmed(end);
    if (!end.empty() && script.size() > end.size() &&
        script.compare(script.size() - end.size(), end.size(), end) == 0) {
        script.resize(script.size() - end.size());
    } else {
        while (!rest.empty() && goes(rest.back())) {
            rest.pop_back();
        }
        script = text_of(rest);
    }
    // An end of thoughts that never began is no model's answer.
    for (const std::string & mark : prompt.thinking.ends) {
        const size_t at = script.find_first_not_of(" \n");
        if (!prompt.thinking.open && at != std::string::npos &&
            script.compare(at, mark.size(), mark) == 0) {
            script.erase(0, at + mark.size());
        }
    }
    const size_t opens = script.find(format->opening);
    if (must && opens != std::string::npos) {
        script.erase(0, opens); // a call that has to come comes right away
    }
    if (prompt.thinking.open &&
        script.find(trimmed(prompt.thinking.ends.front())) == std::string::npos) {
        script = "I_think" + prompt.thinking.ends.front() + "\n" + script;
    }
    return script;
}

bool same(const std::vector<ToolCall> & a, const std::vector<ToolCall> & b) {
    return std::equal(
        a.begin(), a.end(), b.begin(), b.end(),
        [](const ToolCall & x, const ToolCall & y) {
            return x.name == y.name &&
                   nlohmann::json::parse(x.arguments, nullptr, false) ==
                       nlohmann::json::parse(y.arguments, nullptr, false);
        });
}

std::string show(const std::vector<ToolCall> & calls) {
    std::string text;
    for (const ToolCall & call : calls) {
        text += call.name + call.arguments + " ";
    }
    return text;
}

// Whether what the template writes for `answer` begins with the prompt for it.
bool follows(const ChatTemplate & chat, const Prompt & prompt, const ToolSet & tools, const Message & answer) {
    return text_of(chat.render({ user(question), answer }, &tools, false).tokens).rfind(text_of(prompt.tokens), 0) == 0;
}

void calls_come_back(const ChatTemplate &                   chat,
                     const std::shared_ptr<const ToolSet> & tools,
                     const std::vector<ToolCall> &          calls,
                     AnswerPlan::Calls                      kind,
                     bool                                   thoughts = false) {
    Message answer           = calling(calls);
    answer.reasoning         = thoughts ? "I_think" : "";
    const Prompt      prompt = chat.render({ user(question) }, tools.get(), true);
    const std::string script = script_for(chat, prompt, *tools, answer,
                                          kind == AnswerPlan::Calls::Required);
    if (thoughts && (!has(script, "I_think") || prompt.thinking.ends.empty() || !follows(chat, prompt, *tools, answer))) {
        return;
    }
    auto              ears   = std::make_shared<Listener>();
    Sampling          sampling;
    Answer            reader(ears, vocab, vocabulary, prompt,
                             plan_for(chat, prompt, tools, kind), sampling);
    Writer            writer(script, chat);
    const std::string what =
        std::string(kind == AnswerPlan::Calls::Auto ? "auto" : "required") +
        ", " + std::to_string(calls.size()) + " calls of " + calls[0].name + ": ";
    writer.write(reader);
    const std::string where =
        writer.left_at() == std::string::npos
            ? ""
            : ", left at " + excerpt(script, writer.left_at());
    const std::string told = what + "the template writes " + quoted(script) +
                             where + ", it became " + quoted(writer.written());
    const AnswerResult result = reader.result();
    if (!result.has_calls) {
        throw Problem("no call was seen; " + told);
    }
    if (!result.problem.empty()) {
        throw Problem("it does not parse: " + result.problem + "; " + told);
    }
    if (!same(result.calls, calls)) {
        throw Problem("got " + show(result.calls) + "; " + told);
    }
    if (!ears->shown.empty()) {
        throw Problem("shown as text: " + excerpt(ears->shown, 0) + "; " + told);
    }
}

std::string without_blanks(std::string text) {
    text.erase(std::remove_if(text.begin(), text.end(), [](unsigned char c) { return std::isspace(c); }), text.end());
    return text;
}

// A typed result is written where the template writes the text of an answer, behind the model's thoughts or without any.
void typed_results_come_back(const ChatTemplate & chat, const std::shared_ptr<const ToolSet> & tools, bool thoughts, AnswerPlan::Calls kind) {
    const std::string value  = R"({"city":"Oslo","passengers":2})";
    const auto        form   = make_output_format(R"({"type":"object","properties":{"city":{"type":"string"},"passengers":{"type":"integer"}},
                                                "required":["city","passengers"],"additionalProperties":false})",
                                                  vocab);
    const Message     answer = { "assistant", value, thoughts ? "I_think" : "", {}, "", "" };
    const Prompt      prompt = chat.render({ user(question) }, tools.get(), true);
    const std::string whole  = script_for(chat, prompt, *tools, answer, false);
    const std::string script = whole.substr(std::min(whole.find_first_not_of(" \n"), whole.size()));
    if (!follows(chat, prompt, *tools, answer) || !has(script, value) || (thoughts && (prompt.thinking.ends.empty() || !has(script, "I_think")))) {
        return;  // a template that leaves the thoughts of its messages out, or does not write answers behind what it opens them with
    }
    AnswerPlan plan = plan_for(chat, prompt, tools, kind);
    plan.output     = form->grammar;
    plan.schema     = form->schema;
    auto   ears     = std::make_shared<Listener>();
    Answer reader(ears, vocab, vocabulary, prompt, std::move(plan), {});
    Writer writer(script, chat);
    writer.write(reader);
    const std::string  told   = std::string(thoughts ? "after thoughts" : "at once") + ": the template writes " + quoted(script) + ", it became " +
                             quoted(writer.written());
    const AnswerResult  result   = reader.result();
    const std::string & shown    = ears->shown;
    const std::string & thought  = ears->thoughts;
    if (result.has_calls || result.output != value || trimmed(shown) != value) {
        throw Problem("the result is " + quoted(result.output) + ", shown as " + quoted(shown) + "; " + told);
    }
    if (without_blanks(writer.written()) != without_blanks(script)) {
        throw Problem("something else was written; " + told);
    }
    if (thoughts && !has(thought, "I_think")) {
        throw Problem("the thoughts are " + quoted(thought) + "; " + told);
    }
}

// However an answer is cut into pieces, its thoughts and its text are those of the whole.
void any_split_reads_the_same(const ChatTemplate & chat, const ToolSet & tools, bool thoughts) {
    const Message     answer = { "assistant", "A <b> text, {\"of\": 2}\n\nlines.", thoughts ? "I_think\nso" : "", {}, "", "" };
    const Prompt      prompt = chat.render({ user(question) }, &tools, true);
    const std::string script = script_for(chat, prompt, tools, answer, false);
    const auto        read   = [&](const std::vector<size_t> & cuts) {
        AnswerParser        parser(prompt.parser);
        AnswerParser::Delta sum;
        size_t              from = 0;
        const auto          add  = [&](const AnswerParser::Delta & delta) {
            sum.reasoning += delta.reasoning;
            sum.text += delta.text;
        };
        for (size_t cut : cuts) {
            add(parser.push(std::string_view(script).substr(from, cut - from)));
            from = cut;
        }
        add(parser.push(std::string_view(script).substr(from)));
        add(parser.finish());
        return std::make_pair(sum.reasoning, sum.text);
    };
    const auto          whole = read({});
    if (has(whole.second, "I_think")) {
        return;  // llama.cpp's parser does not know the form
    }
    std::vector<size_t> every;
    for (size_t i = 1; i < script.size(); i++) {
        every.push_back(i);
    }
    std::mt19937 random(1);
    for (int i = 0; i < 8; i++) {
        std::vector<size_t> cuts;
        std::copy_if(every.begin(), every.end(), std::back_inserter(cuts), [&](size_t) { return i == 0 || random() % 8 == 0; });
        const auto got = read(cuts);
        if (got != whole) {
            throw Problem("cut " + std::to_string(cuts.size()) + " times, " + quoted(script) + " is " + quoted(got.first) + " and " + quoted(got.second) + ", not " +
                          quoted(whole.first) + " and " + quoted(whole.second));
        }
    }
}

// A model that would begin with the value itself is led there too.
void typed_results_are_opened(const ChatTemplate & chat, const ToolSet & tools) {
    const Prompt prompt = chat.render({ user(question) }, &tools, true);
    if (prompt.thinking.open) {
        return;
    }
    AnswerPlan plan;
    const auto form = make_output_format(R"({"type":"boolean"})", vocab);
    plan.output     = form->grammar;
    plan.schema     = form->schema;
    plan.thinking   = prompt.thinking;
    plan.opening    = prompt.opening;
    Answer      reader(std::make_shared<Listener>(), vocab, vocabulary, prompt, std::move(plan), {});
    Writer      writer("true", chat);
    writer.write(reader);
    if (writer.written().rfind(prompt.opening.text.text, 0) != 0 || (reader.result().output != "true" && reader.result().output != "false")) {
        throw Problem("it became " + quoted(writer.written()));
    }
}

// ---------------------------------------------------------------------------------------------------------------------

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

// A template's program alone makes the prompts that llama-common makes with it, and what is kept of the analysis is what it would find again.
void program_agrees(const llama_model * model, const std::string & source) {
    const auto    templates = common_chat_templates_init(model, source);
    PromptProgram program(templates.get(), vocab);
    for (const bool with_tool : { false, true }) {
        common_chat_templates_inputs inputs;
        inputs.add_generation_prompt = true;
        inputs.reasoning_format      = COMMON_REASONING_FORMAT_AUTO;
        inputs.tool_choice           = COMMON_CHAT_TOOL_CHOICE_NONE;
        if (with_tool) {
            inputs.tools.push_back({ "book_flight2", "Books_seats", R"({"type":"object","properties":{"city":{"type":"string"}},"required":["city"]})" });
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
                return std::tie(p.prompt, p.generation_prompt, p.parser, p.additional_stops, p.preserved_tokens, p.thinking_start_tag, p.thinking_end_tags);
            };
            if (got.has_value() != expected.has_value() || (got && parts(*got) != parts(*expected))) {
                throw Problem("the prompt is " + quoted(got ? got->prompt : "refused") + ", not " + quoted(expected ? expected->prompt : "refused"));
            }
        }
    }
}

// ---------------------------------------------------------------------------------------------------------------------

struct Row {
    std::string              name;
    std::string              kind;
    std::vector<std::string> problems;
};

Row sweep(const llama_model * model, const std::string & path) {
    const size_t      slash = path.find_last_of("/\\");
    Row               row   = { path.substr(slash == std::string::npos ? 0 : slash + 1), "", {} };
    std::ifstream     file(path, std::ios::binary);
    const std::string source((std::istreambuf_iterator<char>(file)), {});
    const auto        attempt = [&](const char *                  check,
                                    const std::function<void()> & run) {
        try {
            run();
        } catch (const std::exception & e) {
            row.problems.push_back(std::string(check) + ": " + e.what());
        }
    };
    std::unique_ptr<ChatTemplate> chat;
    attempt("load",
            [&] { chat = std::make_unique<ChatTemplate>(model, source); });
    if (!chat) {
        return row;
    }
    const auto tools = ToolSet::parse(tools_text);
    row.kind         = !chat->takes(*tools)    ? "own"
                       : chat->several_calls() ? "native"
                                               : "native, one call";
    attempt("render", [&] {
        const auto prompt = chat->render({ user(question) }, tools.get(), true);
        row.kind += prompt.thinking.ends.empty() ? ""
                    : prompt.thinking.open       ? ", thinks at once"
                                                 : ", thinks";
        row.kind += prompt.opening.text.text.empty() ? "" : ", texts begin with " + quoted(prompt.opening.text.text);
    });
    attempt("prompt", [&] { nothing_is_lost(*chat, *tools); });
    attempt("names", [&] { names_stay_text(*chat); });
    attempt("known", [&] { known_parts_change_nothing(*chat, *tools); });
    for (const auto kind : { AnswerPlan::Calls::None, AnswerPlan::Calls::Auto }) {
        attempt("typed", [&] { typed_results_come_back(*chat, tools, false, kind); });
        attempt("typed", [&] { typed_results_come_back(*chat, tools, true, kind); });
    }
    attempt("splits", [&] { any_split_reads_the_same(*chat, *tools, false); });
    attempt("splits", [&] { any_split_reads_the_same(*chat, *tools, true); });
    attempt("opened", [&] { typed_results_are_opened(*chat, *tools); });
    for (const auto kind :
         { AnswerPlan::Calls::Required, AnswerPlan::Calls::Auto }) {
        attempt("one", [&] { calls_come_back(*chat, tools, { flight }, kind); });
        attempt("thought over", [&] { calls_come_back(*chat, tools, { flight }, kind, true); });
        attempt("other", [&] { calls_come_back(*chat, tools, { mesh }, kind); });
        if (chat->takes(*tools) && !chat->several_calls()) {
            continue;
        }
        attempt("two",
                [&] { calls_come_back(*chat, tools, { flight, mesh }, kind); });
        attempt("three", [&] {
            calls_come_back(*chat, tools, { flight, mesh, plain }, kind);
        });
    }
    return row;
}

} // namespace

int main(int argc, char ** argv) {
    if (argc < 3) {
        std::fprintf(stderr,
                     "usage: luup-template-cases model.gguf template.jinja …\n");
        return 2;
    }
    llama_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
    llama_model_params params = llama_model_default_params();
    params.vocab_only         = true;
    llama_model * model       = llama_model_load_from_file(argv[1], params);
    if (!model) {
        std::fprintf(stderr, "%s can't be loaded\n", argv[1]);
        return 2;
    }
    vocab      = llama_model_get_vocab(model);
    vocabulary = std::make_shared<const Vocabulary>(vocab);
    int failed = 0;
    for (int i = 2; i < argc; i++) {
        const Row row = sweep(model, argv[i]);
        std::printf("%s %s: %s\n", row.problems.empty() ? "ok    " : "FAILED",
                    row.name.c_str(), row.kind.c_str());
        for (const std::string & problem : row.problems) {
            std::printf("        %s\n", problem.c_str());
        }
        std::fflush(stdout);
        failed += !row.problems.empty();
    }
    vocabulary.reset();
    llama_model_free(model);
    return failed > 0;
}
