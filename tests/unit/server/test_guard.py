"""Who may use the server: host names, origins, API keys."""

import contextlib
import socket
import time

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from support.serving import serving

from luup_agent._server.listening import MOST_HEAD, protocol
from luup_agent.server import create_app
from luup_agent.testing import FunctionModel, ScriptedModel

BODY = {"messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture
def guarded(served):
    def start(**options):
        return served({"echo": FunctionModel(lambda request: request.prompt)}, **options)

    return start


def post(server, **headers):
    return server.post("/v1/chat/completions", BODY, headers=headers)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "chat.localhost", "192.168.1.7", "LOCALHOST"])
def test_names_of_this_machine_and_addresses(echo, host):
    assert post(echo, host=f"{host}:{echo.port}").status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "", "127.1.evil"])
@pytest.mark.parametrize("path", ["/v1/models", "/health", "/"])
def test_other_names_are_refused(echo, host, path):
    with echo.client() as client:
        response = client.get(path, headers={"host": host})
    assert response.status_code == 403
    assert response.json()["error"]["code"] == "host_not_allowed"


def test_a_name_that_was_configured(guarded):
    server = guarded(allow_hosts=["Models.Example"])
    assert post(server, host="models.example:80").status_code == 200
    assert post(server, host="other.example").status_code == 403


def test_pages_of_other_sites_are_refused(echo):
    for origin in ("https://evil.example", "null", "file://", f"http://evil.example:{echo.port}"):
        response = post(echo, origin=origin)
        assert response.status_code == 403
        assert response.json()["error"]["code"] == "origin_not_allowed"
        assert "access-control-allow-origin" not in response.headers
    assert post(echo, origin=echo.url).status_code == 200
    assert post(echo, origin="https://proxied.localhost", host="proxied.localhost").status_code == 200


def test_pages_that_were_allowed(guarded):
    server = guarded(allow_origins=["https://app.example"], api_key="sk-1")
    allowed = {"origin": "https://app.example"}
    response = post(server, authorization="Bearer sk-1", **allowed)
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == "https://app.example"
    assert response.headers["vary"] == "Origin"
    assert post(server, **allowed).headers["access-control-allow-origin"] == "https://app.example"  # a readable 401
    with server.client() as client:
        ask = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
        preflight = client.options("/v1/chat/completions", headers={**allowed, **ask})
        assert preflight.status_code == 204
        assert "authorization" in preflight.headers["access-control-allow-headers"]
        assert "POST" in preflight.headers["access-control-allow-methods"]
        refused = client.options("/v1/chat/completions", headers={"origin": "https://evil.example", **ask})
        assert refused.status_code == 403
        assert "access-control-allow-headers" not in refused.headers


def test_every_origin(guarded):
    assert post(guarded(allow_origins=["*"]), origin="null").headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer sk-2x", "Basic sk-2", "sk-2", "Bearer sk-2, x"])
@pytest.mark.parametrize("path", ["/v1/models", "/metrics"])
def test_a_wrong_key(guarded, header, path):
    server = guarded(api_key=["sk-1", "sk-2"])
    with server.client() as client:
        response = client.get(path, headers={} if header is None else {"authorization": header})
    assert response.status_code == 401
    assert response.json()["error"]["code"] == "invalid_api_key"
    assert "sk-2" not in response.text
    assert response.headers["www-authenticate"] == "Bearer"


def test_right_keys(guarded):
    server = guarded(api_key=["sk-1", "sk-2"])
    for key in ("Bearer sk-1", "bearer sk-2"):
        assert post(server, authorization=key).status_code == 200
    with server.client() as client:
        assert client.get("/health").status_code == 200  # for load balancers


def test_every_response_says_that_its_type_is_right(echo):
    with echo.client() as client:
        for path in ("/health", "/nothing"):
            assert client.get(path).headers["x-content-type-options"] == "nosniff"


def exchange(server, *lines):
    """Send a GET request of these header lines, and return the status and the body of the response."""
    with socket.create_connection(("127.0.0.1", server.port), 30) as connection:
        head = "\r\n".join(["GET /health HTTP/1.1", *lines, "Connection: close", "", ""])
        connection.sendall(head.encode("latin-1"))
        response = b""
        while True:
            data = connection.recv(65536)
            if not data:
                break
            response += data
    head, _, body = response.partition(b"\r\n\r\n")
    return int(head.split()[1]), body.decode()


@pytest.mark.parametrize(
    "host",
    ["localhost:80@evil.example", "evil.example#.localhost", "evil.example/.localhost", "localhost:80:80", "\xff", "["],
)
def test_an_invalid_host(guarded, host):
    status, body = exchange(guarded(), f"Host: {host}")
    assert status == 403
    assert "the Host header must be a name or an address" in body


_REFUSED_BY_H11 = "Invalid HTTP request received."


@pytest.mark.parametrize("name", ["Host", "Origin", "Authorization"])
def test_a_header_that_decides_is_there_once(guarded, name):
    values = {"Host": "localhost", "Origin": "http://localhost", "Authorization": "Bearer sk-1"}
    server = guarded(api_key="sk-1")
    lines = [f"{key}: {value}" for key, value in values.items()]
    assert exchange(server, *lines)[0] == 200
    for more in ([f"{name}: evil.example", *lines], [*lines, f"{name}: evil.example"]):
        status, body = exchange(server, *more)
        assert status == 400
        # Newer releases of h11 refuse a second Host themselves.
        assert f"the header {name.lower()} more than once" in body or (name, body) == ("Host", _REFUSED_BY_H11)


def test_long_headers_are_refused():
    """By either protocol of uvicorn: httptools, where it is installed, has no limit of its own."""
    app = create_app({"m": ScriptedModel([])})
    with serving(app, http=protocol(), h11_max_incomplete_event_size=MOST_HEAD) as server:
        assert exchange(server, "Host: localhost", "X: " + "a" * (MOST_HEAD // 2))[0] == 200
        with socket.create_connection(("127.0.0.1", server.port), 30) as connection:
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: ")
            sent = 0
            with contextlib.suppress(ConnectionError):
                while sent < 100 * MOST_HEAD:
                    sent += connection.send(b"a" * 4096)
                    time.sleep(0.001)
        assert sent < 100 * MOST_HEAD
        assert exchange(server, "Host: localhost")[0] == 200
