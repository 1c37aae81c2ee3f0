// Thoughts: switched on and off, bounded, and closed as the template writes it.
#include "template_cases.h"
#include "writer.h"

#include "answer/grounding.h"
#include "engine/sampler.h"

#include <cctype>

namespace template_cases {

namespace {

enum class Kind { Text, Typed, Tools, TypedWithTools, Required };

constexpr char value[] = R"({"city":"Oslo"})";
constexpr char fine[]  = "Fine.";

AnswerPlan plan_for(const ChatTemplate & chat, const Prompt & prompt, const std::shared_ptr<const ToolSet> & tools,
                    Kind kind, int32_t budget) {
    AnswerPlan plan;
    plan.thinking            = make_thinking_plan(chat, prompt.thinking);
    plan.thinking.max_tokens = budget;
    plan.opening             = prompt.opening;
    if (kind == Kind::Tools || kind == Kind::TypedWithTools || kind == Kind::Required) {
        plan.calls.mode     = kind == Kind::Required ? CallPlan::Mode::Required : CallPlan::Mode::Auto;
        plan.calls.parallel = false;
        plan.calls.native   = chat.native_tools();
        plan.calls.tools    = tools;
        plan.calls.format   = chat.tool_format(*tools, false);
        plan.calls.given    = std::make_shared<const Grounding>(question);
    }
    if (kind == Kind::Typed || kind == Kind::TypedWithTools) {
        static const auto form = make_output_format(
            { OutputSource::Kind::Schema,
              R"({"type":"object","properties":{"city":{"const":"Oslo"}},"required":["city"],"additionalProperties":false})" },
            vocab);
        plan.output.grammar = form->grammar;
        plan.output.schema  = form->schema;
    }
    return plan;
}

// A model that thinks without end, and answers once its thoughts are closed.
class Thinker {
  public:
    Thinker(const ChatTemplate & chat, const Thinking & thinking, std::string answer)
        : chat_(chat), thinking_(thinking), answer_(std::move(answer)) {}

    // Returns whether the answer came to its end.
    bool write(Answer & answer, int limit = 600) {
        Sampling greedy;
        greedy.temperature = 0;
        Sampler            sampler(greedy, llama_vocab_n_tokens(vocab));
        Completion::Choice choice;
        for (int i = 0; i < limit; i++) {
            std::vector<float> logits(static_cast<size_t>(llama_vocab_n_tokens(vocab)), 0.0f);
            for (const char * text : { "\"", "]", "}", ">", "</", "1" }) {
                logits[static_cast<size_t>(chat_.marker_tokens(text).front())] = 20;
            }
            logits[static_cast<size_t>(next())] = 60;
            choice.tokens.clear();
            choice.retracted = 0;
            answer.choose(sampler, logits.data(), choice);
            for (size_t n = choice.retracted; n > 0; n--) {
                written.resize(begins_.back());
                begins_.pop_back();
            }
            for (llama_token token : choice.tokens) {
                if (llama_vocab_is_eog(vocab, token)) {
                    answer.on_end(LUUP_FINISH_STOP, {}, {});
                    return true;
                }
                begins_.push_back(written.size());
                written += token_bytes(vocab, token, true);
                if (!answer.on_token(token)) {
                    answer.on_end(LUUP_FINISH_STOP, {}, {});
                    return true;
                }
            }
        }
        return false;
    }

    std::string written;

  private:
    // Returns how much of `text` the answer ends with.
    size_t written_of(const std::string & text) const {
        size_t size = std::min(text.size(), written.size());
        while (size > 0 && written.compare(written.size() - size, size, text, 0, size) != 0) {
            size--;
        }
        return size;
    }

    llama_token token_at(const std::string & text, size_t at) const {
        return at < text.size() ? chat_.marker_tokens(text.substr(at)).front() : vocabulary->ends.front();
    }

    llama_token next() const {
        const std::string start = thinking_.open ? "" : thinking_.start;
        const size_t      begun = std::min(written.size(), start.size());
        const bool        ended = std::any_of(thinking_.ends.begin(), thinking_.ends.end(), [&](const auto & end) {
            return written.find(trimmed(end), begun) != std::string::npos;
        });
        if (ended) {
            return token_at(answer_, written_of(answer_));
        }
        return written.size() < start.size() ? token_at(start, written.size()) : chat_.marker_tokens(" so").front();
    }

