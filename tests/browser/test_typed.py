"""Typed results in the page: JSON as names with values, and lists of objects as tables."""

import json

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytest.importorskip("playwright.sync_api")


def test_an_object_is_a_list_of_names_and_values(page, expect):
    answer = page.ask("One", "typist")
    typed = answer.locator(".typed-form")
    expect(typed.locator("> dl > dt")).to_have_text(
        ["Title", "Page count", "In print", "Publisher", "Tags", "Author", "Editions"]
    )
    values = typed.locator("> dl > dd")
    expect(values.nth(0)).to_have_text("<img src=x onerror=alert(1)>")  # text, and no element
    expect(values.nth(1)).to_have_text("320")
    expect(values.nth(2)).to_have_text("no")
    expect(values.nth(3)).to_have_text("none")
    expect(values.nth(4).get_by_role("listitem")).to_have_text(["garden", "tools"])
    expect(values.nth(5).locator("dt")).to_have_text(["Name", "Born"])
    expect(values.nth(6).get_by_role("columnheader")).to_have_text(["Year"])
    expect(values.nth(6).get_by_role("cell")).to_have_text(["1990", "2001"])
    page.tab.get_by_role("button", name="JSON").click()
    expect(typed).to_be_hidden()
    expect(answer.locator(".typed-json")).to_contain_text('"page_count": 320')
    assert page.tab.locator(".typed img").count() == 0


def test_a_list_is_a_table(page, expect):
    answer = page.ask("Many", "typist")
    expect(answer.get_by_role("columnheader")).to_have_text(["City", "People", "Capital"])
    expect(answer.get_by_role("cell")).to_have_text(["Oslo", "709037", "yes", "<b>Bergen</b>", "291940", ""])
    page.tab.reload()
    expect(page.tab.get_by_role("cell")).to_have_count(6)


@pytest.mark.parametrize("text", ["{not JSON}", "[1, 2, 3]", "{}", '{"a": 1} and more', "[]", '[{"a": 1}, 2]'])
def test_other_texts_stay_text(page, expect, text):
    answer = page.ask(text, "echo")
    expect(answer.locator(".markdown")).to_have_text(text)
    expect(answer.locator(".typed")).to_have_count(0)


def test_a_deep_and_a_long_one(page, expect):
    page.tab.set_viewport_size({"width": 320, "height": 640})
    deep = '{"a":' * 30 + "1" + "}" * 30
    expect(page.ask(deep, "echo").locator(".typed code").first).to_contain_text('{"a":')
    rows = json.dumps([{"name": "x" * 60, "n": number} for number in range(600)])
    answer = page.ask(rows)
    expect(answer.get_by_role("region", name="A table of 600 rows")).to_contain_text("and 100 more rows")
    assert page.tab.evaluate("document.getElementById('scroll').scrollWidth") == 320
