#include "embed/rank_prompt.h"

#include <algorithm>
#include <limits>
#include <vector>

namespace luup {

namespace {

constexpr std::string_view query_mark = "{query}", document_mark = "{document}";

size_t mark_at(const std::string & text, std::string_view mark) {
    const size_t at = text.find(mark);
    return at == std::string::npos ? std::numeric_limits<size_t>::max() : at;
}

// Returns the ends of the words of a text. A part of a word may have more tokens than the word. A text without spaces
// may be cut behind each character.
std::vector<size_t> places_to_cut(const std::string & text) {
    std::vector<size_t> words, characters;
    for (size_t i = 1; i < text.size(); i++) {
        if (text[i] == ' ' && text[i - 1] != ' ') {
            words.push_back(i);
        }
        if ((static_cast<unsigned char>(text[i]) & 0xC0) != 0x80) {
            characters.push_back(i);
        }
    }
    return words.empty() ? characters : words;
}

}  // namespace

RankPrompt::RankPrompt(const llama_model * model, const TokenLimit & limit)
    : vocab_(llama_model_get_vocab(model)), limit_(limit) {
    if (const char * source = llama_model_chat_template(model, "rerank")) {
        template_  = source;
        tokenizer_ = std::make_unique<PromptTokenizer>(vocab_, template_);
    }
}

Tokens RankPrompt::tokenize(const std::string & name, const std::string & query, const std::string & document,
                            bool truncate) const {
    const auto limit = static_cast<size_t>(limit_.limit());
    if (template_.empty()) {
        const Tokens whole = as_pair(query, document, std::numeric_limits<size_t>::max());
        if (whole.size() <= limit) {
            return whole;
        }
        const size_t rest = as_pair(query, "", 0).size();
        if (!truncate || rest > limit) {
            limit_.refuse(rest > limit ? "query" : name, rest > limit ? rest : whole.size());
        }
        return as_pair(query, document, limit - rest);
    }
    Tokens whole = with_template(query, document);
    if (whole.size() <= limit) {
        return whole;
    }
    Tokens fitting = with_template(query, "");
    if (!truncate || fitting.size() > limit) {
        limit_.refuse(fitting.size() > limit ? "query" : name, fitting.size() > limit ? fitting.size() : whole.size());
    }
    const std::vector<size_t> ends = places_to_cut(document);
    for (size_t low = 0, high = ends.size(); low < high;) {
        const size_t middle = low + (high - low) / 2;
        Tokens       tokens = with_template(query, document.substr(0, ends[middle]));
        if (tokens.size() <= limit) {
            low     = middle + 1;
            fitting = std::move(tokens);
        } else {
            high = middle;
        }
    }
    return fitting;
}

Tokens RankPrompt::with_template(const std::string & query, const std::string & document) const {
    // A seal breaks the names of control tokens in the texts, as in the prompts of agents.
    const std::string seal = tokenizer_->choose_seal({ query, document });
    std::string       prompt;
    for (std::string rest = template_; !rest.empty();) {
        const size_t at_query = mark_at(rest, query_mark), at_document = mark_at(rest, document_mark);
        const size_t at = std::min({ at_query, at_document, rest.size() });
        prompt += rest.substr(0, at);
        if (at == rest.size()) {
            break;
        }
        const bool is_query = at_query < at_document;
        prompt += tokenizer_->seal_text(is_query ? query : document, seal);
        rest.erase(0, at + (is_query ? query_mark : document_mark).size());
    }
    // The template has all tokens that begin and end a prompt.
    if (seal.empty()) {
        return tokenize_text(vocab_, prompt, false, true);
    }
    Tokens tokens = tokenizer_->tokenize(prompt, seal, nullptr);
    if (llama_vocab_get_add_bos(vocab_)) {
        tokens.erase(tokens.begin());
    }
    return tokens;
}

Tokens RankPrompt::as_pair(const std::string & query, const std::string & document, size_t most) const {
    const Tokens first  = tokenize_text(vocab_, query, false, false);
    Tokens       second = tokenize_text(vocab_, document, false, false);
    second.resize(std::min(second.size(), most));

    // BERT: [CLS] query [SEP] document [SEP]. RoBERTa: <s> query </s></s> document </s>.
    const bool        ends_with_sep = llama_vocab_type(vocab_) == LLAMA_VOCAB_TYPE_WPM;
    const llama_token sep           = llama_vocab_sep(vocab_);
    const llama_token eos           = llama_vocab_eos(vocab_) != LLAMA_TOKEN_NULL ? llama_vocab_eos(vocab_) : sep;
    Tokens            tokens;
    const auto        put = [&](bool wanted, llama_token token) {
        if (wanted && token != LLAMA_TOKEN_NULL) {
            tokens.push_back(token);
        }
    };
    put(llama_vocab_get_add_bos(vocab_), llama_vocab_bos(vocab_));
    tokens.insert(tokens.end(), first.begin(), first.end());
    put(llama_vocab_get_add_eos(vocab_), eos);
    put(llama_vocab_get_add_sep(vocab_), sep);
    tokens.insert(tokens.end(), second.begin(), second.end());
    put(llama_vocab_get_add_eos(vocab_) && !ends_with_sep, eos);
    put(ends_with_sep, sep);
    return tokens;
}

}  // namespace luup
