"""Which libraries are loaded, from where, and which CPU variant is chosen."""

import os
import shutil
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc and builds with gcc")

CHOSEN = "from luup_agent import cpu_variant; v = cpu_variant(); print(v.name, '|', v.path, '|', v.reason)"
FAILS = """
import luup_agent
try:
    print(luup_agent.cpu_variant())
except luup_agent.BackendInitError as error:
    print(error)
"""


def variants(package):
    return sorted(path.stem.replace("libggml-cpu-", "") for path in package.glob("libggml-cpu-*.so"))


def test_the_best_variant_is_chosen_and_says_why(child, package):
    result = child(CHOSEN)
    name, path, reason = result.stdout.strip().split(" | ")
    assert name in variants(package)
    assert path == str(package / f"libggml-cpu-{name}.so")
    assert reason.startswith("the best of ")
    assert result.stderr == ""


def test_every_variant_runs_or_is_refused(child, package, model_path):
    """No variant ends the process: it answers, or an error says that this CPU can't run it."""
    answer = """
    import sys
    from luup_agent import Agent, BackendInitError, Model, cpu_variant
    try:
        with Model.from_local(sys.argv[1], threads=1) as model:
            agent = Agent(model, "You are a helpful assistant.", temperature=0, max_tokens=12)
            print(cpu_variant().name, agent.generate("What is the capital of France?"))
    except BackendInitError as error:
        print("refused:", error)
    """
    ran = 0
    for name in variants(package):
        result = child(answer, model_path, env={**os.environ, "LUUP_CPU_VARIANT": name})
        assert result.returncode == 0, (name, result.stderr)
        if result.stdout.startswith("refused:"):
            assert f"LUUP_CPU_VARIANT={name} can't be used" in result.stdout
        else:
            assert result.stdout.startswith(name), result.stdout
            assert "Paris" in result.stdout, result.stdout
            ran += 1
    assert ran > 0


def test_an_unknown_variant_is_an_error_that_lists_them(child, package):
    result = child(FAILS, env={**os.environ, "LUUP_CPU_VARIANT": "pentium"})
    assert result.returncode == 0
    assert "LUUP_CPU_VARIANT=pentium" in result.stdout
    for name in variants(package):
        assert name in result.stdout


def test_nothing_is_loaded_from_other_folders(child, tmp_path, model_path):
    """Modules with the names that ggml looks for, in the current directory and where LD_LIBRARY_PATH does not point."""
    if not shutil.which("gcc"):
        pytest.skip("gcc is not here")
    source = tmp_path / "evil.c"
    source.write_text(
        "#include <stdio.h>\n"
        '__attribute__((constructor)) static void run(void) { FILE *f = fopen("loaded", "w"); if (f) fclose(f); }\n'
        "int ggml_backend_score(void) { return 1000000; }\n"
    )
    for name in ("libggml-cpu-evil.so", "libggml-cpu.so", "libggml-cuda.so", "libggml-blas.so", "libluup-ggml.so"):
        subprocess.run(["gcc", "-shared", "-fPIC", str(source), "-o", str(tmp_path / name)], check=True, timeout=60)
    source_text = """
    import sys
    from luup_agent import Agent, Model
    with Model.from_local(sys.argv[1], threads=1) as model:
        Agent(model, max_tokens=2).generate("Hi")
    print(open("/proc/self/maps").read())
    """
    result = child(source_text, model_path, cwd=str(tmp_path))
    assert result.returncode == 0, result.stderr
    assert str(tmp_path) not in result.stdout
    assert not (tmp_path / "loaded").exists()
    loaded = {line.split()[-1] for line in result.stdout.splitlines() if "ggml" in line}
    assert len([path for path in loaded if "ggml-cpu" in path]) == 1, loaded


@pytest.mark.parametrize("name", ["ggml_init", "ggml_backend_load"])
def test_a_foreign_ggml_for_the_whole_process_is_an_error_that_names_it(child, tmp_path, model_path, name):
    if not shutil.which("gcc"):
        pytest.skip("gcc is not here")
    source = tmp_path / "foreign.c"
    source.write_text(f"#include <stdlib.h>\nvoid {name}(void) {{ abort(); }}\n")
    library = tmp_path / "libggml-foreign.so"
    subprocess.run(["gcc", "-shared", "-fPIC", str(source), "-o", str(library)], check=True, timeout=60)
    program = f"""
    import ctypes, sys
    ctypes.CDLL({str(library)!r}, ctypes.RTLD_GLOBAL)
    from luup_agent import LuupError, Model
    try:
        Model.from_local(sys.argv[1])
    except LuupError as error:
        print(type(error).__name__, error)
    """
    result = child(program, model_path)
    assert result.returncode == 0, result.stderr[-2000:]
    assert result.stdout.startswith(f"BackendInitError another package loaded {library} for the whole process")


def test_a_context_larger_than_the_memory_is_refused(child, model_path):
    result = child(
        """
        import sys
        from luup_agent import Agent, Model, OutOfMemoryError
        try:
            Model.from_local(sys.argv[1], context_size=16_000_000)
        except OutOfMemoryError as error:
            print(error)
        with Model.from_local(sys.argv[1], context_size=256, threads=1) as model:
            print(Agent(model, max_tokens=1).run("Hi").finish_reason)
        """,
        model_path,
    )
    assert result.returncode == 0, result.stderr
    message, after = result.stdout.splitlines()
    assert "16000000 tokens" in message
    assert "MB" in message
    assert after == "length"
