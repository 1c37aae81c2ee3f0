"""The program and library llm on models of this package."""

import asyncio
import json
import os
import subprocess
import sys
from importlib import metadata
from typing import Literal

import pytest

pytest.importorskip("llm")

import llm
from pydantic import BaseModel
from support import bert

from luup_agent import Embedder, HTTPError
from luup_agent.integrations import llm as plugin
from luup_agent.integrations.llm import AsyncLuupModel, LuupEmbeddingModel, LuupModel
from luup_agent.testing import Reply, ScriptedModel, tool_call

SYSTEM = "You are a helpful assistant."
QUESTION = "What is the capital of France?"
ANSWER = "The capital of France is Paris."
GREEDY = {"temperature": 0, "max_tokens": 64}


class City(BaseModel):
    name: Literal["Paris", "Rome"]
    country: Literal["France", "Italy"]


def weather(city: Literal["Paris", "Rome"]) -> str:
    """Returns the weather of a city."""
    return f"It is sunny in {city}."


def broken(city: str) -> str:
    """Fails."""
    raise ValueError("no wind today")


def scripted(*replies):
    model = ScriptedModel(list(replies))
    return LuupModel("test", model), model


# -- the library, with a script ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [True, False])
def test_a_chain_with_tools(stream):
    calls = [tool_call("weather", city="Paris"), tool_call("weather", city="Rome")]
    model, script = scripted(Reply("Let me see.", "Hm, well.", tuple(calls)), "Sunny!")
    chain = model.chain("Weather?", system="Be brief.", tools=[weather], stream=stream)
    responses = list(chain.responses())
    assert [response.text() for response in responses] == ["Let me see.", "Sunny!"]
    first, second = script.requests
    assert first.tools == ["weather"]
    assert first.messages[0].content == "Be brief."
    assert [message.role for message in second.messages] == ["system", "user", "assistant", "tool", "tool"]
    assert second.messages[2].content == "Let me see."
    assert [message.tool_call_id for message in second.messages[3:]] == [
        call.id for call in second.messages[2].tool_calls
    ]
    assert second.messages[3].content == "It is sunny in Paris."
    assert [type(part).__name__ for part in responses[0].messages()[0].parts] == [
        "ReasoningPart",
        "TextPart",
        "ToolCallPart",
        "ToolCallPart",
    ]
    assert responses[0].usage().output > 0
    script.assert_complete()


async def test_an_asynchronous_chain():
    script = ScriptedModel([tool_call("weather", city="Paris"), "Sunny!"])
    chain = AsyncLuupModel("test", script).chain("Weather?", tools=[weather])
    assert await chain.text() == "Sunny!"
    assert script.requests[1].messages[-1].content == "It is sunny in Paris."


def test_a_tool_that_fails():
    model, script = scripted(tool_call("broken", city="Paris"), "Too bad.")
    assert model.chain("Wind?", tools=[broken]).text() == "Too bad."
    assert script.requests[1].messages[-1].content.startswith("Error")
    assert "no wind today" in script.requests[1].messages[-1].content


def test_wrong_calls_are_answered_by_llm():
    model, script = scripted([tool_call("weather", town="Oslo"), tool_call("nope")], "Sorry.")
    assert model.chain("Weather?", tools=[weather]).text().strip() == "Sorry."
    results = [message.content for message in script.requests[1].messages if message.role == "tool"]
    assert "town" in results[0]
    assert "nope" in results[1]


def test_a_conversation_goes_on():
    model, script = scripted("Hello Ada.", "You are Ada.")
    conversation = model.conversation()
    conversation.prompt("I am Ada.").text()
    assert conversation.prompt("Who am I?").text() == "You are Ada."
    assert [(message.role, message.content) for message in script.requests[1].messages] == [
        ("user", "I am Ada."),
        ("assistant", "Hello Ada."),
        ("user", "Who am I?"),
    ]


