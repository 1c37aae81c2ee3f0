"""Hooks of mkdocs: pages made of files outside docs/, and links to them.

Pages of docs/ link to files of the repository (`../examples/rag.py`), as they must for readers on a code host. On the
site each such file is a page: the header is the C API, an example is its source, Markdown is rendered.
"""

from __future__ import annotations

import ast
import posixpath
import re
import sys
from pathlib import Path
from typing import Any, Dict, List, Set

from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).parent))
from c_api import make_page

ROOT = Path(__file__).resolve().parents[2]
CODE = re.compile(r"(^```.*?^```|`[^`\n]+`)", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"(\]\()([^)\s#]+)([^)]*\))")
PLACES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changes.md",
    "csrc/luup_agent.h": "c-api.md",
    "examples": "examples/index.md",
}
LANGUAGES = {".py": "python", ".h": "c", ".toml": "toml"}

_origins: Dict[str, str] = {}  # of each generated page: the file of the repository that it shows


def place_of(path: str) -> str:
    """Return the page of the site for a file of the repository, by its path there."""
    if path.startswith("docs/"):
        return path[5:]
    if path in PLACES:
        return PLACES[path]
    if path.startswith("examples/"):
        return path[:-3] + ".md"
    return f"source/{path if path.endswith('.md') else path + '.md'}"


def links_of(markdown: str, origin: str) -> Set[str]:
    """Return the files of the repository that the Markdown of the file `origin` links to."""
    found = set()
    for piece in CODE.split(markdown)[::2]:
        for _, target, _ in LINK.findall(piece):
            if not re.match(r"[a-z]+:", target):
                found.add(posixpath.normpath(posixpath.join(posixpath.dirname(origin), target)))
    return found


def relink(markdown: str, origin: str, page: str) -> str:
    """Return the Markdown of the file `origin` with links that are right on the page `page`."""

    def replace(match: re.Match[str]) -> str:
        before, target, after = match.groups()
        if re.match(r"[a-z]+:", target):
            return match.group()
        path = posixpath.normpath(posixpath.join(posixpath.dirname(origin), target))
        return before + posixpath.relpath(place_of(path), posixpath.dirname(page) or ".") + after

    pieces = CODE.split(markdown)
    pieces[::2] = [LINK.sub(replace, piece) for piece in pieces[::2]]
    return "".join(pieces)


def content_of(path: str) -> str:
    """Return the Markdown of the page for a file of the repository."""
    if path == "examples":
        return _list_of_examples()
    text = (ROOT / path).read_text(encoding="utf-8")
    if path == "csrc/luup_agent.h":
        return make_page(text)
    if path.endswith(".md"):
        return text
    return f"# {posixpath.basename(path)}\n\n`{path}`\n\n```{LANGUAGES.get(Path(path).suffix, 'text')}\n{text}```\n"


def _list_of_examples() -> str:
    rows = [
        "# Examples",
        "",
        "Each is one file that runs: `python examples/basic_chat.py`.",
        "",
        "| example | |",
        "|---|---|",
    ]
    for file in sorted((ROOT / "examples").glob("*.py")):
        docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
        rows.append(f"| [{file.stem}](examples/{file.name}) | {docstring.partition(chr(10))[0]} |")
    return "\n".join(rows) + "\n"


def on_files(files: Files, config: Any) -> Files:
    """Add a page for each file that a page links to, and for those that these pages link to."""
    _origins.clear()
    waiting: List[str] = ["examples", "CHANGELOG.md", "csrc/luup_agent.h"]
    for file in files.documentation_pages():
        origin = f"docs/{file.src_uri}"
        waiting += sorted(links_of(file.content_string, origin))
    while waiting:
        path = waiting.pop()
        page = place_of(path)
        if path.startswith("docs/") or path == "README.md" or page in _origins or not (ROOT / path).exists():
            continue  # mkdocs warns of links to pages that do not exist
        _origins[page] = path
        content = content_of(path)
        files.append(File.generated(config, page, content=content))
        origin = "README.md" if path == "examples" else path
        if path.endswith(".md") or path == "examples":
            waiting += sorted(links_of(content, origin))
    icon = ROOT / "luup_agent" / "_server" / "page_files" / "icon.svg"
    files.append(File.generated(config, "assets/icon.svg", abs_src_path=str(icon)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Point the links of a page at the pages of the site."""
    uri = page.file.src_uri
    origin = _origins.get(uri, f"docs/{uri}")
    if origin == "csrc/luup_agent.h":
        return markdown  # its links are its own anchors
    return relink(markdown, "README.md" if origin == "examples" else origin, uri)
