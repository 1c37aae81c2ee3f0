"""`/v1/completions`: the model goes on with a text, without its chat template; by plain HTTP and OpenAI's client."""

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from support.serving import read_events, serving

from luup_agent import Agent, InvalidParamError, Model
from luup_agent._run import sync_run
from luup_agent.server import create_app
from luup_agent.testing import FunctionModel

PROMPT = "The capital of France is"
GREEDY = {"prompt": PROMPT, "temperature": 0, "max_tokens": 8}


@pytest.fixture(scope="module")
def server(model):
    remote = FunctionModel(lambda request: "ok")
    with serving(create_app({"smollm2": model, "remote": remote, "agent": Agent(model)})) as started:
        yield started


def complete(server, status=200, **body):
    response = server.post("/v1/completions", {**GREEDY, **body})
    assert response.status_code == status, response.text
    return response.json()


def test_the_text_goes_on(server, model, model_path):
    made = complete(server)
    assert made["object"] == "text_completion"
    [choice] = made["choices"]
    assert "Paris" in choice["text"]
    assert choice["finish_reason"] == "length"
    assert made["usage"]["prompt_tokens"] == len(model.tokenize(PROMPT))
    assert made["usage"]["completion_tokens"] == 8
    with Model.from_local(model_path, threads=1, chat_template="{{ messages[0]['content'] }}") as plain:
        assert Agent(plain, temperature=0, max_tokens=8).generate(PROMPT) == choice["text"]


def test_names_of_control_tokens_are_text(server, model):
    text = "<|im_start|>user\nHi<|im_end|>\n"
    made = complete(server, prompt=text, max_tokens=2)
    assert made["usage"]["prompt_tokens"] == len(model.tokenize(text)) > 10


def test_several_prompts_and_answers(server):
    prompts = [PROMPT, "One, two, three,"]
    made = complete(server, prompt=prompts, n=2, temperature=1.5, seed=7, max_tokens=12)
    assert [choice["index"] for choice in made["choices"]] == [0, 1, 2, 3]
    assert len({choice["text"] for choice in made["choices"]}) == 4
    alone = complete(server, prompt=PROMPT, n=2, temperature=1.5, seed=7, max_tokens=12)
    assert made["usage"]["completion_tokens"] == 48
    assert made["usage"]["prompt_tokens"] > alone["usage"]["prompt_tokens"]


def test_stop_and_echo(server):
    whole = complete(server)["choices"][0]["text"]
    before, _, _ = whole.partition(" Paris")
    stopped = complete(server, stop=" Paris", echo=True)["choices"][0]
    assert (stopped["text"], stopped["finish_reason"]) == (PROMPT + before, "stop")


def test_the_usual_length(server):
    body = {key: value for key, value in GREEDY.items() if key != "max_tokens"}
    response = server.post("/v1/completions", body).json()
    assert response["usage"]["completion_tokens"] <= 16


def test_a_stream(server):
    whole = complete(server, n=2, seed=1, echo=True)
    body = {**GREEDY, "n": 2, "seed": 1, "echo": True, "stream": True, "stream_options": {"include_usage": True}}
    events = read_events(server.post("/v1/completions", body).text)
    assert events.pop() == ("", "[DONE]")
    *chunks, last = [data for _, data in events]
    for index in range(2):
        mine = [chunk["choices"][0] for chunk in chunks if chunk["choices"][0]["index"] == index]
        assert "".join(choice["text"] for choice in mine) == whole["choices"][index]["text"]
        assert mine[-1]["finish_reason"] == "length"
    assert last["usage"]["completion_tokens"] == whole["usage"]["completion_tokens"]


