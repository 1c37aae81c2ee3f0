// Cases of the core's classes.
//   luup-core-cases [--list] [--model FILE] [--grammar FILE]… [CASE…]
// Cases that need a vocabulary read it from the model; the grammars given are matched too.
#include "check.h"
#include "grammar/matching.h"
#include "vocabulary.h"

int main(int argc, char ** argv) {
    CaseArguments arguments(argc, argv, { "--model", "--grammar" });
    for (const std::string & path : arguments.options["--model"]) {
        set_model_path(path);
    }
    grammar_files()  = arguments.options["--grammar"];
    const int status = run_cases(arguments);
    free_vocabulary();
    return status;
}
