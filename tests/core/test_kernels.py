"""Our kernels, in each CPU variant that this machine can run, against plain arithmetic."""

import os

import pytest
from support import cases

VARIANTS = ["haswell", "alderlake", "skylakex", "cascadelake", "zen4"]


@pytest.fixture(scope="session")
def kernel_results(request, tool, package):
    """The results of the cases in a CPU variant: `kernel_results(variant)`."""
    program = tool("luup-kernel-cases")
    known = {}

    def results(variant):
        if variant not in known:
            modules = sorted(package.glob(f"*ggml-cpu-{variant}.*"))
            known[variant] = modules and cases.Results(program, "--module", modules[0])
            if modules:
                known[variant].run(cases.selected(request, "kernel_case", variant=variant))
        if not known[variant]:
            pytest.skip(f"there is no {variant} in this build")
        if known[variant].unsupported:
            pytest.skip(f"this CPU can't run {variant}")
        return known[variant]

    return results


@pytest.mark.parametrize("variant", [*VARIANTS, "sapphirerapids"])
def test_kernels_compute_what_plain_arithmetic_does(variant, kernel_case, kernel_results):
    kernel_results(variant).check(kernel_case)


def test_a_model_s_weights_are_laid_out_for_them(model):
    """The embeddings stay as they are for looking rows up, and are laid out a second time for the output."""
    info = model.get_info()
    if info.cpu_variant not in VARIANTS:
        pytest.skip(f"the variant {info.cpu_variant} has no kernels of ours")
    embeddings = info.vocabulary_size * info.embedding_size * 34 // 32  # Q8_0
    size = os.path.getsize(info.path)
    assert size * 0.97 + embeddings < info.memory_weights < size + embeddings
