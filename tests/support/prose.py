"""The prose of the repository: its comments, docstrings, string literals and pages, each as one line of text."""

import io
import re
import tokenize
from typing import NamedTuple

_C = re.compile(
    r"""(?P<line>//[^\n]*)
      | (?P<block>/\*.*?\*/)
      | (?P<raw>R"(?P<mark>[^()\s\\"]*)\((?P<inner>.*?)\)(?P=mark)")
      | (?P<string>"(?:\\.|[^"\\\n])*")
      | '(?:\\.|[^'\\\n])*'""",
    re.DOTALL | re.VERBOSE,
)
_QUOTES = re.compile(r"^[a-zA-Z]*(\"\"\"|'''|\"|')|(\"\"\"|'''|\"|')$")
_STATEMENT_START = (tokenize.ENCODING, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)


class Prose(NamedTuple):
    """A comment, a docstring, a string literal or a paragraph.

    Attributes:
        kind: "comment", "docstring", "string" or "paragraph".
        line: The number of its first line.
        text: The text without markers and line breaks.
    """

    kind: str
    line: int
    text: str


def read_prose(name, source):
    """Return the prose in the text of a file; the ending of its name tells the language."""
    if name.endswith((".h", ".c", ".cpp", ".in")):
        found = _read_c(source)
    elif name.endswith((".py", ".pyi")):
        found = _read_python(source)
    elif name.endswith(".md"):
        found = _read_markdown(source)
    else:
        found = _read_script(source)
    joined = (Prose(kind, line, re.sub(r"\s+", " ", text).strip()) for kind, line, text in _join(found))
    return [each for each in joined if each.text]


def _join(found):
    """Join comments on consecutive lines; `found` are tuples of kind, line and text."""
    last_line = 0
    joined = []
    for kind, line, text in found:
        if kind == "line comment":
            if joined and joined[-1][0] == "comment" and last_line == line - 1:
                joined[-1] = ("comment", joined[-1][1], joined[-1][2] + " " + text)
            else:
                joined.append(("comment", line, text))
            last_line = line
        else:
            joined.append((kind, line, text))
            last_line = 0
    return joined


def _read_c(source):
    for match in _C.finditer(source):
        line = source.count("\n", 0, match.start()) + 1
        if match.group("line"):
            yield "line comment", line, match.group().lstrip("/").strip("- ")
        elif match.group("block"):
            yield "comment", line, re.sub(r"\n\s*\*?", " ", match.group()[2:-2])
        elif match.group("raw"):
            yield "string", line, match.group("inner")
        elif match.group("string"):
            yield "string", line, match.group()[1:-1]


def _read_python(source):
    before = tokenize.ENCODING
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield "line comment", token.start[0], token.string.lstrip("#").strip("- ")
        elif token.type == tokenize.STRING:
            kind = "docstring" if before in _STATEMENT_START else "string"
            yield kind, token.start[0], _QUOTES.sub("", token.string)
        elif tokenize.tok_name[token.type] == "FSTRING_MIDDLE":
            yield "string", token.start[0], token.string
        if token.type not in (tokenize.COMMENT, tokenize.NL):
            before = token.type


def _read_markdown(source):
    line = 1
    for paragraph in re.split(r"(\n\s*\n)", source):
        yield "paragraph", line, paragraph
        line += paragraph.count("\n")


def _read_script(source):
    """Read a language with ``#`` comments: CMake, shell, TOML, YAML."""
    for number, line in enumerate(source.split("\n"), 1):
        comment = re.search(r"(?:^|\s)#+(?:\s(.*))?$", line)
        if comment:
            yield "line comment", number, (comment.group(1) or "").strip("- ")
            line = line[: comment.start()]
        for text in re.findall(r'"((?:\\.|[^"\\])*)"', line):
            yield "string", number, text
