// The vocabulary of the model that the command line names. It is loaded by the first case that asks for it.
#pragma once

#include "tokens/token_trie.h"

#include "llama.h"

#include <memory>
#include <string>

// Sets the file of the model: `--model FILE`.
void set_model_path(const std::string & path);

// A model without its weights. Fails the case if no file was named or it can't be loaded.
const llama_model * vocabulary_model();

const llama_vocab *                            vocab();
const std::shared_ptr<const luup::TokenTrie> & trie();

// Frees what was loaded.
void free_vocabulary();