def test_options():
    options = {"temperature": 0.5, "max_tokens": 7, "top_p": 0.9, "top_k": 3, "min_p": 0.125, "seed": 5, "stop": "END"}
    model, script = scripted("Hi.", tool_call("weather", city="Rome"), "Sunny!")
    model.prompt("Hi", **options, reasoning="high").text()
    body = script.requests[0].body
    assert {name: body[name] for name in options} == {**options, "stop": ["END"]}
    assert body["reasoning_effort"] == "high"
    assert model.chain("Weather?", tools=[weather], options={"tool_choice": "weather"}).text() == "Sunny!"
    assert script.requests[1].tool_choice == "weather"
    assert script.requests[2].tool_choice == "auto"  # the tool has been called
    with pytest.raises(ValueError, match="temprature"):
        model.prompt("Hi", temprature=0).text()
    with pytest.raises(llm.ModelError, match="temperature must be"):
        model.prompt("Hi", temperature=-1).text()


def test_a_schema():
    model, script = scripted({"name": "Rome", "country": "Italy"})
    assert City.model_validate_json(model.prompt("Which city?", schema=City).text()).name == "Rome"
    assert set(script.requests[0].output_schema["properties"]) == {"name", "country"}


def test_errors_are_llms():
    model, _ = scripted(HTTPError("the server is busy"))
    with pytest.raises(llm.ModelError, match="the server is busy") as caught:
        model.prompt("Hi").text()
    assert isinstance(caught.value.__cause__, HTTPError)
    with pytest.raises(ValueError, match="does not support attachments"):
        model.prompt("Hi", attachments=[llm.Attachment(type="image/png", content=b"x")]).text()
    with pytest.raises(llm.ModelError, match=r"must be a luup_agent.Model"):
        LuupModel("test", "model.gguf").prompt("Hi").text()


# -- the library, with the real model ----------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [True, False])
def test_the_real_model(model, stream):
    response = LuupModel("test", model).prompt(QUESTION, system=SYSTEM, stream=stream, **GREEDY)
    pieces = list(response)
    assert "".join(pieces) == ANSWER
    assert (len(pieces) > 2) is stream
    assert response.usage().output == 8
    assert response.json() == {"finish_reason": "stop"}


def test_a_typed_answer_of_the_real_model(model):
    response = LuupModel("test", model).prompt("Which city is the capital of France?", schema=City, **GREEDY)
    assert City.model_validate_json(response.text()) == City(name="Paris", country="France")


def test_a_tool_that_the_real_model_has_to_call(model):
    options = {**GREEDY, "tool_choice": "weather"}
    response = LuupModel("test", model).prompt("What is the weather in Paris?", tools=[weather], **options)
    assert [(call.name, call.arguments) for call in response.tool_calls()] == [("weather", {"city": "Paris"})]
    assert response.execute_tool_calls()[0].output == "It is sunny in Paris."


async def test_sixteen_questions_share_batches(model):
    before = model.stats().batches
    luup = AsyncLuupModel("test", model)

    async def ask(number):
        response = luup.prompt(f"Tell me about the number {number}.", **GREEDY)
        await response.text()
        return await response.usage()

    tokens = sum(usage.output for usage in await asyncio.gather(*map(ask, range(16))))
    assert tokens > 300
    assert model.stats().batches - before < tokens / 3


async def test_cancelling_a_task_ends_the_computation(model, idle, running):
    async def ask():
        await AsyncLuupModel("test", model).prompt("Tell me a long story.", temperature=0, max_tokens=4000).text()

    task = asyncio.ensure_future(ask())
    await running(model)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert idle(model).runs_active == 0


def test_leaving_a_stream_ends_the_computation(model, idle):
    response = LuupModel("test", model).prompt("Tell me a long story.", temperature=0, max_tokens=4000)
    pieces = iter(response)
    next(pieces)
    pieces.close()
    del response, pieces
    assert idle(model).runs_active == 0


# -- embeddings --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def embedder_path(tmp_path_factory):
    gguf, numpy = pytest.importorskip("gguf"), pytest.importorskip("numpy")
    path = tmp_path_factory.mktemp("bert") / "bert.gguf"
    bert.write(gguf, numpy, bert.random_bert(numpy, ["hello", "world"]), path)
    return path


