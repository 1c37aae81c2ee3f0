// Reading answers in the form of a chat template.
#include "template_cases.h"
#include "writer.h"

#include "answer/grounding.h"
#include "engine/sampler.h"
#include "chat/tool_format.h"

#include <cctype>
#include <iterator>
#include <random>

namespace template_cases {

namespace {

AnswerPlan plan_for(const ChatTemplate & chat, const Prompt & prompt, const std::shared_ptr<const ToolSet> & tools,
                    CallPlan::Mode calls) {
    AnswerPlan plan;
    plan.thinking       = make_thinking_plan(chat, prompt.thinking);
    plan.opening        = prompt.opening;
    plan.calls.mode     = calls;
    plan.calls.parallel = true;
    plan.calls.native   = chat.native_tools();
    plan.calls.tools    = tools;
    plan.calls.format   = chat.tool_format(*tools, true);
    plan.calls.given    = std::make_shared<const Grounding>(question);
    return plan;
}

bool same(const std::vector<ToolCall> & a, const std::vector<ToolCall> & b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const ToolCall & x, const ToolCall & y) {
        return x.name == y.name &&
               nlohmann::json::parse(x.arguments, nullptr, false) == nlohmann::json::parse(y.arguments, nullptr, false);
    });
}

std::string show(const std::vector<ToolCall> & calls) {
    std::string text;
    for (const ToolCall & call : calls) {
        text += call.name + call.arguments + " ";
    }
    return text;
}

// Returns whether the template's text for `answer` begins with the prompt for it.
bool follows(const ChatTemplate & chat, const Prompt & prompt, const ToolSet & tools, const Message & answer) {
    return text_of(chat.render({ user(question), answer }, &tools, false).tokens).rfind(text_of(prompt.tokens), 0) == 0;
}

}  // namespace

void calls_come_back(const ChatTemplate & chat, const std::shared_ptr<const ToolSet> & tools,
                     const std::vector<ToolCall> & calls, CallPlan::Mode kind, bool thoughts) {
    Message answer           = calling(calls);
    answer.reasoning         = thoughts ? "I_think" : "";
    const Prompt      prompt = chat.render({ user(question) }, tools.get(), true);
    const std::string script = script_for(chat, prompt, *tools, answer, kind == CallPlan::Mode::Required);
    if (thoughts &&
        (!has(script, "I_think") || prompt.thinking.ends.empty() || !follows(chat, prompt, *tools, answer))) {
        return;
    }
    auto              ears = std::make_shared<Listener>();
    Sampling          sampling;
    Answer            reader(ears, vocab, vocabulary, prompt, plan_for(chat, prompt, tools, kind), sampling);
    Writer            writer(script, chat);
    const std::string what = std::string(kind == CallPlan::Mode::Auto ? "auto" : "required") + ", " +
                             std::to_string(calls.size()) + " calls of " + calls[0].name + ": ";
    writer.write(reader);
    const std::string where =
        writer.left_at() == std::string::npos ? "" : ", left at " + excerpt(script, writer.left_at());
    const std::string told =
        what + "the template writes " + quoted(script) + where + ", it became " + quoted(writer.written());
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

namespace {

std::string without_blanks(std::string text) {
    text.erase(std::remove_if(text.begin(), text.end(), [](unsigned char c) { return std::isspace(c); }), text.end());
    return text;
}

}  // namespace

// A typed result is written where the template writes the text of an answer, behind the model's thoughts or without
// any.
void typed_results_come_back(const ChatTemplate & chat, const std::shared_ptr<const ToolSet> & tools, bool thoughts,
                             CallPlan::Mode kind) {
    const std::string value = R"({"city":"Oslo","passengers":2})";
    const auto        form  = make_output_format(
        { OutputSource::Kind::Schema,
          R"({"type":"object","properties":{"city":{"type":"string"},"passengers":{"type":"integer"}},
                                                "required":["city","passengers"],"additionalProperties":false})" },
        vocab);
    const Message     answer = Message::assistant(value, thoughts ? "I_think" : "");
    const Prompt      prompt = chat.render({ user(question) }, tools.get(), true);
    const std::string whole  = script_for(chat, prompt, *tools, answer, false);
    const std::string script = whole.substr(std::min(whole.find_first_not_of(" \n"), whole.size()));
    if (!follows(chat, prompt, *tools, answer) || !has(script, value) ||
        (thoughts && (prompt.thinking.ends.empty() || !has(script, "I_think")))) {
        return;  // a template that leaves the thoughts of its messages out, or does not write answers behind what it
                 // opens them with
    }
    AnswerPlan plan     = plan_for(chat, prompt, tools, kind);
    plan.output.grammar = form->grammar;
    plan.output.schema  = form->schema;
    auto   ears         = std::make_shared<Listener>();
    Answer reader(ears, vocab, vocabulary, prompt, std::move(plan), {});
    Writer writer(script, chat);
    writer.write(reader);
    const std::string   told    = std::string(thoughts ? "after thoughts" : "at once") + ": the template writes " +
                                  quoted(script) + ", it became " + quoted(writer.written());
    const AnswerResult  result  = reader.result();
    const std::string & shown   = ears->shown;
    const std::string & thought = ears->thoughts;
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
    const Message     answer = Message::assistant("A <b> text, {\"of\": 2}\n\nlines.", thoughts ? "I_think\nso" : "");
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
    const auto whole = read({});
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
        std::copy_if(every.begin(), every.end(), std::back_inserter(cuts),
                     [&](size_t) { return i == 0 || random() % 8 == 0; });
        const auto got = read(cuts);
        if (got != whole) {
            throw Problem("cut " + std::to_string(cuts.size()) + " times, " + quoted(script) + " is " +
                          quoted(got.first) + " and " + quoted(got.second) + ", not " + quoted(whole.first) + " and " +
                          quoted(whole.second));
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
    const auto form     = make_output_format({ OutputSource::Kind::Schema, R"({"type":"boolean"})" }, vocab);
    plan.output.grammar = form->grammar;
    plan.output.schema  = form->schema;
    plan.thinking.texts = prompt.thinking;
    plan.opening        = prompt.opening;
    Answer reader(std::make_shared<Listener>(), vocab, vocabulary, prompt, std::move(plan), {});
    Writer writer("true", chat);
    writer.write(reader);
    if (writer.written().rfind(prompt.opening.text.text, 0) != 0 ||
        (reader.result().output != "true" && reader.result().output != "false")) {
        throw Problem("it became " + quoted(writer.written()));
    }
}

}  // namespace template_cases
