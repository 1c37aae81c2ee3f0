"""Write csrc/luup_agent.h as a page of the site: its sections, each declaration with the comment before it.

The header is written for people: sections between lines of dashes, and a comment before each declaration. This module
knows no more of C than that; a test compares the names on the page with those that build_ffi.py reads.
"""

from __future__ import annotations

import re
import textwrap
from typing import Dict, Iterator, List, NamedTuple, Tuple

INTRODUCTION = re.compile(r"\A/\*\n(.*?)\n \*/\n", re.DOTALL)
SECTION = re.compile(r"/\* -{20,}\n(.*?)\n \* -{20,} \*/\n", re.DOTALL)
COMMENT = re.compile(r"\A/\*(.*?)\*/\s*\n", re.DOTALL)
NAME = re.compile(r"#define (LUUP_\w+) |\(\*(luup_\w+)\)\(|^\} (luup_\w+);|^LUUP_API .*?(luup_\w+)\(", re.MULTILINE)
HANDLE = re.compile(r"^typedef struct (luup_\w+) +\1;.*$", re.MULTILINE)
MENTIONED = re.compile(r"(luup_\w+)(\(\))?(?!\w|\.h)|LUUP_\w+|\bNULL\b")


class Declaration(NamedTuple):
    """A declaration of the header.

    Attributes:
        name: The function, the type or the macro.
        comment: The comment before it, without its marks.
        source: Its lines.
    """

    name: str
    comment: str
    source: str


class Section(NamedTuple):
    """A part of the header.

    Attributes:
        title: Its title.
        text: What the title's comment says beyond it.
        declarations: In the header's order.
    """

    title: str
    text: str
    declarations: Tuple[Declaration, ...]


def read_introduction(header: str) -> str:
    """Return the first comment of the header, without its marks."""
    match = INTRODUCTION.match(header)
    if not match:
        raise ValueError("the header does not begin with a comment")
    return _unmark(match.group(1))


def read_sections(header: str) -> List[Section]:
    """Return the sections of the header, in its order."""
    parts = SECTION.split(header)
    sections = []
    for heading, body in zip(parts[1::2], parts[2::2]):
        title, _, text = _unmark(heading).partition("\n")
        sections.append(Section(title.strip(), textwrap.dedent(text).strip("\n"), tuple(_read_declarations(body))))
    return sections


def _read_declarations(body: str) -> Iterator[Declaration]:
    for chunk in re.split(r"\n\n(?=\S)", body.strip("\n")):
        comment = COMMENT.match(chunk)
        source = chunk[comment.end() :] if comment else chunk
        found = NAME.search(source)
        if found:
            name = next(group for group in found.groups() if group)
            yield Declaration(name, _unmark(comment.group(1)) if comment else "", source.strip())


def _unmark(comment: str) -> str:
    """Return a comment's text without the asterisks at the beginnings of its lines."""
    lines = [re.sub(r"^ ?\* ?", "", line).rstrip() for line in comment.split("\n")]
    return "\n".join(lines).strip()


def _parts(text: str) -> Iterator[str]:
    """Yield the paragraphs and pieces of code of a text. Code is indented, or a program that begins with #include."""
    program = ""
    for part in re.split(r"\n\n+", text):
        if program or part.startswith("#include"):
            program += part + "\n\n"
            if "{" in program and program.count("{") == program.count("}"):
                yield f"```c\n{program.rstrip()}\n```"
                program = ""
        elif all(line.startswith("    ") for line in part.split("\n")):
            yield f"```c\n{textwrap.dedent(part)}\n```"
        else:
            yield part


def _markdown(text: str, anchors: Dict[str, str]) -> str:
    """Return a text of the header as Markdown: paragraphs, code, and links to other declarations."""
    return "\n\n".join(part if part.startswith("```") else _link(part, anchors) for part in _parts(text))


def _link(text: str, anchors: Dict[str, str]) -> str:
    def replace(match: re.Match[str]) -> str:
        anchor = anchors.get(match.group(1) or match.group())
        return f"[`{match.group()}`](#{anchor})" if anchor else f"`{match.group()}`"

    pieces = re.split(r"(`[^`]+`)", text)
    pieces[::2] = [MENTIONED.sub(replace, re.sub(r"([<>*])", r"\\\1", piece)) for piece in pieces[::2]]
    return "".join(pieces)


def _introduction(header: str, anchors: Dict[str, str]) -> Iterator[str]:
    """Yield the introduction's parts: its headings are the lines that begin in the first column."""
    first, *parts = re.split(r"\n(?=[A-Z])", read_introduction(header))
    yield first.partition(" - ")[2].strip()
    for part in parts:
        title, _, text = part.partition("\n")
        yield f"## {title.replace('`', '')}"
        yield _markdown(textwrap.dedent(text).strip("\n"), anchors)


def make_page(header: str) -> str:
    """Return the page of the C API, as Markdown, for the text of ``luup_agent.h``."""
    sections = read_sections(header)
    handles = list(HANDLE.finditer(header))
    anchors = {each.name: each.name for section in sections for each in section.declarations}
    anchors.update((handle.group(1), "handles") for handle in handles)
    parts = ["# C API", *_introduction(header, anchors), "## Handles"]
    parts.append("\n".join(["```c", *(handle.group() for handle in handles), "```"]))
    for section in sections:
        title = "Error codes" if section.title == "Errors" else section.title  # the introduction has Errors too
        parts += [f"## {title}", _markdown(section.text, anchors)]
        for each in section.declarations:
            parts += [f"### `{each.name}` {{ #{each.name} }}", _markdown(each.comment, anchors)]
            parts.append(f"```c\n{each.source}\n```")
    return "\n\n".join(part for part in parts if part) + "\n"
