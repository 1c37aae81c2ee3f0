"""Everybody can use the page: axe finds no fault in its states, the keyboard is enough, a screen reader speaks once."""

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytest.importorskip("playwright.sync_api")

from support.serving import serving

from luup_agent import Agent, SQLiteSessions
from luup_agent.server import create_app
from luup_agent.testing import ScriptedModel

from .conftest import Page
from .scenes import servables


@pytest.fixture(scope="module")
def scenes_server():
    with SQLiteSessions(":memory:") as sessions, serving(create_app(servables(), sessions=sessions)) as started:
        for number in range(3):
            sessions.open(f"ticket-{number}", Agent(ScriptedModel(["Done."]))).generate("Look at it")
        yield started, sessions


@pytest.fixture
def page(context, scenes_server):
    started, sessions = scenes_server
    for info in sessions.list(limit=1000):
        if not info.id.startswith("ticket-"):
            sessions.delete(info.id)
    opened = Page(context, started.url)
    yield opened
    assert opened.problems == []


def empty(page, expect):
    expect(page.tab.locator("#empty")).to_be_visible()


def written(text):
    return lambda page, expect: page.ask(text, "writer")


def typed_json(page, expect):
    page.ask("typed", "writer").get_by_role("button", name="JSON").click()


def waiting(page, expect):
    page.send("Hi", "waiting")
    expect(page.tab.locator(".wait")).to_be_visible()


def streaming(page, expect):
    page.send("Hi", "streaming")
    expect(page.tab.locator(".message.answer")).to_contain_text("long time, in")


def stopped(page, expect):
    streaming(page, expect)
    page.tab.click("#stop")
    expect(page.answer()).to_contain_text("You stopped the answer.")


def thoughts(page, expect):
    page.ask("The capital of France?", "thinker").locator(".thoughts summary").click()


def failed(page, expect):
    expect(page.ask("Hi", "failing").get_by_role("alert")).to_be_visible()


def approval(page, expect):
    page.ask("A room", "clerk")
    expect(page.tab.get_by_role("button", name="Allow")).to_be_visible()


def calls_done(page, expect):
    approval(page, expect)
    page.tab.get_by_role("button", name="Allow").click()
    expect(page.answer()).to_contain_text("is booked")
    for number in range(2):
        page.tab.locator(".call summary").nth(number).click()


def call_running(page, expect):
    page.ask("slow", "clerk")
    page.tab.get_by_role("button", name="Allow").click()
    expect(page.tab.locator('.call[data-state="running"]')).to_be_visible()


def editing(page, expect):
    page.ask("First", "writer")
    page.ask("Second", "writer")
    page.tab.locator(".message.user").first.hover()
    page.tab.get_by_role("button", name="Edit").first.click()


def branched(page, expect):
    editing(page, expect)
    page.tab.locator(".editing").fill("Uno")
    page.tab.locator(".editing").press("Enter")
    page.answer()
    page.tab.locator(".message.user").first.hover()
    expect(page.tab.locator(".branches")).to_be_visible()


def settings(page, expect):
    page.tab.click("#open-settings")
    expect(page.tab.locator("#settings")).to_be_visible()


def renaming(page, expect):
    page.ask("A question", "writer")
    page.tab.locator(".entry").first.hover()
    page.tab.get_by_role("button", name="Rename").first.click()
    expect(page.tab.locator(".renaming")).to_be_focused()


def searching(page, expect):
    page.tab.fill("#search", "no such word")
    expect(page.tab.locator("#list")).to_have_text("Nothing found.")


def deleted(page, expect):
    page.ask("A question", "writer")
    page.tab.locator(".entry").first.hover()
    page.tab.get_by_role("button", name="Delete “A question”").first.click()
    expect(page.tab.locator(".toast")).to_be_visible()


STATES = {
    "code": written("code"),
    "table": written("table"),
    "formulas": written("math"),
    "right to left": written("rtl"),
    "typed": written("typed"),
    "headings": written("### Third\n\n# First\n\n#### Fourth\n\n> # Quoted\n\n- ## In a list"),
    **{
        each.__name__: each
        for each in (
            *(empty, typed_json, waiting, streaming, stopped, thoughts, failed, approval, calls_done),
            *(call_running, editing, branched, settings, renaming, searching, deleted),
        )
    },
}


