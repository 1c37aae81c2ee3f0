// Chat templates with tools: the prompts that they make, and how answers are read. A case for each template.
//   luup-template-cases [--list] --model FILE --template FILE… [CASE…]
// Only the vocabulary of the model is loaded.
#include "template_cases.h"

#include "check.h"
#include "vocabulary.h"

#include <cstdio>
#include <fstream>
#include <functional>
#include <iterator>

using namespace template_cases;

namespace {

struct Row {
    std::string              kind;
    std::vector<std::string> problems;
};

Row sweep(const llama_model * model, const std::string & path) {
    Row               row;
    std::ifstream     file(path, std::ios::binary);
    const std::string source((std::istreambuf_iterator<char>(file)), {});
    const auto        attempt = [&](const char * check, const std::function<void()> & run) {
        try {
            run();
        } catch (const std::exception & e) {
            row.problems.push_back(std::string(check) + ": " + e.what());
        }
    };
    std::unique_ptr<ChatTemplate> chat;
    attempt("load", [&] { chat = std::make_unique<ChatTemplate>(model, source); });
    if (!chat) {
        return row;
    }
    const auto tools = ToolSet::parse(tools_text);
    row.kind         = !chat->takes(*tools) ? "own" : chat->several_calls() ? "native" : "native, one call";
    attempt("render", [&] {
        const auto prompt = chat->render({ user(question) }, tools.get(), true);
        row.kind += prompt.thinking.ends.empty() ? "" : prompt.thinking.open ? ", thinks at once" : ", thinks";
        row.kind += prompt.opening.text.text.empty() ? "" : ", texts begin with " + quoted(prompt.opening.text.text);
    });
    attempt("prompt", [&] { nothing_is_lost(*chat, *tools); });
    attempt("names", [&] { names_stay_text(*chat); });
    attempt("parts", [&] { every_part_stays_text(*chat); });
    attempt("orders", [&] { every_order_is_kept(*chat, *tools); });
    attempt("thoughts", [&] { thoughts_are_bounded(*chat); });
    attempt("arguments", [&] { arguments_stay_text(*chat); });
    attempt("program", [&] { program_agrees(model, source); });
    attempt("known", [&] { known_parts_change_nothing(*chat, *tools); });
    for (const auto kind : { CallPlan::Mode::None, CallPlan::Mode::Auto }) {
        attempt("typed", [&] { typed_results_come_back(*chat, tools, false, kind); });
        attempt("typed", [&] { typed_results_come_back(*chat, tools, true, kind); });
    }
    attempt("splits", [&] { any_split_reads_the_same(*chat, *tools, false); });
    attempt("splits", [&] { any_split_reads_the_same(*chat, *tools, true); });
    attempt("opened", [&] { typed_results_are_opened(*chat, *tools); });
    for (const auto kind : { CallPlan::Mode::Required, CallPlan::Mode::Auto }) {
        attempt("one", [&] { calls_come_back(*chat, tools, { flight }, kind); });
        attempt("thought over", [&] { calls_come_back(*chat, tools, { flight }, kind, true); });
        attempt("other", [&] { calls_come_back(*chat, tools, { mesh }, kind); });
        if (chat->takes(*tools) && !chat->several_calls()) {
            continue;
        }
        attempt("two", [&] { calls_come_back(*chat, tools, { flight, mesh }, kind); });
        attempt("three", [&] { calls_come_back(*chat, tools, { flight, mesh, plain }, kind); });
    }
    return row;
}

// Fails with all problems of the template, one a line; prints how it takes tools.
void check_template(const std::string & path) {
    const Row row = sweep(vocabulary_model(), path);
    std::printf("%s\n", row.kind.c_str());
    for (const std::string & problem : row.problems) {
        std::printf("        %s\n", problem.c_str());
    }
    if (!row.problems.empty()) {
        throw CheckFailed();
    }
}

}  // namespace

int main(int argc, char ** argv) {
    CaseArguments arguments(argc, argv, { "--model", "--template" });
    for (const std::string & path : arguments.options["--template"]) {
        RegisteredCase(__FILE__, path.substr(path.find_last_of("/\\") + 1), [path] { check_template(path); });
    }
    if (!arguments.list) {
        for (const std::string & path : arguments.options["--model"]) {
            set_model_path(path);
        }
        template_cases::vocab = ::vocab();
        vocabulary            = std::make_shared<const Vocabulary>(template_cases::vocab);
    }
    const int status = run_cases(arguments);
    vocabulary.reset();
    free_vocabulary();
    return status;
}
