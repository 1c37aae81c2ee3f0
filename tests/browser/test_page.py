"""People use the page: they send, stop, edit, search, reload and come back."""

import json
import re

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytest.importorskip("playwright.sync_api")

from support.serving import serving

from luup_agent.server import create_app
from luup_agent.testing import FunctionModel

from .conftest import Page


def test_a_message_and_its_answer(page, expect):
    answer = page.ask("Hello **there**", "echo")
    expect(answer.locator(".markdown")).to_have_text("Hello there")
    expect(answer.locator("strong")).to_have_text("there")
    expect(page.tab.locator(".bubble")).to_have_text("Hello **there**")
    expect(answer.locator(".facts")).to_contain_text("tokens in")
    expect(page.tab).to_have_title("Hello **there** · luup")
    expect(page.tab.locator("#empty")).to_be_hidden()


def test_the_conversation_goes_to_the_model(page, models):
    page.ask("First", "echo")
    page.ask("Second")
    assert [(m.role, m.content) for m in models.requests[-1].messages] == [
        ("user", "First"),
        ("assistant", "First"),
        ("user", "Second"),
    ]


def test_an_answer_grows_and_stops(page, expect):
    page.send("Go on", "slow")
    text = page.tab.locator(".message.answer .markdown")
    expect(text).to_contain_text("word3")
    expect(page.tab.locator("#send")).to_be_hidden()
    expect(text).to_contain_text("word8")
    page.tab.click("#stop")
    answer = page.answer()
    expect(answer).to_contain_text("You stopped the answer.")
    before = text.inner_text()
    page.tab.wait_for_timeout(200)
    assert text.inner_text() == before
    assert len(before) < 8000
    page.ask("Next", "echo")  # the stopped answer stays in the conversation
    expect(page.tab.locator(".message")).to_have_count(4)


def test_escape_stops_too(page, expect):
    page.send("Go on", "slow")
    expect(page.tab.locator(".message.answer .markdown")).to_contain_text("word2")
    page.tab.keyboard.press("Escape")
    expect(page.answer()).to_contain_text("You stopped the answer.")


def test_thoughts_are_folded(page, expect):
    answer = page.ask("The capital of France?", "thinker")
    thoughts = answer.locator(".thoughts-text")
    expect(thoughts).to_be_hidden()
    answer.locator(".thoughts summary").click()
    expect(thoughts).to_have_text("France is a country.")
    expect(answer.locator(".markdown")).to_have_text("It is Paris.")


def test_a_reload_keeps_the_conversation(page, expect):
    page.ask("Remember me", "echo")
    page.tab.reload()
    expect(page.tab.locator(".bubble")).to_have_text("Remember me")
    expect(page.tab.locator(".message.answer .markdown")).to_have_text("Remember me")
    expect(page.tab.locator("#model")).to_have_value("echo")


def test_a_reload_in_the_middle_keeps_what_came(page, expect):
    page.send("Go on", "slow")
    expect(page.tab.locator(".message.answer .markdown")).to_contain_text("word80", timeout=30000)
    page.tab.reload()
    expect(page.tab.locator(".message.answer .markdown")).to_contain_text("word10", timeout=30000)
    expect(page.tab.locator(".message.answer")).to_contain_text("You stopped the answer.", timeout=30000)


def test_editing_makes_a_branch(page, expect, models):
    page.ask("One", "echo")
    page.ask("Two")
    page.tab.locator(".message.user").first.hover()
    page.tab.get_by_role("button", name="Edit").first.click()
    page.tab.locator(".editing").fill("Uno")
    page.tab.locator(".editing").press("Enter")
    page.answer()
    expect(page.tab.locator(".bubble")).to_have_text(["Uno"])
    assert [m.content for m in models.requests[-1].messages] == ["Uno"]
    expect(page.tab.locator(".branches")).to_have_text(["2 / 2"])
    page.tab.get_by_role("button", name="Earlier version").click()
    expect(page.tab.locator(".bubble")).to_have_text(["One", "Two"])
    page.tab.reload()
    expect(page.tab.locator(".bubble")).to_have_text(["One", "Two"])


def test_asking_again(page, expect):
    page.ask("One", "echo")
    page.choose("thinker")
    page.tab.get_by_role("button", name="Answer again").click()
    expect(page.answer().locator(".markdown")).to_have_text("It is Paris.")
    expect(page.tab.locator(".answer .branches")).to_have_text("2 / 2")
    page.tab.get_by_role("button", name="Earlier version").click()
    expect(page.tab.locator(".answer .markdown")).to_have_text("One")


