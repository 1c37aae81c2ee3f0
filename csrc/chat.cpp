#include "chat.h"

#include "error.h"
#include "trial.h"

#include "common/chat.h"

#include <algorithm>
#include <cctype>
#include <climits>

namespace luup {

namespace {

constexpr size_t      max_template_bytes   = 512 * 1024;  // the largest of a well-known model has about 30 KB
constexpr int         max_template_nesting = 100;
constexpr TrialLimits trial_limits         = { 2, 512u << 20 };

common_chat_params apply(const common_chat_templates * templates, const std::vector<common_chat_msg> & messages, bool open_answer) {
    common_chat_templates_inputs inputs;
    inputs.messages              = messages;
    inputs.add_generation_prompt = open_answer;
    inputs.use_jinja             = true;
    inputs.reasoning_format      = COMMON_REASONING_FORMAT_AUTO;
    return common_chat_templates_apply(templates, inputs);
}

common_chat_msg to_common(const std::string & role, const std::string & content, const std::string & reasoning) {
    common_chat_msg message;
    message.role              = role;
    message.content           = content;
    message.reasoning_content = reasoning;
    return message;
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

std::vector<llama_token> tokenize_text(const llama_vocab * vocab, std::string_view text, bool add_special, bool parse_special) {
    if (text.size() > INT32_MAX - 16) {
        fail(LUUP_ERROR_INVALID_PARAM, "a text of %zu bytes is too long to be split into tokens", text.size());
    }
    std::vector<llama_token> tokens(text.size() / 3 + 16);
    for (int attempt = 0; attempt < 2; attempt++) {
        const int32_t n = llama_tokenize(vocab, text.data(), static_cast<int32_t>(text.size()), tokens.data(),
                                         static_cast<int32_t>(tokens.size()), add_special, parse_special);
        if (n == INT32_MIN) {
            break;
        }
        tokens.resize(n < 0 ? -n : n);
        if (n >= 0) {
            return tokens;
        }
    }
    fail(LUUP_ERROR_INVALID_PARAM, "a text of %zu bytes could not be split into tokens", text.size());
}

std::string token_bytes(const llama_vocab * vocab, llama_token token, bool special) {
    std::string bytes(32, '\0');
    int32_t     n = llama_token_to_piece(vocab, token, bytes.data(), static_cast<int32_t>(bytes.size()), 0, special);
    if (n < 0) {
        bytes.resize(-n);
        n = llama_token_to_piece(vocab, token, bytes.data(), static_cast<int32_t>(bytes.size()), 0, special);
    }
    bytes.resize(std::max(n, 0));
    return bytes;
}

ChatTemplate::ChatTemplate(const llama_model * model, const std::string & source) : vocab_(llama_model_get_vocab(model)) {
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
        if (apply(templates.get(), { to_common("user", "Hello", "") }, true).prompt.empty()) {
            throw std::runtime_error("it renders nothing");
        }
    };
    const std::string reason = try_in_child(trial, trial_limits);
    if (!reason.empty()) {
        fail(LUUP_ERROR_CHAT_TEMPLATE, "the chat template can't render a first message: %s", reason.c_str());
    }
    templates_ = common_chat_templates_init(model, source);
    source_    = common_chat_templates_source(templates_.get());
    collect_markers();
}

ChatTemplate::~ChatTemplate() = default;

void ChatTemplate::collect_markers() {
    for (llama_token token = 0; token < llama_vocab_n_tokens(vocab_); token++) {
        const auto attributes = llama_vocab_get_attr(vocab_, token);
        const bool control    = (attributes & (LLAMA_TOKEN_ATTR_CONTROL | LLAMA_TOKEN_ATTR_UNKNOWN)) != 0;
        const bool defined    = (attributes & LLAMA_TOKEN_ATTR_USER_DEFINED) != 0;
        if (!control && !defined) {
            continue;
        }
        const char *      raw  = llama_vocab_get_text(vocab_, token);
        const std::string text = raw ? raw : "";
        // Tokens that were defined for plain text (runs of spaces, HTML tags) are no markers; those that the template uses are.
        const bool blank  = std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isspace(c); });
        const bool marker = control || llama_vocab_is_eog(vocab_, token) || source_.find(text) != std::string::npos;
        if (!blank && marker) {
            markers_.push_back({ text, token, control, (attributes & LLAMA_TOKEN_ATTR_LSTRIP) != 0, (attributes & LLAMA_TOKEN_ATTR_RSTRIP) != 0 });
        }
    }
    std::stable_sort(markers_.begin(), markers_.end(), [](const Marker & a, const Marker & b) { return a.text.size() > b.text.size(); });
}

