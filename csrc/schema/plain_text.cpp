#include "schema/plain_text.h"

#include "base/error.h"
#include "base/text.h"
#include "schema/determine.h"
#include "schema/limits.h"
#include "schema/rules.h"
#include "schema/string_rules.h"

#include <stdexcept>

namespace luup {

namespace {

constexpr size_t longest_shown = 100;  // bytes of an expression

[[noreturn]] void refuse_pattern(const std::string & source, const std::string & why) {
    const std::string shown =
        source.size() > longest_shown ? source.substr(0, utf8_prefix(source, longest_shown)) + "..." : source;
    fail(LUUP_ERROR_INVALID_SCHEMA, "the regular expression '%s' can't be used: %s", shown.c_str(), why.c_str());
}

}  // namespace

TextPattern::TextPattern(const std::string & source) : source_(source) {
    const size_t length = count_code_points(source);
    if (length > schema_limits::pattern_length) {
        refuse_pattern(source, "it has " + std::to_string(length) + " characters; at most " +
                                   std::to_string(schema_limits::pattern_length) + " are allowed");
    }
    try {
        pattern_ = std::make_shared<const Pattern>(source, Pattern::Extent::Whole);
        dfa_     = find_dfa({ { pattern_, true } }, {}, { 0, {}, schema_limits::counted_states });
    } catch (const DfaTooLarge &) {
        refuse_pattern(source, "its automaton is too large; write a simpler one");
    } catch (const std::invalid_argument & e) {
        refuse_pattern(source, e.what());
    }
    if (dfa_->states.empty()) {
        refuse_pattern(source, "it matches no text");
    }
}

std::string TextPattern::grammar() const {
    GrammarRules rules("root");
    try {
        rules.add(rules.prefix(), StringRules(rules).plain(*dfa_));
    } catch (const GrammarRules::TooLarge &) {
        refuse_pattern(source_, "its grammar is too large; write a simpler one");
    }
    return rules.take();
}

std::string choice_grammar(const std::vector<std::string> & texts) {
    GrammarRules rules("root");
    try {
        rules.add(rules.prefix(), StringRules(rules).texts(texts));
    } catch (const GrammarRules::TooLarge &) {
        fail(LUUP_ERROR_INVALID_SCHEMA, "the %zu choices are too long together; give fewer or shorter ones",
             texts.size());
    }
    return rules.take();
}

}  // namespace luup
