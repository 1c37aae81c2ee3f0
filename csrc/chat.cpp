#include "chat.h"

#include "error.h"
#include "prompt_program.h"
#include "tool_format.h"
#include "tools.h"
#include "trial.h"

#include "common/chat.h"

#include <algorithm>
#include <cctype>
#include <cstring>

namespace luup {

namespace {

constexpr size_t      max_template_bytes   = 512 * 1024;  // the largest of a well-known model has about 30 KB
constexpr int         max_template_nesting = 100;
constexpr TrialLimits trial_limits         = { 2, 512u << 20 };

common_chat_templates_inputs inputs_for(std::vector<common_chat_msg> messages, bool open_answer) {
    common_chat_templates_inputs inputs;
    inputs.messages              = std::move(messages);
    inputs.add_generation_prompt = open_answer;
    inputs.use_jinja             = true;
    inputs.parallel_tool_calls   = true;
    inputs.reasoning_format      = COMMON_REASONING_FORMAT_AUTO;
    inputs.tool_choice           = COMMON_CHAT_TOOL_CHOICE_NONE;  // the prompt is the same, and no grammar is made
    return inputs;
}

common_chat_msg to_common(const Message & m) {
    common_chat_msg message;
    message.role              = m.role;
    message.content           = m.content;
    message.reasoning_content = m.reasoning;
    message.tool_call_id      = m.tool_call_id;
    message.tool_name         = m.tool_name;
    for (const ToolCall & call : m.tool_calls) {
        message.tool_calls.push_back({ call.name, call.arguments, call.id });
    }
    return message;
}

// Two tools and their calls whose every part can be found again in the prompt if the template keeps it.
const std::vector<ToolCall> & sample_calls() {
    static const std::vector<ToolCall> calls = {
        { "LuupIdA01", "luup_tool_a", R"({"luup_parameter_a":"luup_argument_a","count":71,"inner":{"street":"luup_street_a"}})" },
        { "LuupIdB02", "luup_tool_b", R"({"luup_parameter_b":"luup_argument_b","count":72,"inner":{"street":"luup_street_b"}})" },
    };
    return calls;
}

std::shared_ptr<const ToolSet> sample_tools() {
    std::vector<Tool> tools;
    for (const ToolCall & call : sample_calls()) {
        const std::string letter = call.name.substr(call.name.size() - 1);
        tools.push_back(make_tool(call.name, "luup_description_" + letter,
                                  R"({"type":"object","properties":{"luup_parameter_)" + letter +
                                      R"(":{"type":"string"},"count":{"type":"integer"},"inner":{"type":"object","properties":{"street":{"type":"string"}},)"
                                      R"("required":["street"],"additionalProperties":false}},"required":["luup_parameter_)" +
                                      letter + R"(","count","inner"],"additionalProperties":false})"));
    }
    return std::make_shared<const ToolSet>(std::move(tools));
}

common_chat_templates_inputs sample_inputs(const std::vector<Message> & messages, bool open_answer) {
    static const auto            tools = sample_tools();
    std::vector<common_chat_msg> converted;
    for (const Message & m : messages) {
        converted.push_back(to_common(m));
    }
    common_chat_templates_inputs inputs = inputs_for(std::move(converted), open_answer);
    for (const Tool & tool : tools->tools()) {
        inputs.tools.push_back({ tool.name, tool.description, tool.parameters->text() });
    }
    return inputs;
}

const Message sample_question = { "user", "luup_question", "", {}, "", "" };

common_chat_templates_inputs sample_conversation(bool one_message) {
    const ToolCall &     a        = sample_calls()[0];
    const ToolCall &     b        = sample_calls()[1];
    const Message        result_a = { "tool", "luup_result_a", "", {}, a.id, a.name };
    const Message        result_b = { "tool", "luup_result_b", "", {}, b.id, b.name };
    std::vector<Message> messages = { sample_question };
    if (one_message) {
        messages.insert(messages.end(), { { "assistant", "", "", { a, b }, "", "" }, result_a, result_b });
    } else {
        messages.insert(messages.end(), { { "assistant", "", "", { a }, "", "" }, result_a, { "assistant", "", "", { b }, "", "" }, result_b });
    }
    return sample_inputs(messages, true);
}

