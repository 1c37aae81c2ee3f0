"""Clients that the user brings: of httpx, or of a package with its interface."""

import httpx
import pytest
from support.http_server import hello

from luup_agent import Agent, HTTPError, InvalidParamError, Model, RunTimeoutError


class ForeignTimeout(Exception):
    """As a successor of httpx names its errors, without the classes of httpx."""


ForeignTimeout.__module__ = "httpx2"
ForeignTimeout.__name__ = "TimeoutException"
ForeignConnectError = type("ConnectError", (Exception,), {"__module__": "httpx2"})


def test_a_client_of_the_user_sends(remote):
    seen = []
    client = httpx.Client(event_hooks={"request": [lambda request: seen.append(request.url.path)]})
    agent, server = remote(hello(), http_client=client)
    assert agent.generate("Hi") == "Hello!"
    assert seen == ["/v1/chat/completions"]
    agent.model.close()
    assert not client.is_closed
    client.close()
    with pytest.raises(HTTPError, match="http_client is closed"):
        Agent(Model.from_remote(server.url, "m", http_client=client)).generate("Hi")


def test_an_asynchronous_client_of_the_user_sends(remote):
    import asyncio

    async def main():
        async with httpx.AsyncClient() as client:
            agent, _ = remote(hello(), async_http_client=client)
            return await agent.generate_async("Hi")

    assert asyncio.run(main()) == "Hello!"


def test_a_client_may_answer_itself():
    def handle(request):
        assert request.url == "http://example.invalid/v1/chat/completions"
        chunk = '{"choices": [{"index": 0, "message": {"content": "Hello!"}, "finish_reason": "stop"}]}'
        return httpx.Response(200, headers={"content-type": "application/json"}, content=chunk)

    with httpx.Client(transport=httpx.MockTransport(handle)) as client:
        model = Model.from_remote("http://example.invalid/v1", "m", http_client=client)
        assert Agent(model).generate("Hi") == "Hello!"


@pytest.mark.parametrize(
    ("error", "kind", "match"),
    [
        (ForeignTimeout("slow"), RunTimeoutError, "sent nothing"),
        (ForeignConnectError("refused"), HTTPError, "can't be reached: refused"),
        (OSError("broken"), HTTPError, "broke off the connection: broken"),
    ],
)
def test_errors_of_another_client_are_understood(error, kind, match):
    class Client:
        def stream(self, *_args, **_options):
            raise error

        def close(self):
            raise AssertionError("it belongs to the user")

    model = Model.from_remote("http://example.invalid/v1", "m", http_client=Client(), max_retries=0)
    with pytest.raises(kind, match=match):
        Agent(model).generate("Hi")


def test_an_error_of_the_users_own_code_is_raised_as_it_is(remote):
    class MineError(Exception):
        pass

    def fail(_request):
        raise MineError

    with httpx.Client(event_hooks={"request": [fail]}) as client:
        agent, _ = remote(hello(), http_client=client)
        with pytest.raises(MineError):
            agent.generate("Hi")


@pytest.mark.parametrize(
    ("name", "client"),
    [
        ("http_client", object()),
        ("http_client", httpx.AsyncClient()),
        ("async_http_client", httpx.Client()),
        ("async_http_client", "client"),
    ],
)
def test_a_client_of_the_wrong_kind_is_refused(name, client):
    with pytest.raises(InvalidParamError, match=f"^{name} must be an? (Async)?Client of httpx, not"):
        Model.from_remote("http://example.invalid/v1", "m", **{name: client})
