"""An MCP server's questions in the page: a form, which people fill in, decline, or leave."""

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytest.importorskip("playwright.sync_api")
pytest.importorskip("mcp")

from support.mcp_questions import make
from support.serving import serving

from luup_agent import MCP, Agent
from luup_agent.server import create_app
from luup_agent.testing import FunctionModel, tool_call

from .conftest import Page


def hotel(request):
    results = [message for message in request.messages if message.role == "tool"]
    return f"Result: {results[-1].content}" if results else ["Asking.", tool_call("book", city="Oslo")]


@pytest.fixture(scope="module")
def hotel_server():
    with MCP(make(), on_elicitation="user", timeout=120) as mcp:
        agent = Agent(FunctionModel(hotel), toolsets=[mcp])
        with serving(create_app({"hotel": agent})) as started:
            yield started


@pytest.fixture
def page(context, hotel_server):
    opened = Page(context, hotel_server.url)
    yield opened
    assert opened.problems == []


def test_a_form_is_filled_in(page, expect):
    page.send("A room")
    form = page.tab.locator(".question")
    expect(form).to_contain_text("hotel asks")
    expect(form.locator(".question-text")).to_have_text("A room in <img src=x onerror=alert(1)>?")
    assert form.locator("img").count() == 0
    expect(form.get_by_label("<b>Note</b> (optional)")).to_be_visible()
    form.get_by_role("button", name="Send").click()  # the browser wants the required fields first
    expect(form.locator("form")).to_be_visible()
    form.get_by_label("Guests").fill("99")
    form.get_by_label("Room").select_option("double")
    form.get_by_role("button", name="Send").click()  # and no more than 8 guests
    expect(form.locator("form")).to_be_visible()
    form.get_by_label("Guests").fill("3")
    form.get_by_label("Breakfast").check()
    form.get_by_role("button", name="Send").click()
    answer = page.answer()
    expect(answer).to_contain_text("Result: 3 in a double room in Oslo, with breakfast, no note")
    expect(answer.locator(".question")).to_contain_text("You answered.")
    expect(answer.locator(".question form")).to_be_hidden()
    page.tab.reload()
    expect(page.tab.locator(".question")).to_contain_text("You answered.")


def test_a_reply_that_is_confirmed_after_the_answer_is_kept(page, expect):
    """The answer comes by one connection and the confirmation by another, so either may be first."""
    held = []
    page.tab.route("**/v1/questions/*", lambda route: held.append((route, route.fetch())))
    page.send("A room")
    page.tab.locator(".question").get_by_role("button", name="Decline").click()
    question = page.answer().locator(".question")
    expect(question).to_have_attribute("data-state", "closed")
    expect(question).not_to_contain_text("You declined")
    [[route, response]] = held
    route.fulfill(response=response)
    expect(question).to_contain_text("You declined to answer.")
    page.tab.reload()
    expect(page.tab.locator(".question")).to_contain_text("You declined to answer.")


def test_a_person_declines(page, expect):
    page.send("A room")
    page.tab.locator(".question").get_by_role("button", name="Decline").click()
    answer = page.answer()
    expect(answer).to_contain_text("decline")
    expect(answer.locator(".question")).to_contain_text("You declined to answer.")


def test_the_end_of_the_answer_closes_the_form(page, expect):
    page.send("A room")
    expect(page.tab.locator(".question form")).to_be_visible()
    page.tab.click("#stop")
    answer = page.answer()
    expect(answer.locator(".question form")).to_be_hidden()
    expect(answer.locator(".question")).to_contain_text("Nobody answered.")


def test_the_form_fits_a_narrow_window(page, expect):
    page.tab.set_viewport_size({"width": 320, "height": 640})
    page.send("A room")
    form = page.tab.locator(".question")
    expect(form.get_by_label("Guests")).to_be_visible()
    box = form.bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 320
    page.tab.keyboard.press("Escape")
    page.answer()