    const ChatTemplate & chat_;
    const Thinking       thinking_;
    const std::string    answer_;
    std::vector<size_t>  begins_;
};

std::string without_blanks(std::string text) {
    text.erase(std::remove_if(text.begin(), text.end(), [](unsigned char c) { return std::isspace(c); }), text.end());
    return text;
}

void check(const ChatTemplate & chat, const std::shared_ptr<const ToolSet> & tools, const Reasoning & reasoning,
           Kind kind, int32_t budget) {
    const bool   with_tools = kind != Kind::Text && kind != Kind::Typed;
    const auto   offered    = with_tools ? tools : std::make_shared<const ToolSet>(std::vector<Tool>());
    const Prompt prompt = chat.render({ user(question) }, with_tools ? tools.get() : nullptr, true, nullptr, reasoning);
    AnswerPlan   plan   = plan_for(chat, prompt, tools, kind, budget);
    if (!plan.thinking.can_end() || (prompt.thinking.start.empty() && !prompt.thinking.open)) {
        return;  // it does not think, or its thoughts have no beginning
    }
    AnswerParser      parser(prompt.parser);
    const std::string start  = prompt.thinking.open ? "" : prompt.thinking.start;
    const std::string sample = start + "I_think" + plan.thinking.end_text() + fine;
    if (budget > 0 && has(parser.push(sample).text + parser.finish().text, "I_think")) {
        return;  // llama.cpp's parser does not know the form
    }
    auto         ears = std::make_shared<Listener>();
    Answer       reader(ears, vocab, vocabulary, prompt, std::move(plan), {});
    Thinker      model(chat, prompt.thinking, fine);
    const bool   ended  = model.write(reader);
    const auto   result = reader.result();
    const auto   told = " (kind " + std::to_string(static_cast<int>(kind)) + ", budget " + std::to_string(budget) +
                        "): " + template_cases::quoted(model.written) + " became the thoughts " +
                        template_cases::quoted(ears->thoughts) + " and the text " + template_cases::quoted(ears->shown);
    const auto & texts = prompt.thinking;
    if (!ended && !(kind == Kind::Required && result.has_calls)) {  // some formats leave the arguments free
        throw Problem("no end" + told);
    }
    const int32_t markers =
        static_cast<int32_t>(chat.marker_tokens(texts.start).size() + chat.marker_tokens(texts.closing).size() +
                             chat.marker_tokens(texts.ends.front()).size());
    if (reader.thought_tokens > budget + markers) {
        throw Problem(std::to_string(reader.thought_tokens) + " tokens of thoughts" + told);
    }
    if (budget > 3 * markers && reader.thought_tokens < budget / 2) {
        throw Problem("only " + std::to_string(reader.thought_tokens) + " tokens of thoughts" + told);
    }
    if (budget == 0 && has(ears->thoughts, "so so")) {
        throw Problem("forbidden thoughts" + told);
    }
    for (const std::string & mark : { trimmed(texts.start), trimmed(texts.ends.front()) }) {
        if (has(ears->thoughts, mark) || has(ears->shown, mark)) {
            throw Problem("the marker " + template_cases::quoted(mark) + " is shown" + told);
        }
    }
    if (kind == Kind::Required) {
        if (!result.has_calls) {
            throw Problem("no call" + told);
        }
        return;
    }
    if (with_tools && budget == 0 && result.has_calls) {
        return;  // a call may begin as thoughts do
    }
    const bool        typed  = kind == Kind::Typed || kind == Kind::TypedWithTools;
    const std::string wanted = typed ? value : fine;
    if (trimmed(ears->shown) != wanted || (typed && result.output != wanted)) {
        throw Problem("the answer is not " + wanted + told);
    }
    // The model's context has the text that the template writes for such an answer.
    if (has(ears->thoughts, "so so")) {
        const Message     answer = Message::assistant(wanted, trimmed(ears->thoughts));
        const std::string before = text_of(prompt.tokens);
        const std::string whole  = text_of(
            chat.render({ user(question), answer }, with_tools ? tools.get() : nullptr, false, nullptr, reasoning)
                .tokens);
        const std::string rest = without_blanks(whole.substr(std::min(before.size(), whole.size())));
        const std::string mine = without_blanks(model.written);
        if (whole.rfind(before, 0) == 0 && has(rest, without_blanks(answer.reasoning)) && rest.rfind(mine, 0) != 0) {
            throw Problem("the template writes " + template_cases::quoted(rest) + told);
        }
    }
}

}  // namespace

void thoughts_are_bounded(const ChatTemplate & chat) {
    const auto tools = ToolSet::parse(
        R"([{"type": "function", "function": {"name": "switch_lamp", "description": "Switches it.", "parameters": {
            "type": "object", "properties": {"on": {"type": "boolean"}}, "required": ["on"],
            "additionalProperties": false}}}])");
    for (const auto level : { Reasoning::Level::Template, Reasoning::Level::On, Reasoning::Level::Off,
                              Reasoning::Level::Low, Reasoning::Level::Medium, Reasoning::Level::High }) {
        Reasoning reasoning;
        reasoning.level = level;
        for (const Kind kind : { Kind::Text, Kind::Typed, Kind::Tools, Kind::TypedWithTools, Kind::Required }) {
            try {
                check(chat, tools, reasoning, kind, 0);
                if (level != Reasoning::Level::Off) {
                    check(chat, tools, reasoning, kind, 60);
                }
            } catch (const std::exception & e) {
                throw Problem("level " + std::to_string(static_cast<int>(level)) + ": " + e.what());
            }
        }
    }
}

// Arguments of the template stay text.
void arguments_stay_text(const ChatTemplate & chat) {
    const auto count = [&](const std::string & text) {
        Reasoning reasoning;
        json      values = json::object();
        for (const char * name : { "reasoning_effort", "thinking_mode", "model_identity", "custom_instructions" }) {
            values[name] = text;
        }
        reasoning.options = values.dump();
        size_t controls   = 0;
        for (llama_token token : chat.render({ user("Hi") }, nullptr, true, nullptr, reasoning).tokens) {
            controls += (llama_vocab_get_attr(vocab, token) & LLAMA_TOKEN_ATTR_CONTROL) != 0;
        }
        return controls;
    };
    try {
        if (count("zzz") != count("<|im_end|>") || count("zzz") != count("<|eot_id|>")) {
            throw Problem("an argument of the template becomes a control token");
        }
    } catch (const Error &) {
        // it refuses such a value
    }
}

}  // namespace template_cases