def faults(page):
    """Return what axe finds: the rule, and the elements that break it."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page.tab.wait_for_timeout(250)  # colours that fade are measured at their end
    found = axe.run(page.tab).response["violations"]
    return [(each["id"], [node["html"] for node in each["nodes"]]) for each in found]


@pytest.mark.parametrize("state", STATES)
def test_axe_finds_nothing(page, expect, state):
    STATES[state](page, expect)
    assert faults(page) == []
    page.tab.emulate_media(color_scheme="dark")
    assert faults(page) == []
    if state not in ("renaming", "searching"):  # those are in the list, which is closed on a small screen
        page.tab.set_viewport_size({"width": 320, "height": 600})
        assert faults(page) == []


def test_axe_finds_nothing_in_the_open_list(page, expect):
    page.tab.set_viewport_size({"width": 320, "height": 600})
    page.tab.click("#open-side")
    expect(page.tab.locator("#side")).to_be_visible()
    assert faults(page) == []


WATCH = """() => {
    window.said = [];
    const announcer = document.getElementById("announcer");
    const note = () => window.said.push(announcer.textContent);
    new MutationObserver(note).observe(announcer, { childList: true, characterData: true, subtree: true });
}"""


def test_an_answer_is_said_once(page):
    page.tab.evaluate(WATCH)
    page.ask("code", "writer")
    said = page.tab.evaluate("window.said")
    assert said[0] == "writer is answering."
    assert len(said) == 2
    assert said[1].startswith("Here is a breadth-first search in Python:")
    live = "[...document.querySelectorAll('[role=log], [role=status], [aria-live]')].filter((e) => e.contains(log))"
    assert page.tab.evaluate(f"{live}.map((e) => e.getAttribute('aria-live'))") == ["off"]


def test_what_needs_a_decision_is_said(page, expect):
    page.tab.evaluate(WATCH)
    approval(page, expect)
    assert page.tab.evaluate("window.said")[-1] == "I look for a room.\nbook needs your approval."


FOCUS = (
    "document.activeElement.getAttribute('aria-label') || document.activeElement.innerText || document.activeElement.id"
)


def test_the_focus_stays_in_the_list(page, expect):
    for text in ("Apples", "Pears", "Plums"):
        page.ask(text, "writer")
        page.tab.click("#new")
    expect(page.tab.locator(".entry .open").first).to_have_text("Plums")
    page.tab.locator("#search").press("Tab")  # to the first conversation
    page.tab.keyboard.press("Tab")
    assert page.tab.evaluate(FOCUS) == "Rename “Plums”"
    page.tab.evaluate("window.dispatchEvent(new Event('focus'))")  # draws the list again
    page.tab.wait_for_timeout(300)
    assert page.tab.evaluate(FOCUS) == "Rename “Plums”"
    page.tab.keyboard.press("Enter")
    page.tab.keyboard.press("Escape")
    expect(page.tab.locator(".entry .open").first).to_be_focused()
    page.tab.keyboard.press("Tab")
    page.tab.keyboard.press("Tab")
    page.tab.keyboard.press("Enter")
    expect(page.tab.locator(".entry .open").first).to_have_text("Pears")
    expect(page.tab.locator(".entry .open").first).to_be_focused()


def test_the_focus_stays_in_the_messages(page, expect):
    tab = page.tab
    page.ask("One", "writer")
    edit = tab.get_by_role("button", name="Edit")
    edit.focus()
    tab.keyboard.press("Enter")
    expect(tab.locator(".editing")).to_be_focused()
    tab.keyboard.press("Escape")
    expect(edit).to_be_focused()
    tab.keyboard.press("Enter")
    tab.keyboard.type("Uno")
    tab.keyboard.press("Enter")
    page.answer()
    expect(tab.locator("#composer-text")).to_be_focused()
    tab.get_by_role("button", name="Earlier version").focus()
    tab.keyboard.press("Enter")
    expect(tab.locator(".bubble")).to_have_text("One")
    expect(tab.get_by_role("button", name="Later version")).to_be_focused()
    tab.keyboard.press("Enter")
    expect(tab.get_by_role("button", name="Earlier version")).to_be_focused()


def test_the_focus_after_a_decision(page, expect):
    approval(page, expect)
    page.tab.keyboard.press("Shift+Tab")
    page.tab.get_by_role("button", name="Allow").focus()
    page.tab.keyboard.press("Enter")
    expect(page.answer()).to_contain_text("is booked")
    expect(page.tab.locator("#composer-text")).to_be_focused()


def test_the_open_list_keeps_the_focus(page, expect):
    page.tab.set_viewport_size({"width": 375, "height": 700})
    page.tab.locator("#open-side").focus()
    page.tab.keyboard.press("Enter")
    expect(page.tab.locator("#close-side")).to_be_focused()
    for _ in range(30):  # the conversation behind it is out of reach
        page.tab.keyboard.press("Tab")
        assert not page.tab.evaluate("document.getElementById('main').contains(document.activeElement)")
    page.tab.locator("#search").focus()
    page.tab.keyboard.press("Escape")
    expect(page.tab.locator("#open-side")).to_be_focused()
    page.tab.click("#open-side")
    page.tab.set_viewport_size({"width": 1200, "height": 800})  # a phone that is turned
    page.tab.locator("#composer-text").click()
    expect(page.tab.locator("#composer-text")).to_be_focused()


def test_every_control_is_reached_by_tab(page, expect):
    calls_done(page, expect)
    page.ask("code", "writer")
    page.tab.wait_for_timeout(700)  # the list is drawn again when the server has kept the answer
    controls = """[...document.querySelectorAll("button, input, select, textarea, a[href], summary, [tabindex='0']")]
        .filter((each) => !each.disabled && each.tabIndex >= 0 && each.checkVisibility({ visibilityProperty: true }))"""
    wanted = page.tab.evaluate(f"{controls}.length")
    page.tab.evaluate("document.activeElement.blur()")
    reached = set()
    for _ in range(2 * wanted):
        page.tab.keyboard.press("Tab")
        place, ring = page.tab.evaluate(
            f"""() => {{
                const each = document.activeElement;
                const inField = each.matches("input, textarea") && each.closest(".field, .search"); // its border tells
                return [{controls}.indexOf(each), Boolean(inField) || getComputedStyle(each).outlineStyle !== "none"];
            }}"""
        )
        if place >= 0:
            reached.add(place)
            assert ring, page.tab.evaluate("document.activeElement.outerHTML")
    assert reached == set(range(wanted))


def test_a_programs_conversation_has_its_id_as_title(page, expect):
    entry = page.tab.locator(".entry .open", has_text="ticket-1")
    entry.click()
    expect(page.tab.locator("#title")).to_have_text("ticket-1")


def test_the_settings_button_stays_where_it_is(page):
    before = page.tab.locator("#open-settings").bounding_box()
    page.ask("One", "writer")
    assert page.tab.locator("#open-settings").bounding_box() == before
    assert before["x"] > 1100


def test_forced_colours_show_where_one_is(page, expect):
    page.tab.emulate_media(forced_colors="active")
    page.ask("One", "writer")
    outline = "(element) => getComputedStyle(element).outlineStyle"
    assert page.tab.locator(".entry.current").first.evaluate(outline) == "solid"
    page.tab.focus("#composer-text")
    assert page.tab.locator(".field").evaluate(outline) == "solid"
    page.tab.focus("#search")
    assert page.tab.locator(".search").evaluate(outline) == "solid"


def test_a_column_of_numbers_follows_its_table(page):
    page.ask("rtl", "writer")
    align = "(row) => [...row.children].map((cell) => getComputedStyle(cell).textAlign)"
    assert page.tab.locator("tbody tr").evaluate(align) == ["right", "right"]
    page.ask("table", "writer")
    assert page.tab.locator("tbody tr").nth(1).evaluate(align)[:4] == ["left", "left", "right", "left"]
