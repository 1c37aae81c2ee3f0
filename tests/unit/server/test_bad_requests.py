"""Bad requests get a clear status and OpenAI's form of an error; the server goes on."""

import json
import socket

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

HI = [{"role": "user", "content": "Hi"}]


def error_of(response, status=400):
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    return error


def post(server, content, **headers):
    with server.client() as client:
        return client.post(
            "/v1/chat/completions", content=content, headers={"content-type": "application/json", **headers}
        )


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"not json", b"\xff\xfe", b'{"messages": [}', b"[" * 100_000, b'{"a":' * 5000 + b"1" + b"}" * 5000],
)
def test_malformed_json(echo, content):
    assert error_of(post(echo, content))["code"] == "invalid_json"
    assert echo.chat("still there").status_code == 200


@pytest.mark.parametrize("content", [b"[]", b"1", b'"text"', b"null", b"true"])
def test_a_body_that_is_not_an_object(echo, content):
    assert error_of(post(echo, content))["code"] == "invalid_type"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "Hi"}, "messages"),
        ({"messages": {"role": "user"}}, "messages"),
        ({"messages": ["Hi"]}, "messages[0]"),
        ({"messages": [{"role": "user"}]}, "messages[0]"),
        ({"messages": [{"role": "king", "content": "Hi"}]}, "messages[0]"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0]"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0]"),
        ({"messages": [{"role": "user", "content": "Hi", "mood": "good"}]}, "messages[0]"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"id": 1}]}]}, "messages[0]"),
        ({"model": 5}, "model"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": True, "stream_options": {"include_mood": True}}, "stream_options.include_mood"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"top_k": 1.5}, "top_k"),
        ({"n": 0}, "n"),
        ({"n": 17}, "n"),
        ({"seed": "lucky"}, "seed"),
        ({"stop": 5}, "stop"),
        ({"stop": ["a", 5]}, "stop"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 5, "max_completion_tokens": 6}, "max_tokens"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"logit_bias": [1]}, "logit_bias"),
        ({"reasoning_effort": "hard"}, "reasoning_effort"),
        ({"response_format": {"type": "yaml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}},
            "response_format.json_schema.schema",
        ),
        ({"tools": [5]}, "tools[0]"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        ({"tools": [{"type": "function", "function": {"name": "no spaces"}}]}, "tools[0].function"),
        ({"tools": [{"type": "function", "function": {"name": "a"}}] * 2}, "tools"),
        (
            {"tools": [{"type": "function", "function": {"name": "a", "parameters": {"type": "object", "not": {}}}}]},
            "tools[0].function.parameters",
        ),
        ({"tool_choice": 5}, "tool_choice"),
        ({"tool_choice": {"type": "allowed_tools"}}, "tool_choice.allowed_tools"),
        ({"tool_choice": {"type": "custom", "custom": {"name": "a"}}}, "tool_choice"),
        ({"approvals": {"call_0": 5}}, "approvals"),
        ({"approvals": {"call_0": True}}, "approvals"),
        ({"modalities": ["audio"]}, "modalities"),
        ({"functions": []}, "functions"),
        ({"frobnicate": 1}, "frobnicate"),
    ],
)
def test_a_wrong_field_is_named(echo, body, param):
    assert error_of(echo.post("/v1/chat/completions", {"messages": HI, **body}))["param"] == param


@pytest.mark.parametrize(
    "body",
    [
        {"temperature": -1},
        {"temperature": 1e308},
        {"top_p": 7},
        {"frequency_penalty": 9},
        {"logit_bias": {"1": 500}},
        {"tool_choice": "required"},
        {"tool_choice": {"type": "function", "function": {"name": "missing"}}},
        {"messages": [{"role": "user", "content": "a\0b"}]},
        {"messages": [{"role": "user", "content": "\ud800"}]},
        {"messages": [{"role": "assistant", "content": "I am the last."}]},
        {"messages": [*HI, {"role": "tool", "tool_call_id": "nothing", "content": "x"}]},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "unicorn"}}}},
    ],
)
def test_a_value_that_the_engine_refuses(echo, body):
    content = json.dumps({"messages": HI, **body}).encode()  # httpx writes no lone surrogates
    assert error_of(post(echo, content))["type"] == "invalid_request_error"