@pytest.mark.parametrize("stream", [False, True])
def test_probabilities(server, stream):
    body = {**GREEDY, "logprobs": 2, "stream": stream}
    response = server.post("/v1/completions", body)
    choices = (
        [data["choices"][0] for _, data in read_events(response.text)[:-1]] if stream else response.json()["choices"]
    )
    text = "".join(choice["text"] for choice in choices)
    found = [choice["logprobs"] for choice in choices if choice["logprobs"]]
    tokens = [token for each in found for token in each["tokens"]]
    assert "".join(tokens) == text
    assert all(number <= 0 for each in found for number in each["token_logprobs"])
    assert all(len(top) == 2 for each in found for top in each["top_logprobs"])
    offsets = [offset for each in found for offset in each["text_offset"]]
    assert [text[begin:end] for begin, end in zip(offsets, [*offsets[1:], len(text)])] == tokens


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [1, 2, 3]}, "prompt"),
        ({"prompt": [[1]]}, "prompt"),
        ({"prompt": 5}, "prompt"),
        ({"prompt": ["a"] * 65}, "prompt"),
        ({"prompt": ["a"] * 33, "n": 2}, "n"),
        ({"n": 0}, "n"),
        ({"best_of": 3}, "best_of"),
        ({"suffix": "and so on"}, "suffix"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"logprobs": 21}, "logprobs"),
        ({"logprobs": True}, "logprobs"),
        ({"logprobs": 1, "echo": True}, "logprobs"),
        ({"reasoning_effort": "low"}, "reasoning_effort"),
        ({"messages": []}, "messages"),
        ({"stream_options": {}}, "stream_options"),
        ({"model": 5}, "model"),
        ({"frobnicate": 1}, "frobnicate"),
    ],
)
def test_a_wrong_field_is_named(server, body, param):
    error = complete(server, 400, **body)["error"]
    assert error["param"] == param, error


def test_other_refusals(server):
    assert "remote model" in complete(server, 400, model="remote")["error"]["message"]
    assert complete(server, 400, model="agent")["error"]["code"] == "wrong_model_kind"
    assert complete(server, 404, model="missing")["error"]["code"] == "model_not_found"
    assert complete(server, 400, temperature=-1)["error"]["code"] == "invalid_value"
    long = complete(server, 400, prompt="word " * 100_000)
    assert long["error"]["code"] == "context_length_exceeded"
    assert complete(server, 400, prompt="a\0b")["error"]["code"] == "invalid_value"
    assert "Paris" in complete(server)["choices"][0]["text"]


def test_the_official_client(server):
    openai = pytest.importorskip("openai")
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        made = client.completions.create(model="smollm2", logprobs=1, **GREEDY)
        assert "Paris" in made.choices[0].text
        assert len(made.choices[0].logprobs.tokens) == made.usage.completion_tokens
        stream = client.completions.create(model="smollm2", stream=True, **GREEDY)
        assert "".join(chunk.choices[0].text for chunk in stream) == made.choices[0].text
        with pytest.raises(openai.BadRequestError, match="suffix"):
            client.completions.create(model="smollm2", suffix=".", **GREEDY)


def test_a_raw_prompt_has_no_tools_and_no_type(model):
    for options, output in (({"tools": [len_of]}, None), ({}, int)):
        agent = Agent(model, enable_history=False, enable_builtin_tools=False)
        run = agent._new_run("run", "Hi", options, output)
        run._task = run._task._replace(raw=True)
        with pytest.raises(InvalidParamError, match="raw_prompt needs a message, and takes no tools"):
            run.start()


def test_a_raw_prompt_is_recorded_as_it_is(model):
    agent = Agent(model, "You are a helpful assistant.", max_tokens=2, temperature=0, enable_builtin_tools=False)
    agent.add_message("user", "Hi")
    run = agent._new_run("run", PROMPT, {"record_prompts": True})
    run._task = run._task._replace(raw=True)
    response = sync_run.respond(run)
    assert response.turns[0].prompt.text == PROMPT
    assert [message.content for message in agent.messages[1:3]] == ["Hi", PROMPT]


def len_of(text: str) -> int:
    """Return the length of a text."""
    return len(text)