bool keeps_everything(const std::string & prompt) {
    for (const char * part : { "luup_question", "luup_tool_a", "luup_description_a", "luup_argument_a", "luup_street_a", "71", "luup_result_a", "luup_tool_b",
                               "luup_description_b", "luup_argument_b", "luup_street_b", "72", "luup_result_b" }) {
        if (prompt.find(part) == std::string::npos) {
            return false;
        }
    }
    return true;
}

// What stands in `text` before `end` and behind the last of `marks`.
std::string behind(const std::string & text, size_t end, const std::vector<std::string> & marks) {
    size_t begin = 0;
    for (const std::string & mark : marks) {
        const size_t at = mark.empty() ? std::string::npos : text.rfind(mark, end);
        begin           = at != std::string::npos && at + mark.size() <= end ? std::max(begin, at + mark.size()) : begin;
    }
    return text.substr(begin, end - begin);
}

// Without the blanks at both ends.
std::string trimmed(const std::string & text) {
    const size_t begin = text.find_first_not_of(" \n\t\r");
    return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(" \n\t\r") - begin + 1);
}

// Whether `text` consists of some of `markers` and blanks.
bool is_of(const std::string & text, const std::vector<std::string> & markers) {
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

// One call in each assistant's message, its result right after it.
std::vector<Message> one_call_a_message(const std::vector<Message> & messages) {
    std::vector<Message> out;
    for (size_t i = 0; i < messages.size(); i++) {
        if (messages[i].tool_calls.size() < 2) {
            out.push_back(messages[i]);
            continue;
        }
        for (size_t k = 0; k < messages[i].tool_calls.size(); k++) {
            const ToolCall & call = messages[i].tool_calls[k];
            Message          one  = messages[i];
            one.tool_calls        = { call };
            if (k > 0) {
                one.content.clear();
                one.reasoning.clear();
            }
            out.push_back(one);
            for (size_t r = i + 1; r < messages.size() && messages[r].role == "tool"; r++) {
                if (messages[r].tool_call_id == call.id) {
                    out.push_back(messages[r]);
                }
            }
        }
        while (i + 1 < messages.size() && messages[i + 1].role == "tool") {
            i++;
        }
    }
    return out;
}

bool ends_with(const std::string & text, const std::string & end) {
    return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

// Where the first tag in `text` that ends thoughts ends; 0 if there is none.
size_t end_of_thoughts(const common_chat_params & params, const std::string & text) {
    size_t end = std::string::npos;
    for (const std::string & tag : params.thinking_end_tags) {
        const size_t at = tag.empty() ? std::string::npos : text.find(tag);
        end             = at == std::string::npos ? end : std::min(end, at + tag.size());
    }
    return end == std::string::npos ? 0 : end;
}

// Whether `prompt` ends after the beginning of the model's thoughts and before their end.
bool leaves_open(const std::string & prompt, const Thinking & thinking) {
    const size_t start = thinking.start.empty() ? std::string::npos : prompt.rfind(thinking.start);
    const size_t last  = 200;  // an open one stands at the very end
    if (start == std::string::npos || start + thinking.start.size() + last < prompt.size()) {
        return false;
    }
    return std::none_of(thinking.ends.begin(), thinking.ends.end(), [&](const std::string & end) { return prompt.find(end, start) != std::string::npos; });
}

// The parser of expressions recurses: brackets too deep would end the stack. Quotes are not followed, so that this counts too much rather than too little.
int nesting(const std::string & source) {
    int depth = 0, deepest = 0;
    for (char c : source) {
        if (c == '(' || c == '[' || c == '{') {
            deepest = std::max(deepest, ++depth);
        } else if ((c == ')' || c == ']' || c == '}') && depth > 0) {
            depth--;
        }
    }
    return deepest;
}

}  // namespace

ChatTemplate::ChatTemplate(const llama_model * model, const std::string & source) : vocab_(llama_model_get_vocab(model)), traits_(std::make_unique<FormatTraits>()) {
    const char *      own  = llama_model_chat_template(model, nullptr);
    const std::string text = !source.empty() ? source : own ? own
                                                            : "";
    if (text.size() > max_template_bytes) {
        fail(LUUP_ERROR_CHAT_TEMPLATE, "the chat template has %zu bytes; at most %zu are accepted", text.size(), max_template_bytes);
    }
    if (nesting(text) > max_template_nesting) {
        fail(LUUP_ERROR_CHAT_TEMPLATE, "the chat template nests brackets %d deep; at most %d are accepted", nesting(text), max_template_nesting);
    }
    try {
        jinja::lexer lexer;
        jinja::parse_from_tokens(lexer.tokenize(text));
    } catch (const std::exception & e) {
        fail(LUUP_ERROR_CHAT_TEMPLATE, "the chat template does not parse: %s", e.what());
    }
    // The template is a program from a file that nobody vouches for: it is tried where it can do no harm.
    const auto trial = [&] {
        const auto templates = common_chat_templates_init(model, source);
        if (common_chat_templates_apply(templates.get(), inputs_for({ to_common({ "user", "Hello", "", {}, "", "" }) }, true)).prompt.empty()) {
            throw std::runtime_error("it renders nothing");
        }
        try {  // tools may be refused, but not with a crash
            common_chat_templates_apply(templates.get(), sample_conversation(true));
        } catch (const std::exception &) {
        }
    };
    const std::string reason = try_in_child(trial, trial_limits);
    if (!reason.empty()) {
        fail(LUUP_ERROR_CHAT_TEMPLATE, "the chat template can't render a first message: %s", reason.c_str());
    }
    templates_        = common_chat_templates_init(model, source);
    source_           = common_chat_templates_source(templates_.get());
    program_          = std::make_unique<PromptProgram>(templates_.get(), vocab_);
    tokenizer_        = std::make_unique<PromptTokenizer>(vocab_, source_);
    traits_->controls = tokenizer_->controls();
    find_tool_support();
}

ChatTemplate::~ChatTemplate() = default;

common_chat_params ChatTemplate::apply(const common_chat_templates_inputs & inputs) const {
    std::lock_guard<std::mutex> lock(mutex_);
    return program_->apply(inputs);
}

// What stands before the text of an answer, and between thoughts and the text.
void ChatTemplate::find_answer_opening() {
    try {
        const common_chat_params before = apply(sample_inputs({ sample_question }, true));
        const auto               parts  = [&](const char * thought) {
            return apply(sample_inputs({ sample_question, { "assistant", "luup_answer", thought, {}, "", "" } }, false)).prompt;
        };
        const auto follows = [&](const std::string & whole) {
            return whole.compare(0, before.prompt.size(), before.prompt) == 0 && whole.find("luup_answer") != std::string::npos;
        };
        const std::string whole = parts(""), thinking = parts("luup_thought");
        const size_t      thought = thinking.find("luup_thought"), answer = thinking.find("luup_answer");
        std::string       text, between;
        if (follows(whole)) {
            text            = whole.substr(before.prompt.size(), whole.find("luup_answer") - before.prompt.size());
            answer_opening_ = trimmed(text);
            text.erase(0, end_of_thoughts(before, text));  // thoughts that are empty
            text.erase(0, text.find_first_not_of(" \n"));
        }
        if (thought < answer && answer != std::string::npos) {
            between = thinking.substr(thought + 12, answer - thought - 12);
            between.erase(0, end_of_thoughts(before, between));
        }
        if (!follows(whole) && follows(thinking) && leaves_open(before.prompt, { before.thinking_start_tag, before.thinking_end_tags, false })) {
            text = between;  // every answer has thoughts
        }
        if (trimmed(text).empty() || (!before.thinking_start_tag.empty() && text.find(trimmed(before.thinking_start_tag)) != std::string::npos)) {
            return;
        }
        opening_.text = { text, marker_tokens(text) };
        if (ends_with(between, text)) {
            between.resize(between.size() - text.size());
            opening_.after_thoughts = { between, marker_tokens(between) };
        }
    } catch (const std::exception &) {
        // a template that has no such answers
    }
}

void ChatTemplate::find_tool_support() {
    for (bool one_message : { true, false }) {
        try {
            native_tools_ = keeps_everything(apply(sample_conversation(one_message)).prompt);
        } catch (const std::exception &) {
            native_tools_ = false;
        }
        if (native_tools_) {
            several_calls_ = one_message;
            break;
        }
    }
    find_answer_opening();
    for (bool tight : { true, false }) {
        traits_->tight_ends = tight;
        if (!native_tools_ || calls_come_back({ sample_calls()[0] })) {
            break;
        }
        native_tools_ = tight;
    }
    several_read_ = native_tools_ && several_calls_ && calls_come_back(sample_calls());
}

// Whether calls as the template writes them, which is how its models were taught to, are taken by the format's grammar and understood by its parser.
bool ChatTemplate::calls_come_back(const std::vector<ToolCall> & calls) {
    try {
        const common_chat_params before = apply(sample_inputs({ sample_question }, true));
        const std::string        whole  = apply(sample_inputs({ sample_question, { "assistant", "", "", calls, "", "" } }, false)).prompt;
        const auto               parts  = std::mismatch(before.prompt.begin(), before.prompt.end(), whole.begin(), whole.end());
        size_t                   from   = static_cast<size_t>(parts.second - whole.begin());
        while (from > 0 && from < before.prompt.size() && !std::strchr(" \n>]", whole[from - 1])) {
            from--;  // where they part is not within a marker
        }
        std::string              text  = whole.substr(from);
        std::vector<std::string> marks = before.thinking_end_tags;
        marks.push_back(before.thinking_start_tag);
        auto         format = native_format(templates_.get(), *sample_tools(), calls.size() > 1, *traits_, vocab_);
        const size_t begin  = format ? find_call(*format, text) : std::string::npos;
        if (begin == std::string::npos) {
            return false;
        }
        const std::string prelude = trimmed(behind(text, begin, marks));
        if (traits_->prelude.empty() && !prelude.empty() && !format->opening.empty() && is_of(prelude, format->markers)) {
            traits_->prelude = prelude;
            format           = native_format(templates_.get(), *sample_tools(), calls.size() > 1, *traits_, vocab_);
        }
        const Thinking thinking = { before.thinking_start_tag, before.thinking_end_tags, false };
        if (leaves_open(before.prompt, thinking) && text.find(thinking.ends.front()) == std::string::npos) {
            text = thinking.ends.front() + text;
        }
        return reads_back(*format, text, calls);
    } catch (const std::exception &) {
        return false;
    }
}

// Whether `tools` go into the prompt by the template's own way: there are templates that fail at some schemas.
bool ChatTemplate::takes(const ToolSet & tools) const {
    return native_tools_ && tools.native([&] {
        try {
            auto inputs = inputs_for({ to_common(sample_question) }, true);
            for (const Tool & tool : tools.tools()) {
                inputs.tools.push_back({ tool.name, tool.description, tool.parameters->text() });
            }
            const std::string prompt = apply(inputs).prompt;
            return std::all_of(tools.tools().begin(), tools.tools().end(), [&](const Tool & tool) { return prompt.find(tool.name) != std::string::npos; });
        } catch (const std::exception &) {
            return false;
        }
    });
}

Prompt ChatTemplate::render(const std::vector<Message> & messages, const ToolSet * tools, bool open_answer, TokenizedText * known) const {
    static const ToolSet          none({});
    const bool                    native  = tools ? takes(*tools) : native_tools_;
    const std::vector<Message>    list    = !native ? tools_as_text(messages, tools ? *tools : none) : several_calls_ ? messages
                                                                                                                      : one_call_a_message(messages);
    const auto &                  offered = native && tools ? tools->tools() : none.tools();
    std::vector<std::string_view> texts;
    for (const Message & m : list) {
        texts.insert(texts.end(), { m.content, m.reasoning });
        for (const ToolCall & call : m.tool_calls) {
            texts.push_back(call.arguments);
        }
    }
    for (const Tool & tool : offered) {
        texts.insert(texts.end(), { tool.description, tool.parameters->text() });
    }
    const std::string            seal = tokenizer_->choose_seal(texts);
    std::vector<common_chat_msg> sealed;
    for (Message m : list) {
        m.content   = tokenizer_->seal_text(m.content, seal);
        m.reasoning = tokenizer_->seal_text(m.reasoning, seal);
        for (ToolCall & call : m.tool_calls) {
            call.arguments = tokenizer_->seal_text(call.arguments, seal);
        }
        sealed.push_back(to_common(m));
    }
    auto inputs = inputs_for(std::move(sealed), open_answer);
    for (const Tool & tool : offered) {
        inputs.tools.push_back({ tool.name, tokenizer_->seal_text(tool.description, seal), tokenizer_->seal_text(tool.parameters->text(), seal) });
    }
    common_chat_params params;
    try {
        params = apply(inputs);
    } catch (const std::bad_alloc &) {
        throw;
    } catch (const std::exception & e) {
        fail(LUUP_ERROR_CHAT_TEMPLATE, "the chat template can't render these messages: %s", e.what());
    }
    Prompt prompt;
    prompt.opening = opening_;
    prompt.tokens  = tokenizer_->tokenize(params.prompt, seal, known);
    prompt.stops   = params.additional_stops;
    if ((params.supports_thinking || !answer_opening_.empty()) && !params.parser.empty()) {
        auto parser = std::make_shared<common_chat_parser_params>(params);
        parser->parser.load(params.parser);
        parser->reasoning_format = COMMON_REASONING_FORMAT_AUTO;
        prompt.preserved         = marker_ids(params.preserved_tokens);
        if (params.supports_thinking) {
            prompt.thinking      = { params.thinking_start_tag, params.thinking_end_tags, false };
            prompt.thinking.open = leaves_open(params.prompt, prompt.thinking);
        }
        if (prompt.thinking.open && params.generation_prompt.empty()) {  // the template opens thoughts without being asked to
            parser->generation_prompt = prompt.thinking.start;
        }
        prompt.parser = parser;
    }
    return prompt;
}

std::vector<llama_token> ChatTemplate::marker_ids(const std::vector<std::string> & texts) const {
    std::vector<llama_token> ids;
    for (const std::string & text : texts) {
        const auto tokens = marker_tokens(text);
        if (tokens.size() == 1) {
            ids.push_back(tokens[0]);
        }
    }
    return ids;
}

std::vector<llama_token> ChatTemplate::marker_tokens(const std::string & text) const {
    return tokenize_text(vocab_, text, false, true);
}

std::shared_ptr<const ToolFormat> ChatTemplate::tool_format(const ToolSet & tools, bool parallel) const {
    const bool native = takes(tools);
    return tools.format(parallel, [&]() -> std::shared_ptr<const ToolFormat> {
        if (native) {
            std::lock_guard<std::mutex> lock(mutex_);
            try {
                if (auto format = native_format(templates_.get(), tools, parallel && several_read_, *traits_, vocab_)) {
                    const auto & opening = format->opening_tokens;
                    const auto   text    = marker_tokens(answer_opening_);
                    auto         own     = std::make_shared<ToolFormat>(*format);
                    own->shared_start    = opening.size() > 1 && std::find(text.begin(), text.end(), opening.front()) != text.end();
                    return std::shared_ptr<const ToolFormat>(own);
                }
            } catch (const Error &) {
                throw;
            } catch (const std::exception & e) {
                fail(LUUP_ERROR_CHAT_TEMPLATE, "the chat template has no format for these tools: %s", e.what());
            }
        }
        return own_format(tools, parallel, vocab_);
    });
}

}  // namespace luup
