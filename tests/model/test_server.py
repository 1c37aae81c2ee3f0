"""The HTTP server in front of the real model, and a tiny one under load."""

import asyncio
import json
import signal
import socket
import threading
import time

import httpx
import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from support import bert
from support.serving import read_events, serving, start_command

from luup_agent import Agent, Embedder, Model
from luup_agent.server import create_app

FRANCE = [{"role": "user", "content": "What is the capital of France?"}]


@pytest.fixture(scope="module")
def server(model):
    with serving(create_app({"smollm2": model})) as started:
        yield started


def test_the_answer_is_that_of_an_agent(server, greedy):
    messages = [{"role": "system", "content": "You are a helpful assistant."}, *FRANCE]
    body = server.chat(messages=messages, temperature=0, max_tokens=24).json()
    wanted = greedy("You are a helpful assistant.").run(FRANCE[0]["content"])
    assert body["choices"][0]["message"]["content"] == wanted.text
    assert body["choices"][0]["finish_reason"] == wanted.finish_reason
    assert body["usage"]["prompt_tokens"] == wanted.usage.prompt_tokens
    assert body["usage"]["completion_tokens"] == wanted.usage.completion_tokens


def test_a_stream_is_the_same_text(server):
    options = {"messages": FRANCE, "temperature": 0, "max_tokens": 24}
    whole = server.chat(**options).json()["choices"][0]["message"]["content"]
    chunks = server.chunks(**options)
    assert "".join(data["choices"][0]["delta"].get("content", "") for _, data in chunks[:-1]) == whole
    assert len(chunks) > 3
    assert chunks[-2][1]["timings"]["decode_tokens_per_second"] > 0


def test_a_stop_text_and_the_length(server):
    options = {"messages": FRANCE, "temperature": 0, "max_tokens": 24}
    whole = server.chat(**options).json()["choices"][0]["message"]["content"]
    stopped = server.chat(stop=[" Paris"], **options).json()["choices"][0]
    assert stopped["message"]["content"] == whole.partition(" Paris")[0]
    cut = server.chat(**{**options, "max_tokens": 2}).json()
    assert cut["choices"][0]["finish_reason"] == "length"
    assert cut["usage"]["completion_tokens"] == 2


def test_seeds(server):
    options = {"messages": [{"role": "user", "content": "Tell me a story."}], "temperature": 1.2, "max_tokens": 16}
    texts = [server.chat(seed=seed, **options).json()["choices"][0]["message"]["content"] for seed in (5, 5, 6)]
    assert texts[0] == texts[1] != texts[2]
    choices = server.chat(seed=5, n=3, **options).json()["choices"]
    assert len({choice["message"]["content"] for choice in choices}) == 3


@pytest.mark.parametrize("stream", [False, True])
def test_log_probabilities(server, stream):
    options = {"messages": FRANCE, "temperature": 0, "max_tokens": 8, "logprobs": True, "top_logprobs": 2}
    if stream:
        data = [data["choices"][0] for _, data in server.chunks(**options)[:-1]]
        content = [token for choice in data if choice["logprobs"] for token in choice["logprobs"]["content"]]
        text = "".join(choice["delta"].get("content", "") for choice in data)
    else:
        choice = server.chat(**options).json()["choices"][0]
        content, text = choice["logprobs"]["content"], choice["message"]["content"]
    assert "".join(token["token"] for token in content) == text
    for token in content:
        assert token["logprob"] <= 0
        assert len(token["top_logprobs"]) == 2
        assert token["top_logprobs"][0]["token"] == token["token"]  # greedy
        assert bytes(token["bytes"]).decode() == token["token"]


def test_a_schema_constrains_the_answer(server):
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 20}, "people": {"type": "integer", "minimum": 0}},
        "required": ["city", "people"],
        "additionalProperties": False,
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "city", "schema": schema, "strict": True}}
    message = server.chat(messages=FRANCE, temperature=0, response_format=wanted).json()["choices"][0]["message"]
    value = json.loads(message["content"])
    assert set(value) == {"city", "people"}
    assert isinstance(value["people"], int)


