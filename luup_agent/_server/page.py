"""The chat page: the files of the folder ``page_files``, sent as they are."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Awaitable, Callable, Dict

from luup_agent._server.web import Response

FOLDER = Path(__file__).resolve().parent / "page_files"

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_HEADERS = {
    # The page loads nothing from elsewhere, and runs no script that is not a file of this folder.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


def endpoints() -> Dict[str, Callable[[Any], Awaitable[Any]]]:
    """Return the endpoint of each path of the page: one for each file, so that no path reaches others."""
    found = {f"/page/{file.name}": _endpoint(file) for file in sorted(FOLDER.iterdir()) if file.suffix in _TYPES}
    found["/"] = found.pop("/page/index.html")
    return found


def _endpoint(file: Path) -> Callable[[Any], Awaitable[Any]]:
    content = file.read_bytes()
    headers = {**_HEADERS, "ETag": f'"{hashlib.sha256(content).hexdigest()[:32]}"'}

    async def send(request: Any) -> Any:
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(b"", 304, headers)
        return Response(content, 200, headers, _TYPES[file.suffix])

    return send
