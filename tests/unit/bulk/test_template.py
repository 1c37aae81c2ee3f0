"""Prompts of items: fields in braces, which only names fill."""

import pytest

from luup_agent import InvalidParamError
from luup_agent._bulk.template import Template


@pytest.mark.parametrize(
    ("template", "item", "prompt"),
    [
        (None, "as {it} is", "as {it} is"),
        ("Topic of {item}?", "a {b} {0} }{", "Topic of a {b} {0} }{?"),
        ("{a}{b} {a}", {"a": "{b}", "b": 2, "c": None}, "{b}2 {b}"),
        ('{{"x": "{item}"}}', "y", '{"x": "y"}'),
        ("{{{item}}}", "y", "{y}"),
        ("{{item}} is {item}", "y", "{item} is y"),
        ("{rows} {flag} {part}", {"rows": [1, {"ä": None}], "flag": True, "part": 0.5}, '[1, {"ä": null}] True 0.5'),
        ("{item}", {"item": "a dict's own"}, "a dict's own"),
    ],
)
def test_a_prompt_is_made(template, item, prompt):
    assert Template(template).render(0, item) == prompt


@pytest.mark.parametrize(
    "template",
    [
        "{item.__class__}",
        "{item[0]}",
        "{item!r}",
        "{item:>10}",
        "{0}",
        "{}",
        "{ item }",
        "{item",
        "item}",
        '{"a": {item}}',
        "{item}}",
    ],
)
def test_a_field_is_only_a_name(template):
    with pytest.raises(InvalidParamError, match="prompt has '[{}]' at character .*write {{ and }}"):
        Template(template)


def test_a_prompt_without_a_field_is_refused():
    with pytest.raises(InvalidParamError, match="prompt has no field"):
        Template("Which topic? {{item}}")
    with pytest.raises(InvalidParamError, match="prompt must be a str or None, not int"):
        Template(5)


@pytest.mark.parametrize(
    ("template", "item", "words"),
    [
        ("{title} {body}", {"title": "x", "text": "y"}, r"items\[3\] has no field 'body'.*its fields: text, title"),
        ("{title}", "text", r"items\[3\] has no field 'title'.*its fields: item"),
        ("{a}", {"a": None}, r"items\[3\]\['a'\] is None"),
        ("{a}", {"a": [object]}, r"items\[3\]\['a'\] has parts that are not JSON"),
        ("{item}", 5, r"items\[3\] must be a str or a dict, got 5"),
        (None, {"a": 1}, r"items\[3\] must be a str, got .*pass a prompt with fields"),
    ],
)
def test_a_wrong_item_is_named(template, item, words):
    with pytest.raises(InvalidParamError, match=words):
        Template(template).render(3, item)
