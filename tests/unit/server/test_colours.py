"""The colours of the page: texts stand out from their backgrounds, as WCAG 2 asks for (level AA: 4.5 to 1)."""

import re

import pytest

pytest.importorskip("starlette")

from luup_agent._server.page import FOLDER

PAIRS = [
    *((text, ground) for text in ("ink", "dim", "faint") for ground in ("paper", "side", "raised", "soft")),
    ("accent-ink", "accent"),
    ("accent", "paper"),
    ("ink", "accent-soft"),
    ("bad", "bad-soft"),
    ("bad", "raised"),
    ("good", "raised"),
    ("warn", "warn-soft"),
    *((f"code-{kind}", "code") for kind in ("comment", "string", "number", "keyword", "call")),
]


def themes():
    text = (FOLDER / "page.css").read_text(encoding="utf-8")
    light, system, chosen = re.findall(r":root[^{]*\{([^}]*)\}", text)
    return [dict(re.findall(r"--([\w-]+): (#\w{6});", block)) for block in (light, system, chosen)]


def luminance(color):
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(first, second):
    dark, light = sorted([luminance(first), luminance(second)])
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize(("text", "ground"), PAIRS)
def test_a_text_can_be_read(text, ground):
    for colors in themes():
        assert contrast(colors[text], colors[ground]) >= 4.5, (colors[text], colors[ground])


def test_the_dark_colours_are_the_same_by_choice_and_by_the_system():
    _, system, chosen = themes()
    assert system == chosen