def test_a_tool_of_the_client(server):
    parameters = {
        "type": "object",
        "properties": {"country": {"enum": ["France", "Spain"]}},
        "required": ["country"],
        "additionalProperties": False,
    }
    tool = {
        "type": "function",
        "function": {"name": "capital", "description": "Returns a capital.", "parameters": parameters},
    }
    choice = server.chat(messages=FRANCE, tools=[tool], tool_choice="required", temperature=0).json()["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    call = choice["message"]["tool_calls"][0]
    assert json.loads(call["function"]["arguments"])["country"] in ("France", "Spain")
    history = [*FRANCE, choice["message"]]
    history += [
        {"role": "tool", "tool_call_id": each["id"], "content": "Paris"} for each in choice["message"]["tool_calls"]
    ]
    answer = server.chat(messages=history, tools=[tool], tool_choice="none", temperature=0, max_tokens=24).json()
    assert answer["choices"][0]["message"]["content"]


def test_a_shared_prompt_is_cached(server):
    system = {"role": "system", "content": "You answer briefly. " * 30}
    usages = [
        server.chat(messages=[system, {"role": "user", "content": text}], max_tokens=2).json()["usage"]
        for text in ("Hello there", "Good evening")
    ]
    assert usages[1]["prompt_tokens_details"]["cached_tokens"] > 100


def test_a_prompt_that_does_not_fit(server):
    response = server.chat("word " * 20000)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "context_length_exceeded"


def test_metrics(server, model):
    server.chat(messages=FRANCE, max_tokens=2)
    with server.client() as client:
        text = client.get("/metrics").text
        described = client.get("/v1/models/smollm2").json()
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert int(values['luup_tokens_decoded_total{model="smollm2"}']) > 0
    assert int(values['luup_requests_total{path="/v1/chat/completions",status="200"}']) > 0
    assert 'luup_runs_active{model="smollm2"}' in values
    assert described["luup"]["context_size"] == model.get_info().context_size


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_goes_away_frees_its_run(server, model, idle, stream):
    content = json.dumps({"messages": [{"role": "user", "content": "Count to 1000."}], "stream": stream}).encode()
    before = idle(model).tokens_decoded
    with socket.create_connection(("127.0.0.1", server.port), 30) as connection:
        head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        deadline = time.monotonic() + 60
        while model.stats().tokens_decoded < before + 3:
            assert time.monotonic() < deadline
            time.sleep(0.005)
    stats = idle(model, 30)
    assert stats.runs_active == 0
    assert stats.tokens_decoded - before < 2000


def test_a_queue_that_is_full(tiny_path):
    with Model.from_local(tiny_path, threads=1, max_sequences=1, max_waiting=0, context_size=8192) as model:
        ends = model.tokenize("<|im_end|><|endoftext|>", parse_special=True)
        endless = Agent(model, max_tokens=None, logit_bias=dict.fromkeys(ends, -100))
        with serving(create_app({"tiny": model})) as server:
            stream = endless.generate_stream("Go on and on.")
            next(stream)
            refused = [server.chat(stream=stream, max_tokens=1) for stream in (False, True)]
            assert model.stats().runs_active == 1, "the run ended before the requests did"
            stream.close()
            for each in refused:
                assert each.status_code == 429
                assert each.headers["retry-after"]
                assert each.json()["error"]["code"] == "busy"
            deadline = time.monotonic() + 60
            while server.chat(max_tokens=1).status_code == 429:
                assert time.monotonic() < deadline
                time.sleep(0.05)


async def test_64_clients_stream_at_once(tiny_model):
    clients, tokens = 64, 40

    async def ask(client, number):
        body = {
            "messages": [
                {"role": "system", "content": "You are a helpful assistant. " * 20},
                {"role": "user", "content": f"This is question {number}."},
            ],
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": tokens,
            "seed": number,
        }
        text = ""
        async with client.stream("POST", "/v1/chat/completions", json=body) as response:
            assert response.status_code == 200
            async for piece in response.aiter_text():
                text += piece
        return read_events(text)

    with serving(create_app({"tiny": tiny_model})) as server:
        limits = httpx.Limits(max_connections=clients)
        async with httpx.AsyncClient(base_url=server.url, timeout=120, limits=limits, trust_env=False) as client:
            answers = await asyncio.gather(*(ask(client, number) for number in range(clients)))
        with server.client() as client:
            assert "luup_requests_active 0\n" in client.get("/metrics").text
    for events in answers:
        assert events[-1] == ("", "[DONE]")
        assert not any(name == "error" for name, _ in events)
        assert 1 <= events[-2][1]["usage"]["completion_tokens"] <= tokens
    assert sum(events[-2][1]["usage"]["completion_tokens"] for events in answers) > clients


def test_an_agent_with_a_tool(model):
    agent = Agent(model, "You are a helpful assistant.", temperature=0, max_tokens=64)
    asked = []

    @agent.tool
    def capital(country: str) -> str:
        """Returns the capital of a country."""
        asked.append(country)
        return "Paris"

    with serving(create_app({"geographer": agent})) as server:
        tool = {"type": "function", "function": {"name": "capital"}}
        message = server.chat(messages=FRANCE, tool_choice=tool).json()["choices"][0]["message"]
    assert asked
    assert message["luup"]["tool_calls"][0]["content"] == "Paris"
    assert agent.get_history() == [{"role": "system", "content": "You are a helpful assistant."}]


# -- vectors -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def embedder(tmp_path_factory):
    gguf, numpy = pytest.importorskip("gguf"), pytest.importorskip("numpy")
    path = tmp_path_factory.mktemp("bert") / "plain.gguf"
    bert.write(gguf, numpy, bert.random_bert(numpy, ["the", "cat", "dog", "sleep", "##ing", "red"]), path)
    with Embedder.from_local(path, threads=1) as loaded:
        yield loaded


def test_vectors(embedder, monkeypatch):
    texts = ["the cat sleeping", "a dog"]
    wanted = [list(vector) for vector in embedder.embed(texts)]
    with serving(create_app({"minilm": embedder})) as server:
        with monkeypatch.context() as patched:
            patched.setattr(type(embedder), "count_tokens", None)  # the call for the vectors has counted
            body = server.post("/v1/embeddings", {"input": texts, "model": "minilm"}).json()
        assert [each["embedding"] for each in body["data"]] == [pytest.approx(vector, abs=1e-6) for vector in wanted]
        assert [each["index"] for each in body["data"]] == [0, 1]
        assert body["usage"]["prompt_tokens"] == sum(embedder.count_tokens(text) for text in texts)
        openai = pytest.importorskip("openai")
        with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none") as client:
            made = client.embeddings.create(model="minilm", input=texts[0])  # asks for base64
        assert made.data[0].embedding == pytest.approx(wanted[0], abs=1e-6)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "input"),
        ({"input": []}, "input"),
        ({"input": 5}, "input"),
        ({"input": [1, 2, 3]}, "input"),
        ({"input": "a", "encoding_format": "hex"}, "encoding_format"),
        ({"input": "a", "dimensions": 3}, "dimensions"),
        ({"input": "a", "colour": "red"}, "colour"),
    ],
)
def test_wrong_requests_for_vectors(embedder, body, param):
    with serving(create_app(embedder)) as server:
        response = server.post("/v1/embeddings", body)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


@pytest.mark.processes
def test_the_command_serves_a_model_and_lets_an_answer_end(model_path, tmp_path):
    process, url = start_command(f"small={model_path}", "--threads", "1", "--max-tokens", "200", cwd=tmp_path)
    try:
        body = {"messages": [{"role": "user", "content": "Count to twenty."}], "stream": True, "temperature": 0}
        with httpx.Client(base_url=url, trust_env=False, timeout=120) as client:
            assert [each["id"] for each in client.get("/v1/models").json()["data"]] == ["small"]
            with client.stream("POST", "/v1/chat/completions", json=body) as response:
                pieces = response.iter_text()
                text = next(pieces)
                process.send_signal(signal.SIGINT)
                text += "".join(pieces)
        _, rest = process.communicate(timeout=60)
    finally:
        process.kill()
    events = read_events(text)
    assert events[-1] == ("", "[DONE]")
    assert events[-2][1]["choices"][0]["finish_reason"] in ("stop", "length")
    assert "Traceback" not in rest
    assert process.returncode == 130


def test_many_threads_of_a_synchronous_client(server):
    codes = []

    def ask(number):
        codes.append(server.chat(f"Say {number}.", max_tokens=4).status_code)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert codes == [200] * 12
