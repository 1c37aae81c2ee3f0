"""The header parser: it keeps every declaration, and fails on what it does not know."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cffi import FFI
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[2]
SPEC = importlib.util.spec_from_file_location("build_ffi", ROOT / "build_ffi.py")
assert SPEC is not None
assert SPEC.loader is not None
build_ffi = importlib.util.module_from_spec(SPEC)
sys.modules["build_ffi"] = build_ffi
SPEC.loader.exec_module(build_ffi)

HEADER = (ROOT / "csrc" / "luup_agent.h").read_text(encoding="utf-8")


def guarded(body: str) -> str:
    return f"#ifndef H\n#define H\n{body}\n#endif\n"


def constants_of(body: str) -> str:
    cdef: str = build_ffi.parse_header(guarded(body)).cdef
    return cdef


# The real header


def test_every_function_of_the_header_appears_exactly_once():
    declarations = build_ffi.parse_header(HEADER)
    # An independent reading: comments go, then each "LUUP_API … luup_x(" is a function.
    bare = re.sub(r"/\*.*?\*/", "", HEADER, flags=re.DOTALL)
    expected = re.findall(r"^LUUP_API [^;]*?\b(luup_\w+)\(", bare, flags=re.MULTILINE)
    assert len(expected) > 30
    assert declarations.functions == expected
    for name in expected:
        assert len(re.findall(rf"\b{name}\(", declarations.cdef)) == 1, name


def test_cffi_parses_the_cdef_and_knows_each_structure():
    declarations = build_ffi.parse_header(HEADER)
    ffi = FFI()
    ffi.cdef(declarations.cdef)
    structures = re.findall(r"^typedef struct (luup_\w+) \{", HEADER, flags=re.MULTILINE)
    assert len(structures) > 8
    for name in structures:
        assert ffi.typeof(name).fields, name


def test_each_callback_type_gets_a_python_function():
    declarations = build_ffi.parse_header(HEADER)
    bare = re.sub(r"/\*.*?\*/", "", HEADER, flags=re.DOTALL)
    assert declarations.callbacks == [f"luup_py_{name}" for name in re.findall(r"\(\*luup_(\w+)\)", bare)]
    assert "luup_py_load_progress" in declarations.callbacks


def test_the_script_writes_c_source(tmp_path):
    out = tmp_path / "out.c"
    subprocess.run([sys.executable, str(ROOT / "build_ffi.py"), str(out)], check=True, capture_output=True)
    source = out.read_text(encoding="utf-8")
    assert '#include "luup_agent.h"' in source
    assert "_cffi_f_luup_model_load" in source


def test_the_script_tells_its_usage():
    result = subprocess.run([sys.executable, str(ROOT / "build_ffi.py")], capture_output=True, text=True)
    assert result.returncode == 1
    assert "OUT.c" in result.stderr


# Comments, literals, continued lines


@given(
    st.lists(
        st.one_of(
            st.text("ab \"'\\/*;{}#\n", max_size=12)
            .filter(lambda text: "*/" not in text and "\\\n" not in text)
            .map(lambda text: "/*" + text.rstrip("*/\\") + "*/"),
            st.text("ab \"'/*;{}#", max_size=12).map(lambda text: "//" + text + "\n"),
        ),
        max_size=6,
    )
)
def test_comments_never_change_what_is_declared(comments):
    plain = ["LUUP_API int luup_one(int a);", "enum luup_e { LUUP_A = 1 };", "LUUP_API void luup_two(void);"]
    noisy = []
    for index, line in enumerate(plain):
        noisy.append(line)
        noisy.extend(comments[index::3])
    declarations = build_ffi.parse_header(guarded("\n".join(noisy)))
    assert declarations == build_ffi.parse_header(guarded("\n".join(plain)))


@given(st.text("ab /*'#;\"\\", max_size=20))
def test_text_in_a_string_is_never_taken_for_a_comment(text):
    literal = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    assert build_ffi.strip_comments(f"x {literal} /* gone */") == f"x {literal}  "


@given(st.sets(st.integers(0, 40), max_size=8))
def test_continued_lines_are_joined_wherever_they_are_cut(cuts):
    line = "LUUP_API int luup_one(const char * text);"
    cut = "".join(("\\\n" if index in cuts else "") + letter for index, letter in enumerate(line))
    assert build_ffi.parse_header(guarded(cut)) == build_ffi.parse_header(guarded(line))


@given(st.text("ab\"'/*\\\n;", max_size=30))
def test_stripping_keeps_the_number_of_lines(text):
    try:
        stripped = build_ffi.strip_comments(text)
    except ValueError:
        return
    assert stripped.count("\n") == text.count("\n")


@pytest.mark.parametrize("source", ["int a; /* never closed", 'char * a = "never closed;\n', "char a = 'x;\n"])
def test_a_comment_or_literal_without_an_end_fails(source):
    with pytest.raises(ValueError, match=r"line 2: unterminated "):
        build_ffi.strip_comments("\n" + source)


# Directives


def test_integer_constants_are_filled_in_by_the_compiler():
    cdef = constants_of(
        "#define LUUP_A (-2147483647 - 1)\n#define LUUP_B 0xFFFFFFFFu\n# define LUUP_C (LUUP_A | 1 << 3)"
    )
    assert cdef == "#define LUUP_A ...\n#define LUUP_B ...\n#define LUUP_C ...\n"
    FFI().cdef(cdef)


@pytest.mark.parametrize("value", ['"text"', '"two" " parts"', '"a \\" quote; /* no comment */"'])
def test_string_constants_become_char_pointers(value):
    cdef = constants_of(f"#define LUUP_TEXT {value}")
    assert cdef == "static const char *const LUUP_TEXT;\n"
    FFI().cdef(cdef)


@pytest.mark.parametrize(
    "directive",
    [
        "#pragma once",
        "#undef LUUP_A",
        "#error no",
        "#warning no",
        "#if 1",
        "#ifdef LUUP_EXTRA",
        "#ifndef _WIN32",
        "#if defined(_WIN32) && LUUP_EXTRA",
        "#elif 1",
        "#else",
        "#import <x.h>",
        "#",
        "#define LUUP_A",
        "#define LUUP_A 1.5",
        "#define LUUP_A(x) x",
        "#define LUUP_A {1}",
        "#define LUUP_A 'x'",
        "#define",
    ],
)
def test_an_unknown_directive_fails_and_names_its_line(directive):
    with pytest.raises(ValueError, match=r"^line 4: "):
        build_ffi.parse_header(guarded(f"LUUP_API int luup_one(void);\n{directive}\nLUUP_API int luup_two(void);"))


@given(st.from_regex(r"[a-z_]{1,12}", fullmatch=True))
def test_only_listed_directive_names_are_accepted(name):
    if name in ("include", "endif"):
        return
    with pytest.raises(ValueError, match=r"^line 3: "):
        build_ffi.parse_header(guarded(f"#{name} LUUP_UNHEARD_OF"))


def test_export_macro_and_linkage_blocks_are_skipped():
    body = """#include <stddef.h>
