#include "chat/template_probe.h"

#include "base/child_trial.h"
#include "base/error.h"
#include "base/text.h"
#include "chat/conversion.h"
#include "chat/prompt_program.h"
#include "chat/template_run.h"
#include "chat/tool_format.h"

#include "common/chat.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <new>
#include <stdexcept>

namespace luup {

namespace {

constexpr size_t      max_template_bytes = 512 * 1024;  // the largest of a well-known model has about 30 KB
constexpr size_t      max_sample         = 4000;        // bytes of the calls that a template writes
constexpr TrialLimits trial_limits       = { 2, 512u << 20 };

constexpr char question_text[] = "luup_question";
constexpr char answer_text[]   = "luup_answer";
constexpr char thought_text[]  = "luup_thought";

// Calls of two tools. A prompt that keeps every part of them contains each of these names and values.
const std::vector<ToolCall> & sample_calls() {
    static const std::vector<ToolCall> calls = {
        { "LuupIdA01", "luup_tool_a",
          R"({"luup_parameter_a":"luup_argument_a","count":71,"inner":{"street":"luup_street_a"}})" },
        { "LuupIdB02", "luup_tool_b",
          R"({"luup_parameter_b":"luup_argument_b","count":72,"inner":{"street":"luup_street_b"}})" },
    };
    return calls;
}

Tool sample_tool(const std::string & name) {
    const std::string letter    = name.substr(name.size() - 1);
    const std::string parameter = "luup_parameter_" + letter;
    return make_tool(name, "luup_description_" + letter,
                     R"({"type":"object","properties":{")" + parameter + R"(":{"type":"string"},
                     "count":{"type":"integer"},
                     "inner":{"type":"object","properties":{"street":{"type":"string"}},"required":["street"],
                              "additionalProperties":false}},
                     "required":[")" +
                         parameter + R"(","count","inner"],"additionalProperties":false})");
}

const std::shared_ptr<const ToolSet> & sample_tools() {
    static const auto tools = std::make_shared<const ToolSet>(
        std::vector<Tool>{ sample_tool(sample_calls()[0].name), sample_tool(sample_calls()[1].name) });
    return tools;
}

Message sample_question() {
    return Message::user(question_text);
}

common_chat_templates_inputs sample_inputs(const std::vector<Message> & messages, bool open_answer) {
    std::vector<common_chat_msg> converted;
    for (const Message & m : messages) {
        converted.push_back(to_common(m));
    }
    auto inputs = prompt_inputs(std::move(converted), open_answer);
    for (const Tool & tool : sample_tools()->tools()) {
        inputs.tools.push_back(to_common(tool));
    }
    return inputs;
}

// Two calls and their results; the calls in one message or in two.
common_chat_templates_inputs sample_conversation(bool one_message) {
    const ToolCall & a        = sample_calls()[0];
    const ToolCall & b        = sample_calls()[1];
    const Message    result_a = Message::tool_result(a, "luup_result_a");
    const Message    result_b = Message::tool_result(b, "luup_result_b");
    if (one_message) {
        return sample_inputs({ sample_question(), Message::assistant("", "", { a, b }), result_a, result_b }, true);
    }
    return sample_inputs(
        { sample_question(), Message::assistant("", "", { a }), result_a, Message::assistant("", "", { b }), result_b },
        true);
}

bool keeps_everything(const std::string & prompt) {
    for (const char * part : { question_text, "luup_tool_a", "luup_description_a", "luup_argument_a", "luup_street_a",
                               "71", "luup_result_a", "luup_tool_b", "luup_description_b", "luup_argument_b",
                               "luup_street_b", "72", "luup_result_b" }) {
        if (prompt.find(part) == std::string::npos) {
            return false;
        }
    }
    return true;
}

// Return the part of `text` that ends at `end` and begins behind the last of `marks` before that.
std::string behind(const std::string & text, size_t end, const std::vector<std::string> & marks) {
    size_t begin = 0;
    for (const std::string & mark : marks) {
        const size_t at = mark.empty() ? std::string::npos : text.rfind(mark, end);
        begin = at != std::string::npos && at + mark.size() <= end ? std::max(begin, at + mark.size()) : begin;
    }
    return text.substr(begin, end - begin);
}

// Return `text` without the white space at both ends.
std::string trimmed(const std::string & text) {
    const size_t begin = text.find_first_not_of(" \n\t\r");
    return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(" \n\t\r") - begin + 1);
}

