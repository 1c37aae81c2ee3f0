// Our kernels in one CPU variant, against plain arithmetic.
//   luup-kernel-cases [--list] [--module FILE] [CASE…]
// The module is a library libggml-cpu-….so. Prints "unsupported" and ends with 0 if this CPU can't run it.
#include "backend.h"
#include "check.h"

int main(int argc, char ** argv) {
    CaseArguments arguments(argc, argv, { "--module" });
    if (!arguments.list) {
        for (const std::string & path : arguments.options["--module"]) {
            module = ggml_backend_load(path.c_str());
        }
        if (arguments.options["--module"].empty()) {
            std::fprintf(stderr, "--module FILE names the library of the CPU variant to check\n");
            return 2;
        }
        if (!module) {
            std::printf("unsupported\n");
            return 0;
        }
        if (!interleaved()) {
            std::printf("%s has no kernels of ours\n", arguments.options["--module"].back().c_str());
            return 1;
        }
    }
    return run_cases(arguments);
}
