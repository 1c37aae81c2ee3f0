"""The site in Chromium: it loads nothing from other hosts, fits a phone, and can be searched."""

import pytest

PAGES = [
    "index.html",
    "start.html",
    "guides/tools.html",
    "guides/errors.html",
    "reference/agents.html",
    "comparison.html",
    "c-api.html",
]


@pytest.fixture
def tab(chromium, request):
    """Opens tabs: ``tab(width, scheme)``. Collects requests and errors of the console as attributes of the tab."""
    contexts = []

    def open_tab(width=1280, scheme="light"):
        context = chromium.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.requested, page.complaints = [], []
        page.on("request", lambda asked: page.requested.append(asked.url))
        page.on("console", lambda said: page.complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        return page

    yield open_tab
    for context in contexts:
        context.close()


@pytest.mark.parametrize("path", PAGES)
def test_a_page_asks_no_other_host(tab, address, path):
    page = tab()
    page.goto(address + path, wait_until="networkidle")
    assert len(page.requested) > 3
    assert [url for url in page.requested if not url.startswith((address, "data:", "blob:"))] == []
    assert page.complaints == []


@pytest.mark.parametrize("path", PAGES)
def test_a_page_fits_a_narrow_screen(tab, address, path):
    page = tab(width=320)
    page.goto(address + path)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_the_colours_follow_the_system(tab, address):
    colours = {}
    for scheme in ("light", "dark"):
        page = tab(scheme=scheme)
        page.goto(address)
        colours[scheme] = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert colours == {"light": "rgb(255, 255, 255)", "dark": "rgb(26, 25, 24)"}


def test_the_search_finds_a_method(tab, address):
    page = tab()
    page.goto(address, wait_until="networkidle")
    page.click(".md-search__input")
    page.type(".md-search__input", "stop_thinking")
    page.wait_for_selector(".md-search-result__item a", timeout=60_000)
    assert "stop_thinking" in page.inner_text(".md-search-result__list")
    assert page.complaints == []
