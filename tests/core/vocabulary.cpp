#include "vocabulary.h"

#include <stdexcept>

namespace {

std::string                            model_path;
llama_model *                          model = nullptr;
std::shared_ptr<const luup::TokenTrie> token_trie;

}  // namespace

void set_model_path(const std::string & path) {
    model_path = path;
}

const llama_model * vocabulary_model() {
    if (!model) {
        if (model_path.empty()) {
            throw std::runtime_error("this case needs a vocabulary: --model FILE names the GGUF file to read it from");
        }
        llama_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
        llama_model_params params = llama_model_default_params();
        params.vocab_only         = true;
        model                     = llama_model_load_from_file(model_path.c_str(), params);
        if (!model) {
            throw std::runtime_error("can't load " + model_path);
        }
    }
    return model;
}

const llama_vocab * vocab() {
    return llama_model_get_vocab(vocabulary_model());
}

const std::shared_ptr<const luup::TokenTrie> & trie() {
    if (!token_trie) {
        token_trie = std::make_shared<const luup::TokenTrie>(vocab());
    }
    return token_trie;
}

void free_vocabulary() {
    token_trie.reset();
    llama_model_free(model);
    model = nullptr;
}
