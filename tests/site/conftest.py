"""The site of the documentation, built once; skips where mkdocs is missing. `.ci/run docs` runs these tests alone."""

import functools
import http.server
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def build():
    """Builds the site of a checkout into a folder and returns the finished process: ``build(folder, root)``."""
    for module in ("mkdocs", "material", "mkdocstrings"):
        pytest.importorskip(module)

    def run(target, root=ROOT):
        command = [
            sys.executable,
            "-m",
            "mkdocs",
            "build",
            "-f",
            str(root / "docs" / "site" / "mkdocs.yml"),
            "-d",
            str(target),
        ]
        environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=300, env=environment, check=False)

    return run


@pytest.fixture(scope="session")
def site(build, tmp_path_factory):
    """The folder of the site."""
    target = tmp_path_factory.mktemp("site")
    result = build(target)
    assert result.returncode == 0, result.stderr
    return target


@pytest.fixture(scope="session")
def pages(site):
    """The HTML of the pages, by their paths."""
    return {str(path.relative_to(site)): path.read_text(encoding="utf-8") for path in sorted(site.rglob("*.html"))}


@pytest.fixture(scope="session")
def address(site):
    """The address of a server of the site on loopback."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def chromium():
    """A browser, which Playwright drives."""
    sync_api = pytest.importorskip("playwright.sync_api")
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("needs chromium")
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, headless=True, args=arguments)
        yield browser
        browser.close()