def test_vectors(embedder_path):
    with Embedder.from_local(embedder_path, threads=1) as embedder:
        model = LuupEmbeddingModel("test", embedder)
        vectors = list(model.embed_multi(["hello", "world", "hello"]))
        for found, wanted in zip(vectors, embedder.embed(["hello", "world", "hello"]).tolist()):
            assert found == pytest.approx(wanted, abs=1e-5)
        assert model.embed("hello") == pytest.approx(vectors[0], abs=1e-5)
        assert vectors[1] != pytest.approx(vectors[0], abs=1e-2)


# -- the program -------------------------------------------------------------------------------------------------------


@pytest.fixture
def program(tmp_path, model_path, embedder_path):
    """Runs the program `llm` with this plugin, and the real model as luup/real."""
    if not [each for each in metadata.entry_points(group="llm") if each.name == "luup"]:
        pytest.fail("the package was installed before it had the entry point of llm; install it again")
    models = {"real": {"path": str(model_path), "threads": 1}}
    written = json.dumps({"models": models, "embedding_models": {"v": str(embedder_path)}})
    (tmp_path / plugin.MODELS_FILE).write_text(written)

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "llm", *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "LLM_USER_PATH": str(tmp_path)},
        )

    run.folder = tmp_path
    return run


@pytest.mark.slow
@pytest.mark.processes
def test_the_program_lists_and_prompts(program):
    listed = program("models")
    assert "LuupModel: luup/smollm2" in listed.stdout
    assert "LuupModel: luup/real" in listed.stdout
    options = ["-o", "temperature", "0", "-o", "max_tokens", "64"]
    answered = program("-m", "luup/real", "-s", SYSTEM, QUESTION, *options)
    assert (answered.stdout, answered.stderr) == (ANSWER + "\n", "")
    schema = json.dumps(City.model_json_schema())
    typed = program("-m", "luup/real", "--schema", schema, "Which city is the capital of France?", *options)
    assert json.loads(typed.stdout) == {"name": "Paris", "country": "France"}
    tools = ["-T", "llm_version", "-o", "tool_choice", "llm_version", "--td"]
    called = program("-m", "luup/real", "Which version of llm is this?", *tools, *options)
    assert f"llm_version({{}})\n  {metadata.version('llm')}" in called.stderr
    logged = json.loads(program("logs", "-n", "0", "--json").stdout)
    assert {entry["model"] for entry in logged} == {"luup/real"}
    assert [entry["prompt"] for entry in logged if entry["response"].strip() == ANSWER] == [QUESTION]
    assert all(entry["output_tokens"] > 0 for entry in logged)
    vector = json.loads(program("embed", "-m", "luup/v", "-c", "hello").stdout)
    assert len(vector) > 4


@pytest.mark.slow
@pytest.mark.processes
def test_the_program_tells_of_errors_without_a_traceback(program):
    failed = program("-m", "luup/real", "Hi", "-o", "temperature", "-1")
    assert failed.returncode == 1
    assert failed.stderr.startswith("Error: temperature must be")
    missing = {"none": "/nowhere/model.gguf"}
    (program.folder / plugin.MODELS_FILE).write_text(json.dumps({"models": missing, "embedding_models": missing}))
    for arguments in (("-m", "luup/none", "Hi"), ("embed", "-m", "luup/none", "-c", "Hi")):
        failed = program(*arguments)
        assert failed.returncode == 1
        assert failed.stderr.startswith("Error: no such file: /nowhere/model.gguf")
    for text, words in (("{", "is not valid JSON"), ('{"model": {}}', 'an object with "models"')):
        (program.folder / plugin.MODELS_FILE).write_text(text)
        failed = program("-m", "luup/none", "Hi")
        assert failed.returncode == 1
        assert failed.stderr.startswith("Error: ")
        assert words in failed.stderr
