"""csrc/llama_patches/apply.py: patches fit exactly or stop the build, and an update writes only what changed."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "csrc" / "llama_patches"
PATCHES = sorted(FOLDER.glob("*.patch"))

PATCH = """\
--- a/src/one.c
+++ b/src/one.c
@@ -1,3 +1,4 @@
 first
-second
+second, changed
+and more
 third
"""


@pytest.fixture(scope="module")
def apply():
    spec = importlib.util.spec_from_file_location("apply", FOLDER / "apply.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["apply"] = module  # NamedTuple looks its annotations up there
    spec.loader.exec_module(module)
    yield module
    del sys.modules["apply"]


@pytest.fixture
def tree(tmp_path):
    source = tmp_path / "source"
    (source / "src" / "deep").mkdir(parents=True)
    (source / "other").mkdir()
    (source / "src" / "one.c").write_bytes(b"zero\nfirst\nsecond\nthird\n")
    (source / "src" / "deep" / "two.c").write_bytes(b"two\r\n")
    (source / "other" / "three.c").write_bytes(b"three\n")
    (source / "LICENSE").write_bytes(b"free\n")
    return source


@pytest.fixture
def patch(tmp_path):
    def write(text=PATCH):
        path = tmp_path / "a.patch"
        path.write_text(text)
        return path

    return write


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_copy_has_the_parts_and_the_change(apply, tree, patch, tmp_path):
    before = files(tree)
    apply.copy_patched(tree, tmp_path / "copy", ["src", "LICENSE", "missing"], [patch()])
    assert files(tmp_path / "copy") == {
        "src/one.c": b"zero\nfirst\nsecond, changed\nand more\nthird\n",
        "src/deep/two.c": b"two\r\n",
        "LICENSE": b"free\n",
    }
    assert files(tree) == before


def test_a_line_number_may_differ_but_no_line(apply, tree, patch, tmp_path):
    (tree / "src" / "one.c").write_text("first\nSecond\nthird\n")
    with pytest.raises(
        apply.PatchError, match=r"a\.patch: .*one\.c: the hunk @@ -1,3 \+1,4 @@ does not apply.* 0 times"
    ):
        apply.copy_patched(tree, tmp_path / "copy", ["src"], [patch()])
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("text", ["first\nsecond\nthird\nfirst\nsecond\nthird\n", "first\nsecond\n  third\n"])
def test_a_hunk_that_fits_twice_or_but_for_spaces_is_refused(apply, tree, patch, tmp_path, text):
    (tree / "src" / "one.c").write_text(text)
    with pytest.raises(apply.PatchError, match="not once"):
        apply.copy_patched(tree, tmp_path / "copy", ["src"], [patch()])


def test_a_patch_is_not_applied_twice(apply, tree, patch, tmp_path):
    apply.copy_patched(tree, tmp_path / "copy", ["src"], [patch()])
    with pytest.raises(apply.PatchError, match="0 times"):
        apply.copy_patched(tmp_path / "copy", tmp_path / "again", ["src"], [patch()])


def test_several_patches_of_a_file(apply, tree, patch, tmp_path):
    second = tmp_path / "b.patch"
    second.write_text("--- a/src/one.c\n+++ b/src/one.c\n@@ -3,2 +3,1 @@\n and more\n-third\n")
    apply.copy_patched(tree, tmp_path / "copy", ["src"], [patch(), second])
    assert (tmp_path / "copy" / "src" / "one.c").read_text() == "zero\nfirst\nsecond, changed\nand more\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "changes nothing"),
        ("diff --git a/x b/x\n", "cannot read the line"),
        ("--- a/src/one.c\n+++ b/src/one.c\n", "changes nothing"),
        (PATCH.replace("1,3", "1,4"), "another number of lines"),
        (PATCH.replace("third", "third\n\\ No newline at end of file"), "cannot read the line"),
        (PATCH.replace("one.c", "none.c"), "has no file src/none.c"),
    ],
)
def test_a_malformed_patch_is_refused(apply, tree, patch, tmp_path, text, problem):
    with pytest.raises(apply.PatchError, match=problem):
        apply.copy_patched(tree, tmp_path / "copy", ["src"], [patch(text)])


def test_an_update_writes_only_what_changed(apply, tree, patch, tmp_path):
    copy = tmp_path / "copy"
    apply.copy_patched(tree, copy, ["src", "other"], [patch()])
    for path in (copy / "src").rglob("*.c"):
        os.utime(path, (1e9, 1e9))
    os.utime(tree / "src" / "deep" / "two.c", (1e9, 1e9))
    (tree / "other" / "three.c").unlink()
    (tree / "other" / "four.c").write_text("four\n")
    apply.copy_patched(tree, copy, ["src", "other"], [patch()])
    assert {path.stat().st_mtime for path in (copy / "src").rglob("*.c")} == {1e9}
    assert [path.name for path in (copy / "other").iterdir()] == ["four.c"]
    (tree / "src" / "one.c").write_text("first\nsecond\nthird\nlast\n")
    apply.copy_patched(tree, copy, ["src", "other"], [patch()])
    assert (copy / "src" / "one.c").read_text() == "first\nsecond, changed\nand more\nthird\nlast\n"


def test_the_command_line_reports_a_patch_that_does_not_fit(tree, tmp_path):
    command = [sys.executable, str(FOLDER / "apply.py"), str(tree), str(tmp_path / "copy")]
    run = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8", "timeout": 60, "check": False}
    result = subprocess.run([*command, "src"], **run)
    assert (result.returncode, result.stdout) == (1, "")
    assert re.search(r"\w+\.patch: .*source has no file", result.stderr)
    assert subprocess.run(command, **run).returncode == 2


@pytest.mark.parametrize("path", PATCHES, ids=lambda path: path.stem)
def test_our_patches_are_well_formed(apply, path):
    assert apply.read_patch(path)


def test_the_readme_gives_the_reason_of_each():
    rows = re.findall(r"^\| `(\w+\.\w+)` \|", (FOLDER / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(rows) == sorted(path.name for path in [*PATCHES, *FOLDER.glob("*.h")])


def test_the_commit_of_llama_cpp_is_the_same_everywhere():
    root = FOLDER.parents[1]
    source = (root / "csrc/cmake/LlamaSource.cmake").read_text(encoding="utf-8")
    (commit,) = re.findall(r'set\(LUUP_LLAMA_COMMIT "(\w+)"\)', source)
    for name, pattern in (
        ("csrc/cmake/llama.cpp.lock", r"\(commit (\w+)\)"),
        ("csrc/luup_agent.h", r"commit of llama.cpp, such as \"[^\"]*\((\w+)\)\""),
        ("luup_agent/hardware.py", r"built-in llama.cpp, such as ``\"[^\"]*\((\w+)\)\"``"),
        ("luup_agent/doctor.py", r"\(llama.cpp [\w.-]+ \((\w+)\)\)"),
        ("CHANGELOG.md", r"^llama.cpp: `(\w+)`"),
    ):
        found = re.findall(pattern, (root / name).read_text(encoding="utf-8"), re.MULTILINE)
        assert found[:1] == [commit], name
