"""The chat page in a real Chromium, which Playwright drives; skips where either is missing."""

import asyncio
import json
import shutil

import pytest
from support.serving import serving

from luup_agent import Agent, SQLiteSessions, UnsupportedError
from luup_agent.server import create_app
from luup_agent.testing import FunctionModel, Reply, tool_call

# Nothing of the browser may reach for the network, and none of its sandboxes is there in a container.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]


@pytest.fixture(scope="module")
def chromium():
    """A browser. Playwright's event loop runs as long as it does, and hinders tests of asyncio in other files."""
    from playwright import sync_api

    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("needs chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, headless=True, args=ARGUMENTS)
        yield browser
        browser.close()


ROWS = [{"city": "Oslo", "people": 709037, "capital": True}, {"city": "<b>Bergen</b>", "people": 291940}]
TYPED = """{"title": "<img src=x onerror=alert(1)>", "page_count": 320, "in_print": false, "publisher": null,
"tags": ["garden", "tools"], "author": {"name": "Ann", "born": 1950}, "editions": [{"year": 1990}, {"year": 2001}]}"""


class Models:
    """The models of the tests. Attributes: `requests`, those of all models; `go`, lets the slow one go on."""

    def __init__(self):
        self.requests = []
        self.going = True

    def echo(self, request):
        self.requests.append(request)
        return request.prompt

    def thinker(self, request):
        return Reply("It is **Paris**.", reasoning="France is a country.")

    async def slow(self, request):
        for number in range(2000):
            yield f"word{number} "
            await asyncio.sleep(0.02)

    async def failing(self, request):
        yield "The beginning "
        raise ValueError("a bug")

    def typist(self, request):
        return TYPED if request.prompt == "One" else json.dumps(ROWS)

    def blind(self, request):
        if any(message.parts for message in request.messages):
            raise UnsupportedError("the server of this model takes no pictures")
        return request.prompt

    def clerk(self, request):
        self.requests.append(request)
        results = [message for message in request.messages if message.role == "tool"]
        if not results:
            return ["Looking.", tool_call("find", day="<b>Friday</b>")]
        if len(results) == 1:
            return [tool_call("book", day="Friday")]
        return f"The last result: {results[-1].content}"


@pytest.fixture(scope="session")
def models():
    return Models()


def servables(models):
    clerk = Agent(FunctionModel(models.clerk), "You book rooms.")

    @clerk.tool
    def find(day: str) -> str:
        """Find a free room."""
        return f"<img src=x onerror=alert(1)> {day}"

    @clerk.tool(requires_approval=True)
    def book(day: str) -> str:
        """Book a room."""
        return f"booked for {day}"

    names = ("echo", "thinker", "slow", "failing", "typist", "blind")
    kinds = {name: FunctionModel(getattr(models, name)) for name in names}
    return {**kinds, "clerk": clerk}


@pytest.fixture(scope="session")
def shared_server(models):
    """The server of all tests, whose conversations are in a file, and the file's interface."""
    with SQLiteSessions(":memory:") as sessions, serving(create_app(servables(models), sessions=sessions)) as started:
        yield started, sessions


@pytest.fixture
def sessions(shared_server):
    """The conversations that the server keeps: none at first."""
    for info in shared_server[1].list(limit=1000):
        shared_server[1].delete(info.id)
    return shared_server[1]


@pytest.fixture
def server(shared_server, sessions):
    return shared_server[0]


@pytest.fixture(scope="session")
def forgetful(models):
    """A server that keeps no conversations: the page keeps them in the browser."""
    with serving(create_app(servables(models))) as started:
        yield started


class Page:
    """A tab with the page. Attributes: `tab`, Playwright's page; `problems`, what the console reported."""

    def __init__(self, context, url):
        self.problems = []
        self.tab = context.new_page()
        self.tab.on("pageerror", lambda error: self.problems.append(str(error)))
        self.tab.on("console", lambda line: self.problems.append(line.text) if line.type == "error" else None)
        self.tab.on("dialog", lambda dialog: (self.problems.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        self.tab.goto(url)
        self.tab.locator("#model option").first.wait_for(state="attached")

    def choose(self, model):
        self.tab.select_option("#model", model)

    def send(self, text, model=None):
        if model:
            self.choose(model)
        self.tab.fill("#composer-text", text)
        self.tab.press("#composer-text", "Enter")

    def ask(self, text, model=None):
        """Send a message and wait for the end of the answer; return its element."""
        self.send(text, model)
        return self.answer()

    def answer(self):
        """Wait for the end of the last answer and return its element."""
        from playwright import sync_api

        last = self.tab.locator(".message.answer").last
        sync_api.expect(last).to_have_attribute("aria-busy", "false", timeout=30000)
        return last


@pytest.fixture
def context(chromium):
    made = chromium.new_context(viewport={"width": 1200, "height": 800})
    yield made
    made.close()


@pytest.fixture
def page(context, server):
    opened = Page(context, server.url)
    yield opened
    assert opened.problems == []


@pytest.fixture
def expect():
    from playwright import sync_api

    return sync_api.expect