// Whether one of the markers begins at `text[i]`.
bool ChatTemplate::marker_at(std::string_view text, size_t i, bool control_too) const {
    return std::any_of(markers_.begin(), markers_.end(),
                       [&](const Marker & m) { return (control_too || !m.control) && text.compare(i, m.text.size(), m.text) == 0; });
}

// A seal is a Unicode noncharacter (U+FDD0 … U+FDEF) put behind the first character of every marker's name in the messages' own
// text: the rendered prompt then holds no name of a marker but the template's, and tokenize() knows what to leave as text.
std::string ChatTemplate::choose_seal(const std::vector<Message> & messages) const {
    bool first_bytes[256] = {};
    for (const Marker & m : markers_) {
        first_bytes[static_cast<unsigned char>(m.text[0])] = true;
    }
    const auto has_marker = [&](const std::string & text) {
        for (size_t i = 0; i < text.size(); i++) {
            if (first_bytes[static_cast<unsigned char>(text[i])] && marker_at(text, i, true)) {
                return true;
            }
        }
        return false;
    };
    if (std::none_of(messages.begin(), messages.end(), [&](const Message & m) { return has_marker(m.content) || has_marker(m.reasoning); })) {
        return "";
    }
    for (int i = 0; i < 32; i++) {
        const std::string seal = { '\xEF', '\xB7', static_cast<char>(0x90 + i) };
        if (std::none_of(messages.begin(), messages.end(), [&](const Message & m) {
                return m.content.find(seal) != std::string::npos || m.reasoning.find(seal) != std::string::npos;
            })) {
            return seal;
        }
    }
    fail(LUUP_ERROR_INVALID_PARAM, "the messages hold control tokens and every Unicode noncharacter from U+FDD0 to U+FDEF");
}

std::string ChatTemplate::seal_text(const std::string & text, const std::string & seal) const {
    if (seal.empty()) {
        return text;
    }
    std::string out;
    for (size_t i = 0; i < text.size();) {
        const bool sealed = marker_at(text, i, true);
        do {
            out += text[i++];
        } while (i < text.size() && (static_cast<unsigned char>(text[i]) & 0xC0) == 0x80);
        if (sealed) {
            out += seal;
        }
    }
    return out;
}

std::vector<llama_token> ChatTemplate::tokenize(const std::string & prompt, const std::string & seal) const {
    std::vector<llama_token> tokens;
    if (seal.empty()) {
        tokens = tokenize_text(vocab_, prompt, true, true);
        if (llama_vocab_get_add_eos(vocab_) && !tokens.empty() && tokens.back() == llama_vocab_eos(vocab_)) {
            tokens.pop_back();
        }
        return tokens;
    }
    if (llama_vocab_get_add_bos(vocab_)) {
        tokens.push_back(llama_vocab_bos(vocab_));
    }
    // What llama_tokenize() does with control tokens, done here by the same rules, so that the seals can be taken out in between.
    struct Fragment {
        std::string text;
        llama_token token = LLAMA_TOKEN_NULL;
    };
    std::vector<Fragment> fragments = { { prompt } };
    for (const Marker & marker : markers_) {
        std::vector<Fragment> next;
        for (Fragment & fragment : fragments) {
            std::string rest = fragment.text;
            size_t      found;
            while (fragment.token == LLAMA_TOKEN_NULL && (found = rest.find(marker.text)) != std::string::npos) {
                std::string left  = rest.substr(0, found);
                std::string right = rest.substr(found + marker.text.size());
                while (marker.lstrip && !left.empty() && std::isspace(static_cast<unsigned char>(left.back()))) {
                    left.pop_back();
                }
                while (marker.rstrip && !right.empty() && std::isspace(static_cast<unsigned char>(right.front()))) {
                    right.erase(0, 1);
                }
                if (!left.empty()) {
                    next.push_back({ left });
                }
                next.push_back({ "", marker.token });
                rest = std::move(right);
            }
            if (fragment.token != LLAMA_TOKEN_NULL || !rest.empty()) {
                next.push_back({ rest, fragment.token });
            }
        }
        fragments = std::move(next);
    }
    for (const Fragment & fragment : fragments) {
        if (fragment.token != LLAMA_TOKEN_NULL) {
            tokens.push_back(fragment.token);
            continue;
        }
        for (const std::string & piece : break_seals(fragment.text, seal)) {
            const auto more = tokenize_text(vocab_, piece, false, false);
            tokens.insert(tokens.end(), more.begin(), more.end());
        }
    }
    return tokens;
}