def test_conversations_are_found_renamed_and_deleted(page, expect):
    entries = page.tab.locator(".entry .open")
    for text in ("About apples", "About pears"):
        page.ask(text, "echo")
        page.tab.click("#new")
    expect(entries).to_have_text(["About pears", "About apples"])
    page.tab.keyboard.press("Control+k")
    page.tab.keyboard.type("apples")
    expect(entries).to_have_text(["About apples"])
    page.tab.fill("#search", "")
    entries.nth(1).click()
    expect(page.tab.locator(".bubble")).to_have_text("About apples")
    page.tab.locator(".entry").nth(1).hover()
    page.tab.get_by_role("button", name="Rename “About apples”").click()
    page.tab.locator(".renaming").fill("Fruit <b>")
    page.tab.locator(".renaming").press("Enter")
    expect(page.tab.locator("#title")).to_have_text("Fruit <b>")
    page.tab.get_by_role("button", name="Delete “Fruit <b>”").focus()
    page.tab.keyboard.press("Enter")
    expect(entries).to_have_text(["About pears"])
    page.tab.get_by_role("button", name="Undo").click()
    expect(entries).to_have_count(2)


def test_deleting_while_it_answers(page, expect):
    page.send("Go on", "slow")
    expect(page.tab.locator(".message.answer .markdown")).to_contain_text("word2")
    page.tab.locator(".entry").hover()
    page.tab.get_by_role("button", name="Delete “Go on”").click()
    expect(page.tab.locator(".entry")).to_have_count(0)
    page.tab.wait_for_timeout(300)
    page.tab.reload()
    expect(page.tab.locator(".entry")).to_have_count(0)


def test_settings_go_to_the_model(page, models, expect):
    page.tab.click("#open-settings")
    page.tab.fill("#set-system", "Be brief.")
    page.tab.fill("#set-temperature", "0.5")
    page.tab.fill("#set-tokens", "77")
    page.tab.select_option("#set-effort", "low")
    page.tab.select_option("#set-theme", "dark")
    page.tab.get_by_role("button", name="Done").click()
    page.ask("Hi", "echo")
    request = models.requests[-1]
    assert request.messages[0].content == "Be brief."
    assert (request.body["temperature"], request.body["max_tokens"]) == (0.5, 77)
    assert request.body["reasoning_effort"] == "low"
    page.tab.reload()
    assert page.tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(26, 25, 24)"


def test_what_was_unfolded_stays_open(page, expect):
    page.ask("The capital of France?", "thinker").locator(".thoughts summary").click()
    page.ask("And now?", "echo")
    expect(page.tab.locator(".thoughts-text")).to_be_visible()


def test_an_agent_shows_its_calls_and_asks(page, expect):
    answer = page.ask("A room, please", "clerk")
    calls = answer.locator(".call")
    expect(calls).to_have_count(2)
    expect(calls.nth(0).locator(".state")).to_have_text("done")
    expect(calls.nth(1).locator(".state")).to_have_text("needs your approval")
    calls.nth(0).locator("summary").click()
    expect(calls.nth(0).locator("dd")).to_have_text("<b>Friday</b>")
    expect(calls.nth(0).locator(".result")).to_have_text("<img src=x onerror=alert(1)> <b>Friday</b>")
    page.tab.get_by_role("button", name="Allow").click()
    answer = page.answer()
    expect(answer).to_contain_text("The last result: booked for Friday")
    expect(answer.locator(".call").nth(1).locator(".state")).to_have_text("done")
    expect(page.tab.locator(".message")).to_have_count(2)


def test_a_call_that_is_denied(page, expect):
    page.ask("A room, please", "clerk")
    page.tab.get_by_role("button", name="Deny").click()
    expect(page.answer()).to_contain_text("The user denied this call")


def test_a_call_that_nobody_decides_on(page, expect, models):
    page.ask("A room, please", "clerk")
    page.ask("Never mind")
    expect(page.tab.locator(".message.answer").last).to_contain_text("The last result")
    assert models.requests[-1].messages[-1].content == "Never mind"


def test_a_failure_is_shown(context, server, expect):
    page = Page(context, server.url)
    answer = page.ask("Hi", "failing")
    expect(answer).to_contain_text("The beginning")
    expect(answer.get_by_role("alert")).to_contain_text("The answer failed")
    page.ask("Hi", "echo")  # it goes on


def test_a_key_is_asked_for(context, expect):
    with serving(create_app({"echo": FunctionModel(lambda request: request.prompt)}, api_key="sk-1")) as server:
        tab = context.new_page()
        tab.goto(server.url)
        expect(tab.locator("#settings")).to_be_visible()
        tab.fill("#set-key", "sk-1")
        tab.get_by_role("button", name="Done").click()
        expect(tab.locator("#about")).to_contain_text("echo")
        tab.fill("#composer-text", "Hi")
        tab.press("#composer-text", "Enter")
        expect(tab.locator(".message.answer .markdown")).to_have_text("Hi")


def test_two_tabs(page, context, server, expect):
    other = Page(context, server.url)
    page.ask("Shared", "echo")
    expect(other.tab.locator(".entry .open")).to_have_text(["Shared"])
    other.tab.locator(".entry .open").click()
    page.ask("More")
    expect(other.tab.locator(".bubble")).to_have_text(["Shared", "More"])
    assert other.problems == []


