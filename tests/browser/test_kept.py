"""Conversations that the server keeps: other windows and devices have them, and the browser's can be moved there."""

import asyncio

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytest.importorskip("playwright.sync_api")

from support.serving import serving

from luup_agent import Agent, SQLiteSessions
from luup_agent.server import create_app
from luup_agent.testing import FunctionModel, ScriptedModel

from .conftest import Page


@pytest.fixture
def device(chromium, server):
    """Another device: a browser with a storage of its own."""
    other = chromium.new_context(viewport={"width": 400, "height": 700})
    page = Page(other, server.url)
    yield page
    assert page.problems == []
    other.close()


def entries(page):
    return page.tab.locator(".entry .open")


def stored(page, sessions, messages):
    """Wait until the newest conversation has this many messages, and return it: the page shows them earlier."""
    for _ in range(300):
        found = sessions.list(limit=1)
        if found and found[0].messages >= messages:
            return found[0]
        page.tab.wait_for_timeout(50)
    raise AssertionError(f"the server has {found}")


def test_another_device_goes_on(page, device, models, sessions, expect):
    page.ask("Hello **there**", "echo")
    stored(page, sessions, 2)
    device.tab.reload()
    device.tab.click("#open-side")
    entries(device).click()
    expect(device.tab.locator(".bubble")).to_have_text("Hello **there**")
    expect(device.tab.locator(".answer strong")).to_have_text("there")
    expect(device.tab.locator(".facts")).to_contain_text("tokens in")
    device.ask("And more", "echo")
    assert [m.content for m in models.requests[-1].messages] == ["Hello **there**", "Hello **there**", "And more"]
    stored(page, sessions, 4)
    page.tab.evaluate("window.dispatchEvent(new Event('focus'))")  # as when a person comes back to the window
    expect(page.tab.locator(".bubble")).to_have_text(["Hello **there**", "And more"])


class Keeper:
    """A server whose entries take a second to be kept, or are not kept. Attributes: `url`, `sessions`, `works`."""

    def __init__(self, sessions):
        self.sessions = sessions
        self.works = True
        self._app = create_app({"echo": FunctionModel(lambda request: request.prompt)}, sessions=sessions)

    async def __call__(self, scope, receive, send):
        if scope["path"].endswith("/entries"):
            await asyncio.sleep(1 if self.works else 0)
            if not self.works:
                await send({"type": "http.response.start", "status": 503, "headers": []})
                await send({"type": "http.response.body", "body": b""})
                return
        await self._app(scope, receive, send)


@pytest.fixture
def keeper():
    with SQLiteSessions(":memory:") as kept:
        made = Keeper(kept)
        with serving(made) as started:
            made.url = started.url
            yield made


def shows_the_conversation(page, expect):
    expect(page.tab.locator(".bubble")).to_have_text("Remember me")
    expect(page.tab.locator(".message.answer .markdown")).to_have_text("Remember me")
    expect(page.tab.locator(".message.answer")).not_to_contain_text("not complete")


def test_a_reload_keeps_what_waits_to_be_kept(context, keeper, expect):
    page = Page(context, keeper.url)
    page.ask("Remember me")  # the answer is kept after the message, which the server is still busy with
    page.tab.reload()
    shows_the_conversation(page, expect)
    info = stored(page, keeper.sessions, 2)
    page.tab.wait_for_timeout(4000)  # the page looks again whether all has arrived
    assert [m.content for m in keeper.sessions.messages(info.id)] == ["Remember me", "Remember me"]
    assert all("404" in each for each in page.problems)  # at first the server does not have the conversation


def test_what_the_server_did_not_keep_is_sent_again(context, keeper, expect):
    keeper.works = False
    page = Page(context, keeper.url)
    page.ask("Remember me")
    expect(page.tab.locator("#toasts")).to_contain_text("The server did not keep this message")
    page.tab.reload()
    shows_the_conversation(page, expect)
    keeper.works = True
    info = stored(page, keeper.sessions, 2)
    assert [m.content for m in keeper.sessions.messages(info.id)] == ["Remember me", "Remember me"]
    page.tab.reload()
    shows_the_conversation(page, expect)
    # The reload may have lost the last confirmation: the page then looks again, after some seconds.
    for _ in range(300):
        if page.tab.evaluate("sessionStorage.length") == 0:
            break
        page.tab.wait_for_timeout(100)
    assert page.tab.evaluate("sessionStorage.length") == 0


