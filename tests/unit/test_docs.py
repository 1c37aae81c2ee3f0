"""The documentation names files that exist, every error has a remedy, and the picture is drawn from its source."""

import html
import importlib.util
import re
from pathlib import Path

import pytest

from luup_agent import errors, testing

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / ".github").glob("*.md")),
    ROOT / "README.md",
    ROOT / "csrc" / "README.md",
    ROOT / "csrc" / "llama_patches" / "README.md",
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_linked_files_exist(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        assert link.startswith(("http://", "https://")) or (page.parent / link).exists(), link


def test_the_architecture_names_files_that_exist():
    text = (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
    paths = set(re.findall(r"`((?:csrc|luup_agent|tests|docs|\.ci|\.github)/[\w./]*)`", text))
    assert len(paths) > 40
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


def plain(text):
    return " ".join(text.split())


def test_the_picture_has_the_labels_of_its_source():
    source = (ROOT / "docs" / "architecture.dot").read_text(encoding="utf-8")
    picture = (ROOT / "docs" / "architecture.svg").read_text(encoding="utf-8")
    drawn = {plain(html.unescape(text)) for text in re.findall(r"<text[^>]*>([^<]*)</text>", picture)}
    labels = [part for label in re.findall(r'label="([^"]*)"', source) for part in label.split("\\n")]
    assert len(labels) > 20
    assert [label for label in labels if plain(label) not in drawn] == []


def test_every_error_has_a_cause_and_a_remedy():
    text = (ROOT / "docs" / "guides" / "errors.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", text, flags=re.DOTALL | re.MULTILINE))
    classes = {name for name in errors.__all__ if isinstance(getattr(errors, name), type)}
    assert len(classes) > 25
    assert sorted(classes - set(sections)) == []
    assert sorted(name for name in sections if not hasattr(errors, name) and not hasattr(testing, name)) == []
    for name, section in sections.items():
        cause, _, remedy = section.partition("**Remedy:**")
        assert len(cause.split()) > 3, name
        assert len(remedy.split()) > 3, name
        for builtin in (OSError, ValueError, LookupError):
            if f"Also a `{builtin.__name__}`" in cause or f"Also an `{builtin.__name__}`" in cause:
                assert issubclass(getattr(errors, name), builtin), name


def test_the_page_of_the_c_api_has_every_function_with_its_comment():
    path = ROOT / "docs" / "site" / "c_api.py"
    spec = importlib.util.spec_from_file_location("luup_docs_c_api", path)
    c_api = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(c_api)
    header = (ROOT / "csrc" / "luup_agent.h").read_text(encoding="utf-8")
    page = c_api.make_page(header)
    functions = re.findall(r"^LUUP_API [^;(]*?(luup_\w+)\(", header, flags=re.MULTILINE)
    assert len(functions) > 70
    for name in functions:
        declared = rf"^### `{name}` \{{ #{name} \}}\n\n[A-Z].*?^```c\nLUUP_API [^;]*{name}\("
        assert re.search(declared, page, re.DOTALL | re.MULTILINE), name
    assert set(re.findall(r"\]\(#(\w+)\)", page)) <= {*re.findall(r"\{ #(\w+) \}", page), "handles"}
    assert page.count("```") % 2 == 0
    assert "\n * " not in page
    with pytest.raises(ValueError, match="does not begin with a comment"):
        c_api.make_page("int a;")


def test_the_plots_have_the_numbers_of_the_tables():
    path = ROOT / "tests" / "benchmarks" / "plots.py"
    spec = importlib.util.spec_from_file_location("luup_plots", path)
    plots = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(plots)
    growth = plots.growth()
    libraries, rows = plots.peers()
    numbers = [*growth["agents"].values(), *(row[0] for row in growth["prompt"].values())]
    numbers += [value for row in growth["vocabulary"].values() for value in row]
    assert (len(numbers), len(libraries), len(rows)) == (7 + 7 + 6, 3, 4)
    servers, speeds = plots.serving()
    assert (len(servers), len(speeds)) == (3, 2)
    for name, texts in (
        ("growth.svg", [plots.shown(value) for value in numbers]),
        ("peers.svg", [*libraries, *(plots.shown(value) for _, values in rows for value in values)]),
        ("serving.svg", [*servers, *(plots.shown(value) for _, values in speeds for value in values)]),
    ):
        picture = (ROOT / "docs" / "images" / name).read_text(encoding="utf-8")
        drawn = {plain(html.unescape(text)) for text in re.findall(r"<text[^>]*>([^<]*)</text>", picture)}
        assert sorted(set(texts) - drawn) == [], "run python tests/benchmarks/plots.py"