#if defined(_WIN32)
#    if defined(LUUP_BUILD)
#        define LUUP_API __declspec(dllexport)
#    else
#        define LUUP_API
#    endif
#else
#    define LUUP_API __attribute__((visibility("default")))
#endif
#ifdef __cplusplus
extern "C" {
#endif
LUUP_API int luup_one(void);
#ifdef __cplusplus
}
#endif"""
    assert build_ffi.parse_header(guarded(body)).cdef == "int luup_one(void);\n"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (guarded("#ifdef _WIN32\nLUUP_API int luup_lost(void);\n#endif"), "line 4: code in a skipped block"),
        (guarded("#ifdef _WIN32\n#pragma x\n#endif"), "line 4: unknown directive"),
        (guarded("") + "int late;", "line 5: code outside"),
        (guarded("") + "#define LUUP_LATE 1", "line 5: directive outside"),
        ("int early;\n" + guarded(""), "line 1: code outside"),
        ("#ifndef H\n#define OTHER\n#endif", "line 2: expected #define H"),
        ("#ifndef H\n#define H\n", "the include guard is not closed"),
        ("", "the include guard is not closed"),
        (guarded("LUUP_API int luup_one(void)"), "line 3: unterminated statement"),
        (guarded("}"), "line 3: unexpected }"),
        (guarded("int luup_hidden(void);"), "line 3: unknown declaration"),
        (guarded("LUUP_API int luup_variable;"), "line 3: unknown declaration"),
        (guarded("static int luup_value;"), "line 3: unknown declaration"),
    ],
)
def test_what_would_be_lost_silently_fails(source, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        build_ffi.parse_header(source)


def test_a_bad_header_is_named(tmp_path):
    header = tmp_path / "luup_agent.h"
    header.write_text(guarded("#pragma once"), encoding="utf-8")
    with pytest.raises(ValueError, match=r"luup_agent\.h: line 3: unknown directive: #pragma once"):
        build_ffi.make_ffibuilder(header)


# Callbacks


@pytest.mark.parametrize(
    ("typedef", "python"),
    [
        (
            "typedef const char * (*luup_name)(int a, void * b);",
            'extern "Python" const char * luup_py_name(int a, void * b);',
        ),
        ("typedef void (*luup_done)(void);", 'extern "Python" void luup_py_done(void);'),
        ("typedef int (*luup_split)(\n    int a,\n    int b);", 'extern "Python" int luup_py_split('),
    ],
)
def test_callback_types(typedef, python):
    cdef = constants_of(typedef)
    assert "".join(typedef.split()) in "".join(cdef.split())
    assert python in cdef
    FFI().cdef(cdef)