def test_a_program_has_the_conversation(page, sessions, expect):
    page.ask("One", "echo")
    info = stored(page, sessions, 2)
    assert [(m.role, m.content) for m in sessions.messages(info.id)] == [("user", "One"), ("assistant", "One")]
    assert info.title == "One"
    assert info.usage.completion_tokens > 0
    sessions.open(info.id, Agent(ScriptedModel(["From a **program**."]))).generate("Two")
    page.tab.reload()
    expect(page.tab.locator(".bubble")).to_have_text(["One", "Two"])
    expect(page.tab.locator(".answer strong")).to_have_text("program")


def test_two_windows_answer_at_once(page, context, server, sessions, expect):
    page.ask("First", "echo")
    other = Page(context, server.url)
    entries(other).click()
    expect(other.tab.locator(".bubble")).to_have_text("First")
    page.send("Slowly", "slow")
    expect(page.tab.locator(".message.answer .markdown").last).to_contain_text("word2")
    other.ask("Meanwhile", "echo")
    page.tab.click("#stop")
    expect(page.answer()).to_contain_text("You stopped the answer.")
    page.tab.reload()
    expect(page.tab.locator(".branches").first).to_contain_text("/ 2")
    [info] = sessions.list()
    texts = [message.content for message in sessions.messages(info.id)]
    assert {"First", "Slowly", "Meanwhile"} <= set(texts)
    assert other.problems == []


def test_a_conversation_that_another_window_deletes(page, context, server, expect):
    page.ask("Short-lived", "echo")
    other = Page(context, server.url)
    expect(entries(other)).to_have_text(["Short-lived"])
    other.tab.locator(".entry").hover()
    other.tab.get_by_role("button", name="Delete “Short-lived”").click()
    expect(page.tab.locator(".toast")).to_contain_text("deleted in another window")
    expect(page.tab.locator("#empty")).to_be_visible()
    other.tab.get_by_role("button", name="Undo").click()
    expect(entries(page)).to_have_text(["Short-lived"])
    entries(page).click()
    expect(page.tab.locator(".bubble")).to_have_text("Short-lived")
    assert other.problems == []


def test_the_search_finds_words_of_messages(page, expect):
    for text in ("About apples\n\nThey are *crunchy*.", "About pears"):
        page.ask(text, "echo")
        page.tab.click("#new")
    page.tab.fill("#search", "crunch")
    expect(entries(page)).to_have_text(["About apples"])
    page.tab.fill("#search", "no such word")
    expect(page.tab.locator("#list")).to_have_text("Nothing found.")


def test_a_branch_becomes_a_conversation(page, expect, sessions):
    page.ask("One", "echo")
    page.ask("Two")
    stored(page, sessions, 4)
    page.tab.get_by_role("button", name="Branch into a new conversation").nth(1).click()  # of the first answer
    expect(page.tab.locator(".bubble")).to_have_text(["One"])
    expect(entries(page)).to_have_text(["One", "One"])
    page.ask("Three")
    expect(page.tab.locator(".bubble")).to_have_text(["One", "Three"])
    assert stored(page, sessions, 4).branched_at == 2
    assert [info.messages for info in sessions.list()] == [4, 4]


def test_the_browsers_conversations_move_to_the_server(context, forgetful, server, sessions, expect):
    kept = Page(context, forgetful.url)
    kept.ask("Private", "echo")
    kept.ask("Second")
    kept.tab.reload()
    expect(kept.tab.locator(".bubble")).to_have_text(["Private", "Second"])
    expect(kept.tab.locator("#place")).to_have_text("Conversations stay in this browser.")
    storage = kept.tab.evaluate("JSON.stringify({...localStorage})")
    page = Page(context, server.url)
    page.tab.evaluate(
        "text => Object.entries(JSON.parse(text)).forEach(([k, v]) => localStorage.setItem(k, v))", storage
    )
    page.tab.reload()
    page.tab.get_by_role("button", name="Move the one in this browser here").click()
    expect(entries(page)).to_have_text(["Private"])
    expect(page.tab.locator("#place")).to_have_text("Conversations are kept on this server.")
    info = stored(page, sessions, 4)
    assert [m.content for m in sessions.messages(info.id)] == ["Private", "Private", "Second", "Second"]
    assert page.problems == []


def test_all_are_deleted_and_come_back(page, expect):
    for text in ("One", "Two"):
        page.ask(text, "echo")
        page.tab.click("#new")
    expect(entries(page)).to_have_count(2)
    page.tab.click("#open-settings")
    page.tab.get_by_role("button", name="Delete all conversations").click()
    expect(entries(page)).to_have_count(0)
    expect(page.tab.locator(".toast")).to_contain_text("2 conversations were deleted.")
    page.tab.get_by_role("button", name="Undo").click()
    expect(entries(page)).to_have_count(2)
