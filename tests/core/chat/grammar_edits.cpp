// The grammars that llama.cpp writes for tool calls, and the edits of them. golden/*.gbnf hold the rules that the edits
// read, and those that they change. A case that fails after an update of llama.cpp prints the new text: check that the
// edits in csrc/chat/grammar_edits.cpp still find what they change, then save it.
#include "chat/grammar_edits.h"

#include "chat/conversion.h"
#include "check.h"
#include "templates.h"

#include "common/chat.h"

#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

using namespace luup;

namespace {

// An argument of free text, one with listed strings, and one that is not text, as csrc/chat/native_format.cpp describes
// them; `listed` puts an object in the place of the listed strings.
common_chat_tool sample_tool(bool listed) {
    const std::string object = R"({"type":"object","properties":{"x":{"type":"null"}},"required":["x"]})";
    const std::string kind   = listed ? object : R"({"type":"string","enum":["big","small"]})";
    return { "find_it", "Finds it.",
             R"({"type":"object","properties":{"name":{"type":"string"},"kind":)" + kind + R"(,"count":)" + object +
                 R"(},"required":["name"]})" };
}

// Some templates have no text that begins a call: their grammar is written only if a call is required.
std::string llama_grammar(const std::string & source, bool listed) {
    const auto templates       = common_chat_templates_init(nullptr, source);
    auto       inputs          = prompt_inputs({ to_common(Message::user("Hello")) }, true);
    inputs.tools               = { sample_tool(listed), { "stop", "Stops.", R"({"type":"object","properties":{}})" } };
    inputs.tool_choice         = COMMON_CHAT_TOOL_CHOICE_AUTO;
    common_chat_params applied = common_chat_templates_apply(templates.get(), inputs);
    if (applied.grammar.empty() || !applied.grammar_lazy) {
        inputs.tool_choice = COMMON_CHAT_TOOL_CHOICE_REQUIRED;
        applied            = common_chat_templates_apply(templates.get(), inputs);
    }
    return applied.grammar;
}

// The rules that the edits read or write. Of these, only those that differ from `before`.
std::string edited_rules(const CallGrammar & grammar, const CallGrammar & before = CallGrammar("")) {
    std::istringstream lines(grammar.text());
    std::string        out;
    for (std::string line; std::getline(lines, line);) {
        const std::string name = line.substr(0, line.find(' '));
        const bool        call = name.rfind("tool-", 0) == 0 && name.find("-schema") == std::string::npos;
        if ((call || name == "root" || name == "space") && before.get(name) != grammar.get(name)) {
            out += line + "\n";
        }
    }
    return out;
}

std::string before_and_after(const std::string & source) {
    const CallGrammar original(llama_grammar(source, false));
    CallGrammar       grammar = original;
    grammar.tighten(true);
    grammar.tighten_ends();
    grammar.limit_repeats("tool-find-it", 3);
    grammar.restrict_argument("tool-find-it-arg-kind", { "big", "small" }, CallGrammar(llama_grammar(source, true)));
    const CallGrammar several = grammar;
    grammar.tighten(false);
    return "# llama.cpp\n" + edited_rules(original) + "# edited\n" + edited_rules(several, original) +
           "# for one call\n" + edited_rules(grammar, several);
}

void check_golden(const std::string & name) {
    const std::string path = LUUP_CASES_DIR "/chat/golden/" + name + ".gbnf";
    std::ifstream     golden(path, std::ios::binary);
    const std::string expected((std::istreambuf_iterator<char>(golden)), {});
    const std::string text = before_and_after(read_template(name));
    if (text != expected) {
        std::printf("%s differs from the grammar of this llama.cpp:\n%s", path.c_str(), text.c_str());
    }
    CHECK(text == expected);
}

std::string many(const std::string & part) {
    std::string text;
    for (int i = 0; i < 100000; i++) {
        text += part;
    }
    return text;
}

}  // namespace

CASE(json_in_tags) {
    check_golden("NousResearch-Hermes-3-Llama-3.1-8B-tool_use");
}

CASE(json_without_tags) {
    check_golden("meta-llama-Llama-3.1-8B-Instruct");
}

CASE(json_list_after_a_marker) {
    check_golden("mistralai-Mistral-Nemo-Instruct-2407");
}

CASE(tags_for_arguments) {
    check_golden("Qwen3-Coder");
}

CASE(tags_for_names_and_values) {
    check_golden("GLM-4.6");
}

CASE(tags_with_attributes) {
    check_golden("deepseek-ai-DeepSeek-V4");
}

CASE(rule_names) {
    CHECK(grammar_rule_name("tool-find_it") == "tool-find-it");
    CHECK(grammar_rule_name("a__b-_c.\xC3\xA9") == "a-b--c-");
    CHECK(grammar_rule_name(std::string(100000, '_')) == "-");
    CHECK(grammar_rule_name("").empty());
}

CASE(edits_of_long_rules) {
    const std::string letters(100000, 'a');
    CallGrammar       grammar("tool-calls ::= (tool-call? space)+\ntool-call ::= " + many(" (space \",\" space (") +
                              many(") space \"</") + "\ntool-f ::= " + many("(space (-arg-") + "))* \"" + letters +
                              "\"?\ntool-f-arg-x ::= \"" + letters + "\" until-7 \"" + letters + "\"\n");
    const CallGrammar others("tool-f-arg-x ::= \"" + letters + "\" tool-f-arg-x-schema \"</x>\"\n");
    grammar.tighten(true);
    grammar.tighten_ends();
    grammar.limit_repeats("tool-f", 7);
    grammar.restrict_argument("tool-f-arg-x", { letters, "b" }, others);
    CHECK(grammar.get("tool-f") == many("(space (-arg-") + ")){0,7} \"" + letters + "\"");
    CHECK(grammar.get("tool-f-arg-x") == "\"" + letters + "\" (\"" + letters + "\" | \"b\") \"</x>\"");
}
