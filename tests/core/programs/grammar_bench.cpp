// How long the grammar matcher takes for each token of texts under a grammar, on a real vocabulary.
//   luup-grammar-bench model.gguf
#include "grammar/matcher.h"

#include "llama.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <random>
#include <string>
#include <vector>

using namespace luup;

namespace {

double now_us() {
    return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Series {
    std::vector<double> values;

    void print(const char * name) {
        std::sort(values.begin(), values.end());
        double sum = 0;
        for (double value : values) {
            sum += value;
        }
        const auto at = [&](double share) {
            return values[static_cast<size_t>(share * static_cast<double>(values.size() - 1))];
        };
        std::printf("  %-14s mean %8.1f us   median %8.1f   99 %% %8.1f   most %8.1f\n", name,
                    sum / static_cast<double>(values.size()), at(0.5), at(0.99), at(1.0));
    }
};

const char string_rules[] = R"(
char ::= [^"\\\x7F\x00-\x1F] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4})
string ::= "\"" char* "\""
short ::= "\"" char{0,100} "\""
long ::= "\"" char{0,512} "\""
integer ::= "-"? ("0" | [1-9] [0-9]{0,15})
number ::= integer ("." [0-9]{1,16})? ([eE] [-+]? [0-9]{1,3})?
boolean ::= "true" | "false"
)";

const std::string object_text =
    R"({"title":"The Quick Brown Fox \u00e9t\u00e9","year":1987,"rating":8.25,"seen":true,"genre":"comedy","tags":["running","jumping over the lazy dog","naïve 日本語 text"]})";

struct Case {
    const char * name;
    std::string  grammar;
    std::string  text;
};

std::vector<Case> cases() {
    const std::string rules = string_rules;
    std::string       prose, spaced;
    for (int i = 0; i < 12; i++) {
        prose += "The quick brown fox, number " + std::to_string(i) + ", jumps over the lazy dog; ";
        spaced += "some plain text with <b>tags</b> & signs\n";
    }
    const std::string object =
        R"(root ::= "{\"title\":" long ",\"year\":" integer ",\"rating\":" number ",\"seen\":" boolean ",\"genre\":" genre ",\"tags\":" tags "}"
genre ::= "\"" ("comedy" | "drama" | "crime" | "action" | "horror") "\""
tags ::= "[" (short ("," short){0,9})? "]"
)" + rules;
    return {
        { "six fields", object, object_text },
        { "free string", "root ::= string\n" + rules, "\"" + prose.substr(0, 400) + "\"" },
        { "string{0,512}", "root ::= long\n" + rules, "\"" + prose.substr(0, 500) + "\"" },
        { "any JSON", R"(root ::= value
value ::= string | number | boolean | "null" | "{" (member ("," member)*)? "}" | "[" (value ("," value)*)? "]"
member ::= string ":" value
)" + rules,
          object_text },
        { "until a tag", R"(root ::= "<a>" text "</a>"
text ::= ([^<] | "<" [^/] | "</" [^a])*
)",
          "<a>" + spaced + "</a>" },
        { "[a-z ]{1,200}", "root ::= [a-z ]{1,200}\n",
          "all of these are small letters and nothing else is here to see for anyone who came along" },
    };
}

// The longest tokens that the matcher allows, along `text`.
void measure(const Case & c, const llama_vocab * vocab, const std::shared_ptr<const TokenTrie> & trie) {
    const double             begin   = now_us();
    const auto               grammar = Grammar::parse(c.grammar, vocab);
    const double             parsed  = now_us();
    std::vector<llama_token> text(c.text.size() + 8);
    const int                n = llama_tokenize(vocab, c.text.data(), static_cast<int32_t>(c.text.size()), text.data(),
                                                static_cast<int32_t>(text.size()), false, false);
    text.resize(n > 0 ? n : 0);
    std::vector<llama_token> candidates(256), found;
    std::mt19937             random(1);
    std::printf("%s: compiled in %.0f us, %d tokens\n", c.name, parsed - begin, n);
    for (const char * round : { "cold", "warm" }) {
        Matcher matcher(grammar, trie);
        Series  allows, allowed, accept;
        size_t  most = 0;
        for (llama_token token : text) {
            for (llama_token & candidate : candidates) {
                candidate = static_cast<llama_token>(random() % static_cast<uint32_t>(trie->size()));
            }
            double time = now_us();
            int    some = 0;
            for (llama_token candidate : candidates) {
                some += matcher.allows(candidate) ? 1 : 0;
            }
            allows.values.push_back(now_us() - time);
            time = now_us();
            matcher.allowed(found);
            allowed.values.push_back(now_us() - time);
            most = std::max(most, found.size());
            time = now_us();
            matcher.accept(token);
            accept.values.push_back(now_us() - time);
        }
        std::printf(" %s, at most %zu tokens allowed\n", round, most);
        allows.print("allows x 256");
        allowed.print("allowed");
        accept.print("accept");
    }
}

void quiet(ggml_log_level, const char *, void *) {}

}  // namespace

int main(int argc, char ** argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: %s model.gguf\n", argv[0]);
        return 2;
    }
    llama_log_set(quiet, nullptr);
    llama_model_params params = llama_model_default_params();
    params.vocab_only         = true;
    llama_model * model       = llama_model_load_from_file(argv[1], params);
    if (!model) {
        std::fprintf(stderr, "can't load %s\n", argv[1]);
        return 1;
    }
    const llama_vocab * vocab = llama_model_get_vocab(model);
    const double        begin = now_us();
    const auto          trie  = std::make_shared<const TokenTrie>(vocab);
    std::printf(
        "%d tokens; the tree took %.0f ms: %zu nodes, %u tokens of %zu are plain, the longest of %u characters\n",
        trie->size(), (now_us() - begin) / 1000, trie->nodes().size(), trie->plain_tokens(), trie->tokens().size(),
        trie->max_plain());
    for (const Case & c : cases()) {
        measure(c, vocab, trie);
    }
    llama_model_free(model);
    return 0;
}