// `text` without its seals; cut where llama_tokenize() would match a marker in plain text, as it does with user-defined ones.
std::vector<std::string> ChatTemplate::break_seals(const std::string & text, const std::string & seal) const {
    std::string         plain;
    std::vector<size_t> seals;
    for (size_t i = 0; i < text.size();) {
        if (text.compare(i, seal.size(), seal) == 0) {
            seals.push_back(plain.size());
            i += seal.size();
        } else {
            plain += text[i++];
        }
    }
    std::vector<std::string> pieces;
    size_t                   begin = 0;
    for (size_t at : seals) {
        size_t start = at - 1;
        while (start > 0 && (static_cast<unsigned char>(plain[start]) & 0xC0) == 0x80) {
            start--;
        }
        if (marker_at(plain, start, false)) {
            pieces.push_back(plain.substr(begin, at - begin));
            begin = at;
        }
    }
    pieces.push_back(plain.substr(begin));
    return pieces;
}

Prompt ChatTemplate::render(const std::vector<Message> & messages, bool open_answer) const {
    const std::string            seal = choose_seal(messages);
    std::vector<common_chat_msg> sealed;
    for (const Message & m : messages) {
        sealed.push_back(to_common(m.role, seal_text(m.content, seal), seal_text(m.reasoning, seal)));
    }
    common_chat_params params;
    try {
        std::lock_guard<std::mutex> lock(mutex_);
        params = apply(templates_.get(), sealed, open_answer);
    } catch (const std::bad_alloc &) {
        throw;
    } catch (const std::exception & e) {
        fail(LUUP_ERROR_CHAT_TEMPLATE, "the chat template can't render these messages: %s", e.what());
    }
    Prompt prompt;
    prompt.tokens = tokenize(params.prompt, seal);
    prompt.stops  = params.additional_stops;
    if (params.supports_thinking && !params.parser.empty()) {
        auto parser = std::make_shared<common_chat_parser_params>(params);
        parser->parser.load(params.parser);
        parser->reasoning_format = COMMON_REASONING_FORMAT_AUTO;
        prompt.parser            = parser;
        for (const std::string & text : params.preserved_tokens) {
            const auto ids = tokenize_text(vocab_, text, false, true);
            if (ids.size() == 1) {
                prompt.preserved.push_back(ids[0]);
            }
        }
    }
    return prompt;
}

AnswerParser::AnswerParser(std::shared_ptr<const common_chat_parser_params> params)
    : params_(std::move(params)), seen_(std::make_unique<common_chat_msg>()) {}

AnswerParser::~AnswerParser() = default;

AnswerParser::Delta AnswerParser::push(std::string_view piece) {
    if (!params_) {
        return { "", std::string(piece) };
    }
    raw_.append(piece);
    return piece.empty() ? Delta{} : parse(true);
}

AnswerParser::Delta AnswerParser::finish() {
    return params_ ? parse(false) : Delta{};
}

AnswerParser::Delta AnswerParser::parse(bool partial) {
    Delta delta;
    try {
        common_chat_msg now = common_chat_parse(raw_, partial, *params_);
        for (const auto & diff : common_chat_msg_diff::compute_diffs(*seen_, now)) {
            delta.reasoning += diff.reasoning_content_delta;
            delta.text += diff.content_delta;
        }
        *seen_ = std::move(now);
    } catch (const std::exception &) {
        // What doesn't parse yet may parse with more text; what never does is shown as it came.
        if (!partial && seen_->empty()) {
            delta.text = raw_;
        }
    }
    return delta;
}

}  // namespace luup
