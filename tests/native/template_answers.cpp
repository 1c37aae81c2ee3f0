// What a model answers in the form of a chat template, and how it is read.
#include "template_cases.h"

#include "grounding.h"
#include "sampler.h"
#include "tool_format.h"

#include <cctype>
#include <iterator>
#include <random>

namespace template_cases {

namespace {

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
    plan.native   = chat.native_tools();
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

}  // namespace

void calls_come_back(const ChatTemplate &                   chat,
                     const std::shared_ptr<const ToolSet> & tools,
                     const std::vector<ToolCall> &          calls,
                     AnswerPlan::Calls                      kind,
                     bool                                   thoughts) {
    Message answer           = calling(calls);
    answer.reasoning         = thoughts ? "I_think" : "";
    const Prompt      prompt = chat.render({ user(question) }, tools.get(), true);
    const std::string script = script_for(chat, prompt, *tools, answer,
                                          kind == AnswerPlan::Calls::Required);
    if (thoughts && (!has(script, "I_think") || prompt.thinking.ends.empty() || !follows(chat, prompt, *tools, answer))) {
        return;
    }
    auto              ears = std::make_shared<Listener>();
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
    const std::string  told   = what + "the template writes " + quoted(script) +
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

namespace {

std::string without_blanks(std::string text) {
    text.erase(std::remove_if(text.begin(), text.end(), [](unsigned char c) { return std::isspace(c); }), text.end());
    return text;
}

}  // namespace

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
    const std::string   told    = std::string(thoughts ? "after thoughts" : "at once") + ": the template writes " + quoted(script) + ", it became " +
                                  quoted(writer.written());
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
    Answer reader(std::make_shared<Listener>(), vocab, vocabulary, prompt, std::move(plan), {});
    Writer writer("true", chat);
    writer.write(reader);
    if (writer.written().rfind(prompt.opening.text.text, 0) != 0 || (reader.result().output != "true" && reader.result().output != "false")) {
        throw Problem("it became " + quoted(writer.written()));
    }
}

}  // namespace template_cases