// Return whether `text` consists of `markers` and white space only.
bool consists_of(const std::string & text, const std::vector<std::string> & markers) {
    for (size_t at = 0; at < text.size();) {
        const auto here = [&](const std::string & m) { return !m.empty() && text.compare(at, m.size(), m) == 0; };
        const auto m    = std::find_if(markers.begin(), markers.end(), here);
        if (m == markers.end() && !std::isspace(static_cast<unsigned char>(text[at]))) {
            return false;
        }
        at += m == markers.end() ? 1 : m->size();
    }
    return true;
}

// Return where the first tag in `text` that ends thoughts ends; 0 if there is none.
size_t end_of_thoughts(const common_chat_params & params, const std::string & text) {
    size_t end = std::string::npos;
    for (const std::string & tag : params.thinking_end_tags) {
        const size_t at = tag.empty() ? std::string::npos : text.find(tag);
        end             = at == std::string::npos ? end : std::min(end, at + tag.size());
    }
    return end == std::string::npos ? 0 : end;
}

class Probe {
  public:
    Probe(const common_chat_templates * templates, PromptProgram & program, const llama_vocab * vocab,
          const std::vector<std::string> & controls)
        : templates_(templates), program_(program), vocab_(vocab) {
        traits_.format.controls = controls;
    }

    TemplateTraits run() {
        find_native_tools();
        find_answer_opening();
        // Some templates write white space before the tag that ends a call, and others must not have it.
        for (bool tight : { true, false }) {
            traits_.format.tight_ends = tight;
            if (!traits_.native_tools || calls_come_back({ sample_calls()[0] })) {
                break;
            }
            traits_.native_tools = tight;
        }
        traits_.several_parsed = traits_.native_tools && traits_.several_calls && calls_come_back(sample_calls());
        return traits_;
    }

  private:
    common_chat_params apply(const std::vector<Message> & messages, bool open_answer) {
        return program_.apply(sample_inputs(messages, open_answer));
    }

    void find_native_tools() {
        for (bool one_message : { true, false }) {
            try {
                traits_.native_tools = keeps_everything(program_.apply(sample_conversation(one_message)).prompt);
            } catch (const std::bad_alloc &) {
                throw;
            } catch (const std::exception &) {
                traits_.native_tools = false;
            }
            if (traits_.native_tools) {
                traits_.several_calls = one_message;
                break;
            }
        }
    }

    // Find the texts before the text of an answer, and between thoughts and the text.
    void find_answer_opening() {
        try {
            const common_chat_params before = apply({ sample_question() }, true);
            const auto               render = [&](const char * thought) {
                return apply({ sample_question(), Message::assistant(answer_text, thought) }, false).prompt;
            };
            const auto follows = [&](const std::string & whole) {
                return whole.compare(0, before.prompt.size(), before.prompt) == 0 &&
                       whole.find(answer_text) != std::string::npos;
            };
            const std::string whole = render(""), thinking = render(thought_text);
            const size_t      thought = thinking.find(thought_text), answer = thinking.find(answer_text);
            std::string       text, between;
            if (follows(whole)) {
                text = whole.substr(before.prompt.size(), whole.find(answer_text) - before.prompt.size());
                traits_.opening_text = trimmed(text);
                text.erase(0, end_of_thoughts(before, text));  // empty thoughts
                text.erase(0, text.find_first_not_of(" \n"));
            }
            if (thought < answer && answer != std::string::npos) {
                const size_t end = thought + std::strlen(thought_text);
                between          = thinking.substr(end, answer - end);
                traits_.closing  = between.substr(0, end_of_thoughts(before, between));
                between.erase(0, traits_.closing.size());
                if (!traits_.closing.empty() && trimmed(between).empty()) {
                    traits_.closing += between;
                }
            }
            if (!follows(whole) && follows(thinking) && leaves_thoughts_open(before.prompt, thinking_of(before))) {
                text = between;  // every answer has thoughts
            }
            if (trimmed(text).empty() || (!before.thinking_start_tag.empty() &&
                                          text.find(trimmed(before.thinking_start_tag)) != std::string::npos)) {
                return;
            }
            traits_.opening.text = template_text(text);
            if (ends_with(between, text)) {
                between.resize(between.size() - text.size());
                traits_.opening.after_thoughts = template_text(between);
            }
        } catch (const std::bad_alloc &) {
            throw;
        } catch (const std::exception &) {
            // the template can't render such an answer
        }
    }