@pytest.mark.parametrize("width", [320, 768])
def test_narrow_windows(page, expect, width):
    page.tab.set_viewport_size({"width": width, "height": 640})
    page.ask(
        "| a | b |\n|---|---|\n| "
        + "wide " * 40
        + "| "
        + "x" * 300
        + " |\n\n```\n"
        + "y" * 400
        + "\n```\n"
        + "z" * 300,
        "echo",
    )
    assert page.tab.evaluate(
        "[document.documentElement.scrollWidth, document.getElementById('scroll').scrollWidth]"
    ) == [
        width,
        width,
    ]
    for name in ("#send", "#open-side", "#open-settings", "#model"):
        box = page.tab.locator(name).bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
    expect(page.tab.locator("#side")).to_be_hidden()
    page.tab.click("#open-side")
    expect(page.tab.locator("#side")).to_be_visible()
    page.tab.keyboard.press("Escape")
    expect(page.tab.locator("#side")).to_be_hidden()
    page.tab.click("#open-settings")
    dialog = page.tab.locator("#settings").bounding_box()
    assert dialog["x"] >= 0
    assert dialog["x"] + dialog["width"] <= width


def test_everything_has_a_name(page):
    page.ask("Hi\n\n```\ncode\n```", "echo")
    unnamed = page.tab.evaluate(
        """() => [...document.querySelectorAll("button, input, select, textarea, a[href], summary")]
            .filter((each) => !(each.getAttribute("aria-label") || each.innerText.trim() || each.closest("label")))
            .map((each) => each.outerHTML)"""
    )
    assert unnamed == []
    assert page.tab.locator("[role=log]").get_attribute("aria-live") == "off"  # the announcer speaks
    assert page.tab.evaluate("document.activeElement.id") == "composer-text"


def test_a_screen_reader_finds_its_way(page, expect):
    page.ask("A room, please", "clerk")
    tab = page.tab
    for role, name in (
        ("navigation", "Conversations"),
        ("complementary", "Conversations"),
        ("main", None),
        ("log", "Conversation"),
        ("article", "You"),
        ("article", "Answer of clerk"),
        ("textbox", "Message"),
        ("searchbox", "Search the conversations"),
        ("combobox", "Model"),
        ("button", "Send"),
        ("button", "Settings"),
        ("button", "Add pictures"),
        ("button", "Allow"),
        ("button", "Deny"),
        ("heading", "A room, please"),
    ):
        expect(tab.get_by_role(role, name=name, exact=True) if name else tab.get_by_role(role)).to_have_count(1)
    expect(tab.locator("html")).to_have_attribute("lang", "en")
    tab.get_by_role("button", name="Settings").click()
    dialog = tab.get_by_role("dialog", name="Settings")
    for label in ("System prompt", "Temperature", "Most tokens of an answer", "Thinking", "Colours", "API key"):
        expect(dialog.get_by_label(label)).to_have_count(1)
    tab.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(tab.get_by_role("button", name="Settings")).to_be_focused()


def test_the_keyboard_is_enough(page, expect):
    page.choose("echo")
    page.tab.focus("#composer-text")
    page.tab.keyboard.type("One")
    page.tab.keyboard.press("Shift+Enter")
    page.tab.keyboard.type("Two")
    page.tab.keyboard.press("Enter")
    page.answer()
    assert page.tab.locator(".bubble").inner_text() == "One\nTwo"
    page.tab.keyboard.press("Control+Shift+o")
    expect(page.tab.locator("#empty")).to_be_visible()
    for _ in range(40):
        page.tab.keyboard.press("Tab")
        if page.tab.evaluate("document.activeElement.className") == "open":
            break
    page.tab.keyboard.press("Enter")
    expect(page.tab.locator(".bubble")).to_have_count(1)


def test_the_policy_forbids_scripts_of_others(page, server):
    with server.client() as client:
        policy = client.get("/").headers["content-security-policy"]
        html = client.get("/").text
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=", html)
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", html)


def test_a_full_storage_is_reported(context, forgetful, expect):
    page = Page(context, forgetful.url)
    page.tab.evaluate(
        """() => {
            for (let size = 5e6; size > 1; size /= 2) {
                try { for (let i = 0; ; i++) localStorage.setItem(`x${size}${i}`, "x".repeat(size)); } catch {}
            }
        }"""
    )
    page.ask("Hi", "echo")
    expect(page.tab.locator(".toast").first).to_contain_text("storage is full")


def test_damaged_storage_does_no_harm(context, forgetful):
    values = {
        "luup.settings": "{",
        "luup.conversation.a": "not JSON",
        "luup.conversation.b": json.dumps({"id": "b"}),
        "luup.conversation.c": "null",
    }
    context.add_init_script(f"for (const [k, v] of Object.entries({json.dumps(values)})) localStorage.setItem(k, v)")
    page = Page(context, forgetful.url)
    page.ask("Hi", "echo")
    assert page.problems == []
