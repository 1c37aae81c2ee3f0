// Chat templates with tools: what is told to the model, and how what it answers
// is read.
//   luup-template-cases model.gguf template.jinja …
// A line for each template, "ok" or "FAILED"; exits with 1 if one failed. Only
// the vocabulary of the model is loaded.
#include "template_cases.h"

#include <cstdio>
#include <fstream>
#include <functional>
#include <iterator>

using namespace template_cases;

namespace {

struct Row {
    std::string              name;
    std::string              kind;
    std::vector<std::string> problems;
};

Row sweep(const llama_model * model, const std::string & path) {
    const size_t      slash = path.find_last_of("/\\");
    Row               row   = { path.substr(slash == std::string::npos ? 0 : slash + 1), "", {} };
    std::ifstream     file(path, std::ios::binary);
    const std::string source((std::istreambuf_iterator<char>(file)), {});
    const auto        attempt = [&](const char *                  check,
                                    const std::function<void()> & run) {
        try {
            run();
        } catch (const std::exception & e) {
            row.problems.push_back(std::string(check) + ": " + e.what());
        }
    };
    std::unique_ptr<ChatTemplate> chat;
    attempt("load",
            [&] { chat = std::make_unique<ChatTemplate>(model, source); });
    if (!chat) {
        return row;
    }
    const auto tools = ToolSet::parse(tools_text);
    row.kind         = !chat->takes(*tools)    ? "own"
                       : chat->several_calls() ? "native"
                                               : "native, one call";
    attempt("render", [&] {
        const auto prompt = chat->render({ user(question) }, tools.get(), true);
        row.kind += prompt.thinking.ends.empty() ? ""
                    : prompt.thinking.open       ? ", thinks at once"
                                                 : ", thinks";
        row.kind += prompt.opening.text.text.empty() ? "" : ", texts begin with " + quoted(prompt.opening.text.text);
    });
    attempt("prompt", [&] { nothing_is_lost(*chat, *tools); });
    attempt("names", [&] { names_stay_text(*chat); });
    attempt("program", [&] { program_agrees(model, source); });
    attempt("known", [&] { known_parts_change_nothing(*chat, *tools); });
    for (const auto kind : { AnswerPlan::Calls::None, AnswerPlan::Calls::Auto }) {
        attempt("typed", [&] { typed_results_come_back(*chat, tools, false, kind); });
        attempt("typed", [&] { typed_results_come_back(*chat, tools, true, kind); });
    }
    attempt("splits", [&] { any_split_reads_the_same(*chat, *tools, false); });
    attempt("splits", [&] { any_split_reads_the_same(*chat, *tools, true); });
    attempt("opened", [&] { typed_results_are_opened(*chat, *tools); });
    for (const auto kind :
         { AnswerPlan::Calls::Required, AnswerPlan::Calls::Auto }) {
        attempt("one", [&] { calls_come_back(*chat, tools, { flight }, kind); });
        attempt("thought over", [&] { calls_come_back(*chat, tools, { flight }, kind, true); });
        attempt("other", [&] { calls_come_back(*chat, tools, { mesh }, kind); });
        if (chat->takes(*tools) && !chat->several_calls()) {
            continue;
        }
        attempt("two",
                [&] { calls_come_back(*chat, tools, { flight, mesh }, kind); });
        attempt("three", [&] {
            calls_come_back(*chat, tools, { flight, mesh, plain }, kind);
        });
    }
    return row;
}

}  // namespace

int main(int argc, char ** argv) {
    if (argc < 3) {
        std::fprintf(stderr,
                     "usage: luup-template-cases model.gguf template.jinja …\n");
        return 2;
    }
    llama_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
    llama_model_params params = llama_model_default_params();
    params.vocab_only         = true;
    llama_model * model       = llama_model_load_from_file(argv[1], params);
    if (!model) {
        std::fprintf(stderr, "%s can't be loaded\n", argv[1]);
        return 2;
    }
    vocab      = llama_model_get_vocab(model);
    vocabulary = std::make_shared<const Vocabulary>(vocab);
    int failed = 0;
    for (int i = 2; i < argc; i++) {
        const Row row = sweep(model, argv[i]);
        std::printf("%s %s: %s\n", row.problems.empty() ? "ok    " : "FAILED",
                    row.name.c_str(), row.kind.c_str());
        for (const std::string & problem : row.problems) {
            std::printf("        %s\n", problem.c_str());
        }
        std::fflush(stdout);
        failed += !row.problems.empty();
    }
    vocabulary.reset();
    llama_model_free(model);
    return failed > 0;
}
