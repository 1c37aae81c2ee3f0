"""Which proxy a server is reached through, as the environment says; what is wrong there is named."""

import sys
import textwrap

import pytest
from support.http_server import Server, hello

from luup_agent import Agent, InvalidParamError, LuupError, Model, UnsupportedError
from luup_agent._completions.proxies import find_proxy, is_loopback

PROXY = "http://user:sk-proxy-password@10.0.0.1:3128"
VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ssl_cert_file", "ssl_cert_dir")


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "127.8.9.1", "[::1]", "app.localhost", "[::ffff:127.0.0.1]"]
)
def test_this_machine_is_reached_directly(host):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        assert find_proxy(f"http://{host}:8000/v1", {name: PROXY}) is None


def test_other_machines_are_not_this_one():
    for host in ("example.com", "10.0.0.1", "localhost.example.com", "::2", None, ""):
        assert not is_loopback(host)


@pytest.mark.parametrize(
    ("url", "variables", "source"),
    [
        ("http://example.com/v1", {"HTTP_PROXY": PROXY}, "HTTP_PROXY"),
        ("http://example.com/v1", {"http_proxy": PROXY, "HTTP_PROXY": "http://other:1"}, "http_proxy"),
        ("https://example.com/v1", {"HTTPS_PROXY": PROXY, "ALL_PROXY": "http://other:1"}, "HTTPS_PROXY"),
        ("https://example.com/v1", {"ALL_PROXY": PROXY}, "ALL_PROXY"),
        ("https://example.com/v1", {"HTTP_PROXY": PROXY}, None),
        ("http://example.com/v1", {"HTTP_PROXY": " "}, None),
        ("http://example.com/v1", {"HTTP_PROXY": PROXY, "REQUEST_METHOD": "GET"}, None),
        ("http://example.com/v1", {"HTTP_PROXY": "10.0.0.1:3128"}, "HTTP_PROXY"),
        ("http://example.com/v1", {}, None),
    ],
)
def test_the_variable_of_the_scheme_counts(url, variables, source):
    found = find_proxy(url, variables)
    assert (None if found is None else found.source) == source
    assert "sk-proxy-password" not in repr(found)


@pytest.mark.parametrize(
    ("host", "no_proxy", "direct"),
    [
        ("example.com", "example.com", True),
        ("api.example.com", "example.com", True),
        ("api.example.com", ".example.com", True),
        ("api.example.com", "*.example.com", True),
        ("notexample.com", "example.com", False),
        ("example.com", "*", True),
        ("example.com", "other.com, example.com", True),
        ("example.com", "other.com example.com", True),
        ("EXAMPLE.com", "example.COM", True),
        ("example.com", "example.com:8000", True),
        ("example.com", "example.com:9000", False),
        ("10.1.2.3", "10.0.0.0/8", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("[fd00::5]", "fd00::5", True),
        ("[fd00::5]", "[fd00::5]", True),
        ("[fd00::5]", "[fd00::5]:8000", True),
        ("[fd00::5]", "fd00::/8", True),
        ("[fd00::5]", "::1,fe80::/10", False),
        ("example.com", "::1", False),
        ("example.com", "[::1]", False),
        ("example.com", "", False),
        ("example.com", ",,", False),
    ],
)
def test_no_proxy_names_hosts_domains_addresses_and_networks(host, no_proxy, direct):
    found = find_proxy(f"http://{host}:8000/v1", {"HTTP_PROXY": PROXY, "NO_PROXY": no_proxy})
    assert (found is None) is direct


@pytest.mark.parametrize(
    "value", ["ftp://proxy:21", "http://", "http://proxy:port", "http://proxy:99999", "socks9://p:1"]
)
@pytest.mark.parametrize("name", ["HTTP_PROXY", "ALL_PROXY"])
def test_a_proxy_that_is_none_is_named(monkeypatch, api, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(InvalidParamError, match=name):
        api.text(Agent(Model.from_remote("http://example.com/v1", "m")), "Hi")


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks"])
def test_a_socks_proxy_needs_a_package(monkeypatch, api, scheme):
    monkeypatch.setenv("ALL_PROXY", f"{scheme}://10.0.0.1:1080")
    monkeypatch.setitem(sys.modules, "socksio", None)
    with pytest.raises(UnsupportedError, match="ALL_PROXY.*socksio"):
        api.text(Agent(Model.from_remote("http://example.com/v1", "m")), "Hi")


@pytest.mark.parametrize("no_proxy", ["", "::1", "[::1]", "fe80::/10", "*", "localhost"])
@pytest.mark.parametrize("proxy", [PROXY, "socks5://10.0.0.1:1080", "nonsense://x"])
def test_a_server_of_this_machine_needs_no_proxy(monkeypatch, api, remote, proxy, no_proxy):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy)
    monkeypatch.setenv("NO_PROXY", no_proxy)
    monkeypatch.setenv("SSL_CERT_FILE", "/there/is/none.pem")
    agent, _ = remote(hello())
    assert api.text(agent, "Hi") == "Hello!"


def test_a_proxy_gets_the_request(monkeypatch, api):
    proxy = Server(hello())
    monkeypatch.setenv("HTTP_PROXY", f"127.0.0.1:{proxy.port}")
    agent = Agent(Model.from_remote("http://example.invalid/v1", "m", max_retries=0))
    assert api.text(agent, "Hi") == "Hello!"
    assert proxy.requests[0].path == "http://example.invalid/v1/chat/completions"
    proxy.close()


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_certificates_that_are_missing_are_named(monkeypatch, api, name):
    monkeypatch.setenv(name, "/there/is/none.pem")
    with pytest.raises(InvalidParamError, match=f"{name}.*/there/is/none.pem"):
        api.text(Agent(Model.from_remote("https://example.invalid/v1", "m")), "Hi")


def test_certificates_that_are_damaged_are_named(monkeypatch, api, tmp_path):
    (tmp_path / "bundle.pem").write_text("nonsense")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "bundle.pem"))
    with pytest.raises(LuupError, match="SSL_CERT_FILE"):
        api.text(Agent(Model.from_remote("https://example.invalid/v1", "m")), "Hi")


PROGRAM = """
    import sys
    if sys.argv[1] == "gevent":
        from gevent import monkey
        monkey.patch_all()
    sys.path[:0] = sys.argv[2:]
    from support.http_server import Server, hello
    from luup_agent import Agent, Model, UnsupportedError
    server = Server(hello())
    agent = Agent(Model.from_remote(server.url, "m", timeout=10))
    if sys.argv[1] == "gevent":
        print(agent.generate("Hi"), "".join(agent.generate_stream("Hi")), agent.generate("Hi", timeout=5))
    else:
        import trio
        async def main():
            try:
                await agent.generate_async("Hi")
            except UnsupportedError as error:
                print(error)
        trio.run(main)
"""


@pytest.mark.parametrize(("library", "printed"), [("gevent", "Hello! Hello! Hello!"), ("trio", "this is trio")])
def test_other_kinds_of_concurrency(tmp_path, library, printed):
    import subprocess
    from pathlib import Path

    pytest.importorskip(library)
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(PROGRAM))
    folder = Path(__file__).parents[2]
    command = [sys.executable, str(program), library, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert printed in done.stdout, done.stderr
