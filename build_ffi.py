"""Generate the source of ``luup_agent._luup_cffi`` from ``csrc/luup_agent.h``.

The header is the only contract between C and Python, so its declarations are parsed and never written twice: a wrong
signature in a hand-written cdef would pass unnoticed. The parser needs no compiler. Anything that it does not know is
an error that names the line.

Run ``python build_ffi.py OUT.c`` to write the C source. Tools that import this module use ``ffibuilder``.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Iterator, List, Match, NamedTuple, Tuple

from cffi import FFI

HEADER = Path(__file__).resolve().parent / "csrc" / "luup_agent.h"
MODULE = "luup_agent._luup_cffi"

# One expression for comments and literals, so that a quote in a comment and a "/*" in a string are read correctly.
_TOKEN = re.compile(
    r"""(?P<comment>//[^\n]*|/\*.*?\*/)
      | (?P<literal>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
      | (?P<unclosed>/\*|"|')""",
    re.DOTALL | re.VERBOSE,
)
_DIRECTIVE = re.compile(r"\s*#\s*(?P<name>\w*)\s*(?P<rest>.*?)\s*$")
_DEFINE = re.compile(r"(?P<name>[A-Za-z_]\w*)\s+(?P<value>.+)$")
_STRING_VALUE = re.compile(r'(?:"(?:\\.|[^"\\])*"\s*)+$')
_INTEGER_VALUE = re.compile(r"(?:0[xX][0-9a-fA-F]+[uUlL]*|\d+[uUlL]*|[A-Za-z_]\w*|<<|>>|[-+*/%&|^~()]|\s)+$")
# Conditional blocks without declarations for Python: the export macro and the C++ linkage.
_SKIPPED_CONDITIONS = re.compile(r"(?:ifdef\s+|if\s+defined\s*\(?\s*)(?:_WIN32|__cplusplus)\s*\)?$")
_SKIPPED_CODE = re.compile(r'\s*(?:extern\s+"C"\s*\{|\})?\s*$')
_FUNCTION = re.compile(r"LUUP_API\s[^()]*?\b(?P<name>\w+)\s*\([^{}]*\)\s*;$", re.DOTALL)
_CALLBACK = re.compile(
    r"typedef\s+(?P<result>[^()]*?)\s*\(\s*\*\s*luup_(?P<name>\w+)\s*\)\s*\((?P<args>.*)\)\s*;$", re.DOTALL
)
_DECLARATION = re.compile(r"(?:typedef|struct|enum)\b")


class Declarations(NamedTuple):
    """The declarations of a header.

    Attributes:
        cdef: C source for ``FFI.cdef()``.
        functions: The names of the functions marked ``LUUP_API``, in the order of the header.
        callbacks: The names of the ``extern "Python"`` functions, one for each callback type.
    """

    cdef: str
    functions: List[str]
    callbacks: List[str]


def strip_comments(source: str) -> str:
    """Join continued lines and replace comments by blanks, as a C compiler does.

    The line number of each piece of code stays the same, so that errors can name it.

    Args:
        source: C source text.

    Returns:
        The source without comments.

    Raises:
        ValueError: A comment or a literal is not closed.

    Example:
        >>> strip_comments('int a; /* one */ char * b = "/* two */";')
        'int a;   char * b = "/* two */";'
    """
    logical: List[str] = []
    joined = 0
    pending = ""
    for line in source.replace("\r\n", "\n").split("\n"):
        if line.endswith("\\"):
            pending += line[:-1]
            joined += 1
            continue
        logical.append(pending + line + "\n" * joined)
        pending, joined = "", 0
    if joined:
        logical.append(pending + "\n" * (joined - 1))
    text = "\n".join(logical)

    def replace(match: Match[str]) -> str:
        if match.group("unclosed"):
            line_number = text.count("\n", 0, match.start()) + 1
            raise ValueError(f"line {line_number}: unterminated {match.group()}")
        if match.group("comment"):
            return " " + "\n" * match.group().count("\n")
        return match.group()

    return _TOKEN.sub(replace, text)


def _constant(rest: str) -> str:
    """Return the cdef line for ``#define`` and the `rest` of its line; the C compiler fills in the value."""
    define = _DEFINE.match(rest)
    if define and _STRING_VALUE.match(define.group("value")):
        return f"static const char *const {define.group('name')};"
    if define and _INTEGER_VALUE.match(define.group("value")):
        return f"#define {define.group('name')} ..."
    raise ValueError(f"only integer and string constants are supported: #define {rest}")


def _preprocess(source: str) -> Tuple[List[str], List[str]]:
    """Process the directives. Return the lines of code, blank in place of directives, and the cdef of constants."""
    lines = strip_comments(source).split("\n")
    code: List[str] = []
    constants: List[str] = []
    guard = ""  # the name of the include guard
    guard_state = "before"  # then "opened" by #ifndef, "inside" after #define, "after" #endif
    skipping = 0  # depth of nested conditions in a skipped block
    for line_number, line in enumerate(lines, 1):
        directive = _DIRECTIVE.match(line)
        if directive is None:
            if skipping and not _SKIPPED_CODE.match(line):
                raise ValueError(f"line {line_number}: code in a skipped block: {line.strip()}")
            if line.strip() and not skipping and guard_state != "inside":
                raise ValueError(f"line {line_number}: code outside the include guard: {line.strip()}")
            code.append("" if skipping else line)
            continue
        code.append("")
        name, rest = directive.group("name"), directive.group("rest")
        if skipping:
            skipping += {"if": 1, "ifdef": 1, "ifndef": 1, "endif": -1}.get(name, 0)
            if name not in ("if", "ifdef", "ifndef", "elif", "else", "endif", "define"):
                raise ValueError(f"line {line_number}: unknown directive: {line.strip()}")
        elif name == "ifndef" and guard_state == "before":
            guard, guard_state = rest, "opened"
        elif guard_state == "opened":
            if name != "define" or rest != guard:
                raise ValueError(f"line {line_number}: expected #define {guard}")
            guard_state = "inside"
        elif guard_state != "inside":
            raise ValueError(f"line {line_number}: directive outside the include guard: {line.strip()}")
        elif name == "endif":
            guard_state = "after"
        elif name == "define":
            try:
                constants.append(_constant(rest))
            except ValueError as error:
                raise ValueError(f"line {line_number}: {error}") from None
        elif _SKIPPED_CONDITIONS.match(f"{name} {rest}"):
            skipping = 1
        elif name != "include":
            raise ValueError(f"line {line_number}: unknown directive: {line.strip()}")
    if guard_state != "after":
        raise ValueError(f"line {len(lines)}: the include guard is not closed")
    return code, constants


def _statements(code: List[str]) -> Iterator[Tuple[int, str]]:
    """Split code at the semicolons outside braces. Yield the line number and the text of each statement."""
    statement, start, depth = "", 0, 0
    for line_number, line in enumerate(code, 1):
        for piece in re.findall(r"[^;{}]+|[;{}]", line.strip() + "\n"):
            if not statement.strip():
                statement, start = "", line_number
            statement += piece
            depth += (piece == "{") - (piece == "}")
            if depth < 0:
                raise ValueError(f"line {line_number}: unexpected }}")
            if piece == ";" and depth == 0:
                yield start, statement.strip()
                statement = ""
    if statement.strip():
        raise ValueError(f"line {start}: unterminated statement: {statement.strip()}")


def parse_header(source: str) -> Declarations:
    """Parse the declarations of ``luup_agent.h``.

    Args:
        source: The text of the header.

    Returns:
        Its declarations, with an ``extern "Python"`` function ``luup_py_NAME`` for each callback type ``luup_NAME``.

    Raises:
        ValueError: The parser does not know a part of the header; the message names the line.

    Example:
        >>> parse_header('''#ifndef H
        ... #define H
        ... LUUP_API int luup_one(void);
        ... #endif''').functions
        ['luup_one']
    """
    code, cdef = _preprocess(source)
    functions: List[str] = []
    callbacks: List[str] = []
    for line_number, statement in _statements(code):
        function = _FUNCTION.match(statement)
        callback = _CALLBACK.match(statement)
        if function:
            functions.append(function.group("name"))
            cdef.append(re.sub(r"^LUUP_API\s+", "", statement))
        elif "LUUP_API" in statement or not _DECLARATION.match(statement):
            raise ValueError(f"line {line_number}: unknown declaration: {statement}")
        else:
            cdef.append(statement)
        if callback:
            name = f"luup_py_{callback.group('name')}"
            callbacks.append(name)
            cdef.append(f'extern "Python" {callback.group("result")} {name}({callback.group("args")});')
    return Declarations("\n".join(cdef) + "\n", functions, callbacks)


def make_ffibuilder(header: Path = HEADER) -> FFI:
    """Return the cffi builder of the extension module.

    Args:
        header: The path of ``luup_agent.h``.

    Returns:
        A builder whose ``emit_c_code(path)`` writes the C source.

    Raises:
        OSError: The header can't be read.
        ValueError: The parser does not know a part of the header.

    Example:
        >>> make_ffibuilder().emit_c_code("build/_luup_cffi.c")  # doctest: +SKIP
    """
    try:
        declarations = parse_header(header.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{header.name}: {error}") from None
    builder = FFI()
    builder.cdef(declarations.cdef)
    builder.set_source(MODULE, '#include "luup_agent.h"')
    return builder


ffibuilder = make_ffibuilder()

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python build_ffi.py OUT.c")
    ffibuilder.emit_c_code(sys.argv[1])
