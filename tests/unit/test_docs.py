"""The documentation names files that exist, and its picture is drawn from its source."""

import html
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *sorted((ROOT / "docs").glob("*.md")),
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