    // Return whether the format's grammar takes calls as the template writes them, which is how its models were trained
    // to write them, and whether its parser reads them.
    bool calls_come_back(const std::vector<ToolCall> & calls) {
        try {
            const common_chat_params before = apply({ sample_question() }, true);
            const std::string whole = apply({ sample_question(), Message::assistant("", "", calls) }, false).prompt;
            const auto parts = std::mismatch(before.prompt.begin(), before.prompt.end(), whole.begin(), whole.end());
            size_t     from  = static_cast<size_t>(parts.second - whole.begin());
            while (from > 0 && from < before.prompt.size() && !std::strchr(" \n>]", whole[from - 1])) {
                from--;  // to the beginning of the marker in which they differ
            }
            std::string text = whole.substr(from);
            if (text.size() > max_sample) {
                return false;
            }
            std::vector<std::string> marks = before.thinking_end_tags;
            marks.push_back(before.thinking_start_tag);
            auto         format = make_format(calls.size() > 1);
            const size_t begin  = format ? find_call(*format, text) : std::string::npos;
            if (begin == std::string::npos) {
                return false;
            }
            const std::string prelude = trimmed(behind(text, begin, marks));
            if (traits_.format.prelude.empty() && !prelude.empty() && !format->opening.empty() &&
                consists_of(prelude, format->markers)) {
                traits_.format.prelude = prelude;
                format                 = make_format(calls.size() > 1);
            }
            const Thinking thinking = thinking_of(before);
            if (leaves_thoughts_open(before.prompt, thinking) &&
                text.find(thinking.ends.front()) == std::string::npos) {
                text = thinking.ends.front() + text;
            }
            return reads_back(*format, text, calls);
        } catch (const std::bad_alloc &) {
            throw;
        } catch (const std::exception &) {
            return false;
        }
    }

    std::shared_ptr<const ToolFormat> make_format(bool parallel) const {
        return native_format(templates_, *sample_tools(), parallel, traits_.format, vocab_);
    }

    TemplateText template_text(const std::string & text) const {
        return { text, tokenize_text(vocab_, text, false, true) };
    }

    static Thinking thinking_of(const common_chat_params & params) {
        return { params.thinking_start_tag, params.thinking_end_tags, false };
    }

    const common_chat_templates * templates_;
    PromptProgram &               program_;
    const llama_vocab *           vocab_;
    TemplateTraits                traits_;
};

}  // namespace

void check_template(const llama_model * model, const std::string & source) {
    const char *      own  = llama_model_chat_template(model, nullptr);
    const std::string text = !source.empty() ? source : own ? own : "";
    if (text.size() > max_template_bytes) {
        fail(LUUP_ERROR_CHAT_TEMPLATE, "the chat template has %zu bytes; at most %zu are accepted", text.size(),
             max_template_bytes);
    }
    try {
        jinja::lexer lexer;
        jinja::parse_from_tokens(lexer.tokenize(text));
    } catch (const std::bad_alloc &) {
        throw;
    } catch (const std::exception & e) {
        fail(LUUP_ERROR_CHAT_TEMPLATE, "the chat template does not parse: %s", e.what());
    }
    const auto render = [&] {
        const auto templates = common_chat_templates_init(model, source);
        const auto inputs    = prompt_inputs({ to_common(Message::user("Hello")) }, true);
        if (common_chat_templates_apply(templates.get(), inputs).prompt.empty()) {
            throw std::runtime_error("the prompt is empty");
        }
        try {  // a template may refuse tools, but not crash
            common_chat_templates_apply(templates.get(), sample_conversation(true));
        } catch (const std::bad_alloc &) {
            throw;
        } catch (const std::exception &) {
        }
    };
    const auto        trial  = [&] { run_within(limits_for_probes(), render); };
    const std::string reason = try_in_child(trial, trial_limits);
    if (!reason.empty()) {
        fail(LUUP_ERROR_CHAT_TEMPLATE, "the chat template can't render a first message: %s", reason.c_str());
    }
}

MessageOrders find_orders(PromptProgram & program, bool native_tools) {
    const auto render = [&](const std::vector<Message> & messages) {
        auto inputs = sample_inputs(messages, true);
        inputs.tools.clear();
        return program.apply(inputs).prompt;
    };
    MessageOrders orders = probe_orders(render, false);
    if (native_tools) {
        const auto with_tools = [&](const auto & messages) {
            return program.apply(sample_inputs(messages, true)).prompt;
        };
        const MessageOrders other = probe_orders(with_tools, true);
        orders.later_system &= other.later_system;
        orders.users_in_a_row &= other.users_in_a_row;
        orders.answers_in_a_row &= other.answers_in_a_row;
        orders.answer_first &= other.answer_first;
        orders.user_after_tool &= other.user_after_tool;
        orders.text_with_calls &= other.text_with_calls;
        orders.calls_after_text &= other.calls_after_text;
    }
    return orders;
}

TemplateTraits probe_template(const common_chat_templates * templates, PromptProgram & program,
                              const llama_vocab * vocab, const std::vector<std::string> & controls) {
    return Probe(templates, program, vocab, controls).run();
}

}  // namespace luup
