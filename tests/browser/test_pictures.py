"""Pictures in the page, by the button, by paste and by drop; and what happens if the model can't look at them."""

import base64
import json
import struct
import zlib

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytest.importorskip("playwright.sync_api")

from .conftest import Page

DROP = """([name, type, data, how]) => {
    const bytes = Uint8Array.from(atob(data), (each) => each.charCodeAt(0));
    const transfer = new DataTransfer();
    transfer.items.add(new File([bytes], name, { type }));
    const area = document.getElementById("composer-text");
    if (how === "paste") {
        area.dispatchEvent(new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true, cancelable: true }));
        return;
    }
    for (const kind of ["dragenter", "dragover", "drop"]) {
        document.body.dispatchEvent(new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true }));
    }
}"""


def png(width, height, color=(79, 70, 229)):
    """Return a picture of one colour."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress((b"\0" + bytes(color) * width) * height)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def give(page, how, data, name="picture.png", kind="image/png"):
    page.tab.evaluate(DROP, [name, kind, base64.b64encode(data).decode(), how])


@pytest.fixture
def looking(page):
    """The page in front of an API that keeps the bodies of requests, and answers as a model with vision does."""
    page.bodies = []
    answer = "A violet square."
    events = [{"choices": [{"index": 0, "delta": {"content": answer}, "finish_reason": "stop"}]}]
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"

    def handle(route):
        page.bodies.append(route.request.post_data_json)
        route.fulfill(status=200, content_type="text/event-stream", body=body)

    page.tab.route("**/v1/chat/completions", handle)
    return page


@pytest.mark.parametrize("how", ["button", "paste", "drop"])
def test_a_picture_goes_to_the_model(looking, expect, how, server):
    page = looking
    if how == "button":
        page.tab.set_input_files("#picture-file", [{"name": "a.png", "mimeType": "image/png", "buffer": png(40, 30)}])
    else:
        give(page, how, png(40, 30))
    expect(page.tab.locator(".pictures img")).to_have_count(1)
    expect(page.tab.locator("#drop")).to_be_hidden()
    answer = page.ask("Look at this", "echo")
    expect(answer).to_contain_text("A violet square.")
    [message] = page.bodies[0]["messages"]
    url = "data:image/png;base64," + base64.b64encode(png(40, 30)).decode()
    assert message["content"] == [
        {"type": "text", "text": "Look at this"},
        {"type": "image_url", "image_url": {"url": url}},
    ]
    expect(page.tab.locator(".pictures img")).to_have_count(0)
    expect(page.tab.locator(".thumbnails img")).to_have_js_property("naturalWidth", 40)
    page.tab.wait_for_timeout(300)
    page.tab.reload()  # the server keeps it
    expect(page.tab.locator(".thumbnails img")).to_have_js_property("naturalWidth", 40)
    page.ask("And now?")
    assert page.bodies[1]["messages"][0]["content"] == message["content"]
    page.tab.get_by_role("button", name="Open picture 1").click()
    expect(page.tab.get_by_role("dialog", name="Picture 1")).to_be_visible()
    page.tab.keyboard.press("Escape")
    expect(page.tab.get_by_role("dialog", name="Picture 1")).to_have_count(0)


def test_a_large_picture_becomes_smaller(looking, expect):
    page = looking
    give(page, "drop", png(3000, 1500))
    page.tab.get_by_role("button", name="Send").click()  # without a text
    page.answer()
    [part] = page.bodies[0]["messages"][0]["content"]
    assert part["image_url"]["url"].startswith("data:image/jpeg;base64,")
    expect(page.tab.locator(".thumbnails img")).to_have_js_property("naturalWidth", 1280)
    expect(page.tab.locator("#title")).to_have_text("Pictures")


def test_a_picture_is_removed(looking, expect):
    page = looking
    give(page, "paste", png(10, 10))
    give(page, "drop", png(20, 20))
    expect(page.tab.locator(".pictures img")).to_have_count(2)
    page.tab.get_by_role("button", name="Remove picture 1").click()
    page.ask("Look", "echo")
    assert len(page.bodies[0]["messages"][0]["content"]) == 2
    expect(page.tab.locator(".thumbnails img")).to_have_js_property("naturalWidth", 20)


@pytest.mark.parametrize(
    ("name", "kind", "data"),
    [("a.txt", "text/plain", b"Hi"), ("a.png", "image/png", b"no picture"), ("a.svg", "image/svg+xml", b"<svg")],
)
def test_other_files_are_refused(page, expect, name, kind, data):
    give(page, "drop", data, name, kind)
    expect(page.tab.locator(".toast")).to_contain_text(name)
    expect(page.tab.locator("#pictures")).to_be_hidden()


def test_an_edited_message_keeps_its_picture(looking, expect):
    page = looking
    give(page, "drop", png(10, 10))
    page.ask("Look", "echo")
    page.tab.locator(".message.user").hover()
    page.tab.get_by_role("button", name="Edit").click()
    page.tab.locator(".editing").fill("Look again")
    page.tab.locator(".editing").press("Enter")
    page.answer()
    content = page.bodies[1]["messages"][0]["content"]
    assert [part["type"] for part in content] == ["text", "image_url"]
    assert content[0]["text"] == "Look again"


def test_a_model_without_vision(context, server, expect):
    page = Page(context, server.url)
    give(page, "drop", png(10, 10))
    answer = page.ask("Look", "blind")
    expect(answer.get_by_role("alert")).to_contain_text("blind can't look at pictures. Choose a model that can")
    page.tab.click("#new")
    page.ask("Hi", "echo")
    expect(page.tab.locator(".message.answer .markdown")).to_have_text("Hi")


def test_pictures_of_elsewhere_are_not_loaded(page, sessions, server, expect):
    with server.client() as client:
        urls = ["https://example.org/a.png", "javascript:alert(1)", "data:image/svg+xml;base64,PHN2Zy8+", 5]
        body = {"entry": {"id": "u", "role": "user", "text": "Look", "pictures": urls}, "new": True, "title": "Bad"}
        assert client.post("/v1/sessions/bad/entries", json=body).status_code == 201
    asked = []
    page.tab.on("request", lambda request: asked.append(request.url))
    page.tab.goto(f"{server.url}/#bad")
    page.tab.reload()
    expect(page.tab.locator(".bubble")).to_have_text("Look")
    assert [url for url in asked if not url.startswith(server.url)] == []