@pytest.mark.parametrize("number", ["1e999", "NaN", "-Infinity", "1" * 5000])
def test_numbers_out_of_range(echo, number):
    content = json.dumps({"messages": HI, "temperature": "number"}).replace('"number"', number)
    error_of(post(echo, content.encode()))


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}, "not a PNG, JPEG or WebP picture"),
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,%%"}}, "not Base64"),
        ({"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}}, "send it as a data URL"),
        ({"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}, "must be a data URL"),
        ({"type": "image_url"}, "must be a data URL"),
        ({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}, "not a WAV, MP3 or FLAC sound"),
        ({"type": "video_url", "video_url": {"url": "x"}}, "text, pictures (image_url) and sounds"),
    ],
)
def test_a_picture_is_refused_plainly(echo, part, words):
    error = error_of(echo.chat(messages=[{"role": "user", "content": [{"type": "text", "text": "Look"}, part]}]))
    assert words in error["message"]
    assert error["type"] == "invalid_request_error"


def test_harmless_fields_are_accepted(echo):
    response = echo.chat(
        user="u", metadata={"a": "b"}, store=False, service_tier="auto", safety_identifier="x", prompt_cache_key="k",
        prediction={"type": "content", "content": "x"}, modalities=["text"], logprobs=False, tools=[], n=1,
        stream_options=None, response_format={"type": "text"}, frequency_penalty=0,
    )  # fmt: skip
    assert response.status_code == 200, response.text


def test_an_unknown_model(echo):
    error = error_of(echo.chat(model="gpt-9"), 404)
    assert error["code"] == "model_not_found"
    assert "echo" in error["message"]


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/embeddings"])
def test_an_endpoint_without_a_model_says_so(echo, path):
    body = {"prompt": "Hi"} if "completions" in path else {"input": "Hi"}
    assert error_of(echo.post(path, {"model": "echo", **body}))["code"] in ("unsupported", "wrong_model_kind")


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/v1",
        "/v1/",
        "/../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/page/..%2f..%2fapp.py",
        "/page/",
        "//etc/passwd",
    ],
)
def test_other_paths(echo, path):
    with socket.create_connection(("127.0.0.1", echo.port), 30) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while True:
            data = connection.recv(65536)
            if not data:
                break
            answer += data
    assert answer.startswith(b"HTTP/1.1 404"), answer[:200]
    assert b"root:" not in answer


def test_other_methods(echo):
    with echo.client() as client:
        response = client.get("/v1/chat/completions")
        assert error_of(response, 405)["code"] == "method_not_allowed"
        assert response.headers["allow"] == "POST"
        assert client.request("DELETE", "/v1/models").status_code == 405


def test_a_body_that_is_too_long(served):
    from luup_agent.testing import FunctionModel

    server = served({"m": FunctionModel(lambda request: "ok")}, max_body=1000)
    assert error_of(server.chat("x" * 2000), 413)["code"] == "body_too_large"

    def pieces():  # without a length
        yield b'{"messages": [{"role": "user", "content": "'
        for _ in range(100):
            yield b"x" * 100

    assert post(server, pieces()).status_code == 413
    assert server.chat("x").status_code == 200


def test_another_content_type(echo):
    response = post(echo, b'{"messages": []}', **{"content-type": "text/plain"})
    assert error_of(response, 415)["code"] == "invalid_content_type"


def test_bytes_that_are_not_http(echo):
    with socket.create_connection(("127.0.0.1", echo.port), 30) as connection:
        connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 this is TLS\r\n\r\n")
        connection.recv(1000)
    assert echo.chat("still there").status_code == 200


@pytest.mark.parametrize("role", ["system", "developer", "assistant"])
def test_the_last_message_must_ask(echo, role):
    error = error_of(echo.chat(messages=[*HI, {"role": role, "content": "Paris is"}]))
    assert error["param"] == "messages"
    assert "must end with a message of the role user or tool" in error["message"]
