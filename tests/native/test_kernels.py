"""Our kernels, in each CPU variant that this machine can run, against plain arithmetic."""

import os
import subprocess

import pytest

VARIANTS = ["haswell", "alderlake", "skylakex", "cannonlake", "cascadelake", "icelake", "cooperlake", "zen4"]


@pytest.mark.parametrize("variant", [*VARIANTS, "sapphirerapids"])
def test_products_are_those_of_plain_arithmetic_in_any_batch(variant, tool):
    program = tool("luup-kernel-cases")
    modules = sorted(program.parent.glob(f"*ggml-cpu-{variant}.*"))
    if not modules:
        pytest.skip(f"there is no {variant} in this build")
    result = subprocess.run(
        [str(program), str(modules[0])], capture_output=True, encoding="utf-8", timeout=300, check=False
    )
    if result.stdout == "unsupported\n":
        pytest.skip(f"this CPU can't run {variant}")
    assert result.returncode == 0, result.stdout + result.stderr[-2000:]
    assert result.stdout.endswith(" passed, 0 failed\n")
    assert {"q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q4_K", "q5_K", "q6_K"} <= set(result.stdout.split())


def test_a_model_s_weights_are_laid_out_for_them(model):
    """The embeddings stay as they are for looking rows up, and are laid out a second time for the output."""
    info = model.get_info()
    if info.cpu_variant not in VARIANTS:
        pytest.skip(f"{info.cpu_variant} has none")
    embeddings = info.vocabulary_size * info.embedding_size * 34 // 32  # Q8_0
    size = os.path.getsize(info.path)
    assert size * 0.97 + embeddings < info.memory_weights < size + embeddings
