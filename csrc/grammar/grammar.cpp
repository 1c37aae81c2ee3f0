#include "grammar/grammar.h"

#include "grammar/compiler.h"
#include "grammar/gbnf.h"
#include "grammar/limits.h"
#include "grammar/states.h"

#include <mutex>
#include <utility>

namespace luup {

struct Grammar::Parts {
    GrammarProgram                 program;
    std::mutex                     mutex;
    std::shared_ptr<GrammarStates> states;
};

Grammar::Grammar(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

std::shared_ptr<const Grammar> Grammar::parse(const std::string & gbnf, const llama_vocab * vocab) {
    auto parts     = std::make_unique<Parts>();
    parts->program = compile_grammar(parse_gbnf(gbnf, vocab));
    return std::shared_ptr<const Grammar>(new Grammar(std::move(parts)));
}

bool Grammar::matches(std::string_view text) const {
    const auto                        states = this->states();
    const std::lock_guard<std::mutex> lock(states->mutex);
    const uint32_t                    end = states->next(states->start(), text);
    return end != GrammarStates::dead && states->can_end(end);
}

std::shared_ptr<GrammarStates> Grammar::states(const GrammarStates * full) const {
    const std::lock_guard<std::mutex> lock(parts_->mutex);
    if (!parts_->states || parts_->states.get() == full || parts_->states->bytes() > grammar_limits::full_bytes) {
        parts_->states = std::make_shared<GrammarStates>(parts_->program);
    }
    return parts_->states;
}

}  // namespace luup
