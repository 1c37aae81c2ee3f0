"""The built documentation: complete, and nothing in it comes from other hosts."""

import ast
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

import luup_agent

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "luup_agent"
HEADER = (ROOT / "csrc" / "luup_agent.h").read_text(encoding="utf-8")


def ids(pages, folder=""):
    """Return the anchors of the pages in a folder."""
    return {
        name for path, html in pages.items() if path.startswith(folder) for name in re.findall(r'\bid="([^"]+)"', html)
    }


def exported(path):
    """Return the `__all__` of a module; None if it has none."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return ast.literal_eval(node.value)
    return None


def test_every_public_name_is_in_the_reference(pages):
    anchors = ids(pages, "reference/")
    assert len(luup_agent.__all__) > 70
    assert [name for name in luup_agent.__all__ if f"luup_agent.{name}" not in anchors] == []


def test_every_public_module_is_in_the_reference(pages):
    anchors = ids(pages, "reference/")
    modules = [path for path in PACKAGE.glob("*.py") if not path.stem.startswith("_")]
    modules += [path for path in (PACKAGE / "integrations").glob("*.py") if not path.stem.startswith("_")]
    assert len(modules) > 25
    missing = []
    for path in modules:
        module = ".".join(["luup_agent", *path.relative_to(PACKAGE).with_suffix("").parts])
        names = exported(path)
        if names is None:  # its public names are those that luup_agent exports, or its fixtures
            defined = [node.name for node in ast.parse(path.read_text("utf-8")).body if hasattr(node, "name")]
            names = [name for name in defined if name in luup_agent.__all__] or [""]
        for name in names:
            if not {f"luup_agent.{name}", f"{module}.{name}".rstrip(".")} & anchors:
                missing.append(f"{module}.{name}")
    assert missing == []


def is_class(node, *names):
    return isinstance(node, ast.ClassDef) and node.name in names


def test_every_method_of_an_agent_is_in_the_reference(pages):
    anchors = ids(pages, "reference/")
    sources = [*PACKAGE.glob("*.py"), *(PACKAGE / "_agent").glob("*.py")]
    [agent] = [node for node in ast.parse((PACKAGE / "agent.py").read_text("utf-8")).body if is_class(node, "Agent")]
    bases = {"Agent", *re.findall(r"id='(\w+)'", " ".join(map(ast.dump, agent.bases)))}
    assert "Answering" in bases
    methods = {
        method.name
        for source in sources
        for node in ast.parse(source.read_text("utf-8")).body
        if is_class(node, *bases)
        for method in node.body
        if isinstance(method, (ast.FunctionDef, ast.AsyncFunctionDef)) and not method.name.startswith("_")
    }
    assert len(methods) > 20
    assert [name for name in sorted(methods) if f"luup_agent.Agent.{name}" not in anchors] == []


def test_every_declaration_of_the_header_is_in_the_reference(pages):
    functions = set(re.findall(r"^LUUP_API [^;(]*?(luup_\w+)\(", HEADER, flags=re.MULTILINE))
    structures = set(re.findall(r"^\} (luup_\w+);", HEADER, flags=re.MULTILINE))
    assert len(functions) > 70
    assert len(structures) > 20
    anchors = ids({"c-api.html": pages["c-api.html"]})
    assert sorted((functions | structures) - anchors) == []


def test_comments_of_the_header_are_on_the_page(pages):
    text = " ".join(re.sub(r"<[^>]+>", "", pages["c-api.html"]).split())
    for words in (
        "Waits up to timeout_ms (0 = do not wait, -1 = no limit) for the next event",
        "You own what a function named load, create, fork or start returns",
        "An embedder is a model that makes one vector of each text",
        "a loaded model and the thread that decodes for it",
    ):
        assert words in text


class Loaded(HTMLParser):
    """Collects the addresses that a browser loads with a page."""

    def __init__(self):
        super().__init__()
        self.addresses = []
        self.has_diagram = False

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.has_diagram |= "mermaid" in (values.get("class") or "").split()
        if tag == "link" and values.get("rel") not in ("prev", "next", "canonical"):
            self.addresses.append(values.get("href") or "")
        for name in ("src", "srcset", "poster", "data"):
            if values.get(name) and not (tag == "form" and name == "data"):
                self.addresses.append(values[name])
        self.addresses += re.findall(r"url\(['\"]?([^)'\"]+)", values.get("style") or "")


def is_foreign(address):
    return re.match(r"(\w+:)?//", address) is not None and not address.startswith("data:")


def test_nothing_is_loaded_from_other_hosts(site, pages):
    for path, html in pages.items():
        parser = Loaded()
        parser.feed(html)
        assert [address for address in parser.addresses if is_foreign(address)] == [], path
        assert not parser.has_diagram, f"{path}: the theme would load mermaid from another host"
        assert "fonts.g" not in html
    for sheet in site.rglob("*.css"):
        text = sheet.read_text(encoding="utf-8")
        addresses = re.findall(r"url\(['\"]?([^)'\"]+)", text) + re.findall(r"@import ['\"]([^'\"]+)", text)
        assert [address for address in addresses if is_foreign(address)] == [], sheet


def test_the_check_notices_other_hosts():
    parser = Loaded()
    parser.feed('<link rel="stylesheet" href="https://a.example/x.css"><script src="//b.example/x.js"></script>')
    parser.feed('<img src="images/page.png"><div style="background: url(https://c.example/x)"></div>')
    assert len([address for address in parser.addresses if is_foreign(address)]) == 3


def test_links_lead_to_pages_of_the_site(pages):
    assert 'href="examples/rag.html"' not in pages["guides/rag.html"]
    assert 'href="../examples/rag.html"' in pages["guides/rag.html"]
    assert 'href="c-api.html"' in pages["faq.html"]
    assert "def passages(text: str, embedder: Embedder)" in re.sub(r"</?span[^>]*>", "", pages["examples/rag.html"])
    assert "Unreleased" in pages["changes.html"]


def test_no_path_of_this_machine_is_in_the_site(site, pages):
    for path, html in pages.items():
        assert str(ROOT) not in html, path
        assert str(site) not in html, path


@pytest.fixture
def checkout(tmp_path):
    """A copy of the documentation, beside links to the rest of the checkout."""
    root = tmp_path / "checkout"
    shutil.copytree(ROOT / "docs", root / "docs", ignore=shutil.ignore_patterns("__pycache__"))
    for path in ROOT.iterdir():
        if path.name in ("luup_agent", "csrc", "examples", ".github") or path.suffix == ".md":
            (root / path.name).symlink_to(path)
    return root


def test_a_page_that_is_not_in_the_navigation_stops_the_build(build, checkout, tmp_path):
    (checkout / "docs" / "LOST.md").write_text("# Lost\n", encoding="utf-8")
    result = build(tmp_path / "site", checkout)
    assert result.returncode != 0
    assert "LOST.md" in result.stderr


def test_a_link_to_nothing_stops_the_build(build, checkout, tmp_path):
    page = checkout / "docs" / "faq.md"
    text = page.read_text(encoding="utf-8")
    page.write_text(
        f"{text}\n[nothing](../examples/nothing.py) and [no heading](start.md#no-heading)\n", encoding="utf-8"
    )
    result = build(tmp_path / "site", checkout)
    assert result.returncode != 0
    assert "nothing" in result.stderr
    assert "no-heading" in result.stderr


def test_the_reference_has_no_private_names(pages):
    anchors = ids(pages, "reference/")
    assert [name for name in anchors if re.search(r"^luup_agent\..*\b_(?!_version__)", name)] == []
