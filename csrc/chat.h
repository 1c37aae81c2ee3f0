// Chat templates: messages to tokens, and the model's text back into reasoning and answer.
#pragma once

#include "llama.h"

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

struct common_chat_templates;
struct common_chat_parser_params;
struct common_chat_msg;

namespace luup {

struct Message {
    std::string role;  // "system", "user", "assistant"
    std::string content;
    std::string reasoning;  // of an assistant; empty if there was none
};

struct Prompt {
    std::vector<llama_token>                         tokens;
    std::vector<std::string>                         stops;   // texts at which this template's answers end
    std::shared_ptr<const common_chat_parser_params> parser;  // null if the whole text is the answer
    std::vector<llama_token>                         preserved;  // control tokens whose names the parser needs to see
};

// A model's chat template. All methods may be called from any thread.
class ChatTemplate {
  public:
    // `source` empty: the model's own, or ChatML if it has none. Throws Error(LUUP_ERROR_CHAT_TEMPLATE) for one that is too
    // large, does not parse, or does not render a first message in bounded time and memory.
    ChatTemplate(const llama_model * model, const std::string & source);
    ~ChatTemplate();

    // The tokens of `messages`, and with `open_answer` of the beginning of an answer. Only the template's own text becomes control
    // tokens; what the messages say stays text. Throws Error(LUUP_ERROR_CHAT_TEMPLATE) if the template refuses them.
    Prompt render(const std::vector<Message> & messages, bool open_answer) const;

    // The Jinja source.
    const std::string & source() const { return source_; }

  private:
    struct Marker {
        std::string text;
        llama_token token;
        bool        control;  // parsed only on request; the others are matched in any text
        bool        lstrip, rstrip;
    };

    void                     collect_markers();
    bool                     marker_at(std::string_view text, size_t i, bool control_too) const;
    std::vector<std::string> break_seals(const std::string & text, const std::string & seal) const;
    std::string              choose_seal(const std::vector<Message> & messages) const;
    std::string              seal_text(const std::string & text, const std::string & seal) const;
    std::vector<llama_token> tokenize(const std::string & prompt, const std::string & seal) const;

    const llama_vocab *                    vocab_;
    std::shared_ptr<common_chat_templates> templates_;
    std::string                            source_;
    std::vector<Marker>                    markers_;
    mutable std::mutex                     mutex_;  // the template's program keeps state while it runs
};

// Splits the model's text, as it comes, into reasoning and answer.
class AnswerParser {
  public:
    explicit AnswerParser(std::shared_ptr<const common_chat_parser_params> params);
    ~AnswerParser();

    struct Delta {
        std::string reasoning;
        std::string text;
    };

    // What `piece` adds.
    Delta push(std::string_view piece);

    // What the end of the text adds.
    Delta finish();

  private:
    Delta parse(bool partial);

    std::shared_ptr<const common_chat_parser_params> params_;
    std::string                                      raw_;
    std::unique_ptr<common_chat_msg>                 seen_;
};

// llama_tokenize() with a vector. Throws Error(LUUP_ERROR_INVALID_PARAM) for a text of more than 2^31 bytes or tokens.
std::vector<llama_token> tokenize_text(const llama_vocab * vocab, std::string_view text, bool add_special, bool parse_special);

// The bytes of one token; control tokens have none unless `special`.
std::string token_bytes(const llama_vocab * vocab, llama_token token, bool special);

}  // namespace luup
