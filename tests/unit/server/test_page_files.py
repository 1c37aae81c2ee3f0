"""The files of the chat page, as the server sends them."""

import re

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from luup_agent._server.page import FOLDER
from luup_agent.testing import ScriptedModel

TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
FILES = sorted(FOLDER.iterdir())


def test_the_page_is_small():
    assert sum(file.stat().st_size for file in FILES) <= 300_000
    assert {file.suffix for file in FILES} == set(TYPES)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_file(echo, file):
    path = "/" if file.name == "index.html" else f"/page/{file.name}"
    with echo.client() as client:
        response = client.get(path)
        assert response.status_code == 200
        assert response.content == file.read_bytes()
        assert response.headers["content-type"].startswith(TYPES[file.suffix])
        assert response.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in response.headers["content-security-policy"]
        again = client.get(path, headers={"if-none-match": response.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert client.head(path).content == b""


def test_every_file_that_is_named_exists():
    names = {file.name for file in FILES}
    text = (FOLDER / "index.html").read_text(encoding="utf-8")
    assert set(re.findall(r'(?:src|href)="page/([^"]+)"', text)) <= names
    for file in FOLDER.glob("*.js"):
        assert set(re.findall(r'from "\./([^"]+)"', file.read_text(encoding="utf-8"))) <= names
    icons = set(re.findall(r'id="i-(\w+)"', text))
    used = set(re.findall(r"#i-(\w+)", text))
    assert used <= icons


def test_no_file_parses_html():
    for file in FOLDER.glob("*.js"):
        text = file.read_text(encoding="utf-8")
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser", text
        )
        assert not re.search(r"https?://(?!www\.w3\.org/)[a-z]", text)


def test_a_server_without_the_page(served):
    with served({"m": ScriptedModel([])}, page=False).client() as client:
        assert client.get("/").status_code == 404
        assert client.get("/page/app.js").status_code == 404
        assert client.get("/v1/models").status_code == 200
