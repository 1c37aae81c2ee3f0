// A model that writes, token by token, what a chat template writes for an answer.
#pragma once

#include "template_cases.h"

#include "engine/sampler.h"

#include <cctype>
#include <cstring>
#include <utility>

namespace template_cases {

// Keeps what an answer says.
struct Listener : Answer::Listener {
    void on_answer_progress(int32_t, int32_t) override {}
    void on_answer_text(const std::string & reasoning, const std::string & text, int32_t) override {
        thoughts += reasoning;
        shown += text;
    }
    void on_answer_end(AnswerResult, luup_finish_reason, const Failure &, const Metrics &) override {}

    std::string thoughts, shown;
};

// Writes `script` as a model would that is sure of every token. Where the grammar dictates tokens, it continues after
// them.
class Writer {
  public:
    Writer(std::string script, const ChatTemplate & chat)
        : script_(std::move(script)),
          json_(script_),
          chat_(chat),
          closing_(static_cast<size_t>(llama_vocab_n_tokens(vocab))) {
        for (const auto & [python, json] : { std::pair("True", "true"), std::pair("False", "false") }) {
            for (size_t at = 0; (at = json_.find(python, at)) != std::string::npos; at++) {
                json_.replace(at, std::strlen(python), json);
            }
        }
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
            std::vector<float> logits                  = closing_;
            logits[static_cast<size_t>(next(json_))]   = 40;
            logits[static_cast<size_t>(next(script_))] = 60;
            choice.tokens.clear();
            choice.retracted = 0;
            answer.choose(sampler, logits.data(), choice);
            for (size_t n = choice.retracted; n > 0; n--) {
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
        throw Problem("an answer without an end: " + quoted(written_.substr(0, 400)) +
                      (left_ == std::string::npos ? "" : ", left at " + excerpt(script_, left_)));
    }

    const std::string & written() const { return written_; }

    // Where the answer left the script; npos if it did not.
    size_t left_at() const { return left_; }

  private:
    // There are templates that write True for true.
    static bool same(char a, char b) {
        return std::tolower(static_cast<unsigned char>(a)) == std::tolower(static_cast<unsigned char>(b));
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

    // Returns the next token of `script`, which is script_ or json_.
    llama_token next(const std::string & script) {
        const size_t at = position();
        if (at == std::string::npos || script.find_first_not_of(" \n", at) == std::string::npos) {
            return vocabulary->ends.front();
        }
        size_t begin = at; // of the character, of which a token may have brought a part
        while (begin > 0 && (static_cast<unsigned char>(script[begin]) & 0xC0) == 0x80) {
            begin--;
        }
        for (llama_token token : chat_.marker_tokens(script.substr(begin, 100))) {
            if (begin >= at) {
                return token;
            }
            begin += token_bytes(vocab, token, true).size();
        }
        return vocabulary->ends.front();
    }

    std::string          script_;
    std::string          json_; // the script with true and false as in JSON
    const ChatTemplate & chat_;
    std::string          written_;
    std::vector<size_t>  begins_; // of its tokens
    std::vector<float>   closing_; // logits of what ends an answer that has left the script
    size_t               left_ = std::string::npos;
};

// Returns the text that the template writes for `answer` after a question, as its models were trained to write it.
// Thoughts come first where the prompt leaves them open. `must`: the answer begins with a call.
std::string script_for(const ChatTemplate & chat, const Prompt & prompt, const ToolSet & tools, const Message & answer,
                       bool must);

}  // namespace template_cases
