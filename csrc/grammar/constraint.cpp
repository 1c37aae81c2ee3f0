#include "grammar/constraint.h"

#include "base/error.h"
#include "grammar/limits.h"
#include "tokens/tokenizer.h"

#include <algorithm>
#include <cctype>
#include <cstring>

namespace luup {

Constraint::Constraint(std::shared_ptr<const Vocabulary> vocabulary, std::shared_ptr<const Grammar> grammar,
                       const std::vector<llama_token> & markers, const std::shared_ptr<const Schema> & guard)
    : vocabulary_(std::move(vocabulary)), matcher_(std::move(grammar), vocabulary_->trie) {
    for (llama_token token : markers) {
        if (vocabulary_->trie->bytes(token).empty() && !llama_vocab_is_eog(vocabulary_->vocab, token)) {
            markers_.push_back({ token, token_bytes(vocabulary_->vocab, token, true) });
        }
    }
    if (guard && guard->needs_guard()) {
        guard_.emplace(guard);
    }
}

const Constraint::Marker * Constraint::marker(llama_token token) const {
    const auto found =
        std::find_if(markers_.begin(), markers_.end(), [&](const Marker & m) { return m.token == token; });
    return found == markers_.end() ? nullptr : &*found;
}

// Whether the guard accepts the token and at least one continuation after it.
bool Constraint::guard_allows(llama_token token) const {
    if (!guard_) {
        return true;
    }
    const std::string_view bytes = vocabulary_->trie->bytes(token);
    if (!guard_->may_refuse(bytes) && !guard_->at_risk()) {
        return true;
    }
    SchemaGuard after(*guard_);
    if (!after.accept(bytes)) {
        return false;
    }
    if (!after.at_risk()) {
        return true;
    }
    Matcher next(matcher_);
    next.accept(token);
    size_t tries = grammar_limits::tries;
    return can_go_on(std::move(next), std::move(after), tries);
}

// Whether some continuation makes the name or item that is being written differ from the earlier ones.
bool Constraint::can_go_on(Matcher matcher, SchemaGuard guard, size_t & tries) const {
    // As one text: it could be split into tokens in many ways.
    const std::string dictated = matcher.forced();
    if (!guard.accept(dictated)) {
        return false;
    }
    std::vector<llama_token> tokens;
    if (!matcher.accept_text(dictated) || !guard.at_risk() || matcher.can_end() ||
        !matcher.allowed(tokens, grammar_limits::continuations)) {
        return true;
    }
    for (llama_token token : tokens) {
        SchemaGuard after(guard);
        if (tries == 0) {
            return true;
        }
        tries--;
        if (after.accept(vocabulary_->trie->bytes(token))) {
            Matcher next(matcher);
            next.accept(token);
            if (can_go_on(std::move(next), std::move(after), tries)) {
                return true;
            }
        }
    }
    return false;
}

bool Constraint::allows(llama_token token) const {
    if (llama_vocab_is_eog(vocabulary_->vocab, token)) {
        return can_end() && !ends_hidden_;
    }
    if (const Marker * m = marker(token)) {
        return Matcher(matcher_).accept_text(m->text);
    }
    return matcher_.allows(token) && guard_allows(token);
}

bool Constraint::allowed(std::vector<llama_token> & tokens, size_t limit) const {
    tokens.clear();
    const bool complete = matcher_.allowed(tokens, limit);
    if (guard_) {
        tokens.erase(std::remove_if(tokens.begin(), tokens.end(), [&](llama_token t) { return !guard_allows(t); }),
                     tokens.end());
    }
    for (const Marker & m : markers_) {
        if (Matcher(matcher_).accept_text(m.text)) {
            tokens.push_back(m.token);
        }
    }
    if (can_end() && !ends_hidden_) {
        tokens.insert(tokens.end(), vocabulary_->ends.begin(), vocabulary_->ends.end());
    }
    return complete;
}

llama_token Constraint::beginning_of(llama_token token) const {
    if (!matcher_.forced().empty()) {
        return LLAMA_TOKEN_NULL;  // the next text does not depend on the model
    }
    const std::string_view text = vocabulary_->trie->bytes(token);
    const auto             word =
        std::find_if(text.begin(), text.end(), [](unsigned char c) { return std::isalnum(c) || c >= 0x80; });
    for (size_t length = std::min(static_cast<size_t>(word - text.begin()) + 1, text.size()); length-- > 1;) {
        const llama_token shorter = vocabulary_->find(text.substr(0, length));
        if (shorter != LLAMA_TOKEN_NULL && allows(shorter)) {
            return shorter;
        }
    }
    return LLAMA_TOKEN_NULL;
}

Constraint::Intent Constraint::intent(llama_token token) const {
    if (llama_vocab_is_eog(vocabulary_->vocab, token)) {
        return Intent::EndAnswer;
    }
    const auto fits   = [&](const char * text) { return Matcher(matcher_).accept_text(text); };
    const bool number = (fits("0") || fits(".")) && (fits(",") || fits("}") || fits("]") || fits("<"));
    return number && suits(Intent::EndNumber, token) ? Intent::EndNumber : Intent::Other;
}

bool Constraint::suits(Intent intent, llama_token token) const {
    const std::string_view bytes     = vocabulary_->trie->bytes(token);
    const char *           not_these = intent == Intent::EndNumber   ? "0123456789.eE+-"
                                       : intent == Intent::EndAnswer ? ", \n"
                                                                     : "";
    return bytes.empty() || !std::strchr(not_these, bytes[0]);
}

void Constraint::accept(llama_token token) {
    if (llama_vocab_is_eog(vocabulary_->vocab, token)) {
        return;
    }
    const Marker * m = marker(token);
    if (m ? !matcher_.accept_text(m->text) : !matcher_.allows(token)) {
        fail(LUUP_ERROR_INTERNAL, "token %d does not fit the grammar", token);
    }
    if (!m) {
        matcher_.accept(token);
    }
    if (guard_) {
        guard_->accept(m ? std::string_view(m->text) : vocabulary_->trie->bytes(token));
    }
}

bool Constraint::accept_text(std::string_view text) {
    std::optional<SchemaGuard> after = guard_;
    if ((after && !after->accept(text)) || !matcher_.accept_text(text)) {
        return false;
    }
    guard_ = std::move(after);
    return true;
}

}  // namespace luup
