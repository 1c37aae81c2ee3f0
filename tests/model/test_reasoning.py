"""Thoughts of a model that would think without end: bounded, switched off, stopped, and an answer always comes.

The models have random weights or the real one's, with the templates of models that think: what is right was enforced.
"""

import threading
from typing import List, Literal

import pytest
from pydantic import BaseModel, Field
from typing_extensions import Annotated

from luup_agent import Agent, InvalidParamError, Model, UnsupportedError
from luup_agent.testing import ScriptedModel

THINKERS = ("Qwen-Qwen3-0.6B", "openai-gpt-oss-120b", "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B", "Qwen3.5-4B")
MARKS = ("<think>", "</think>", "<|channel|>", "<|end|>", "<|start|>")
ENDS = ("</think>", "<|end|>")

Digit = Annotated[int, Field(ge=0, le=9)]


class Verdict(BaseModel):
    """The expected results of a run."""

    label: Literal["red", "blue"]
    digits: Annotated[List[Digit], Field(max_length=3)]


@pytest.fixture(scope="module", params=THINKERS)
def thinker(request, marked_path, templates):
    source = next(path for path in templates if path.stem == request.param).read_text(encoding="utf-8")
    with Model.from_local(marked_path, chat_template=source, context_size=4096, threads=1) as model:
        yield model


def agent_of(model, **options):
    return Agent(model, **{"temperature": 1.0, "max_tokens": 24, "enable_history": False, "seed": 3, **options})


def thoughts_of(response):
    assert not response.text.lstrip().startswith(MARKS)
    assert not any(mark in (response.reasoning or "") for mark in ENDS)
    usage = response.usage
    assert 0 <= usage.reasoning_tokens <= usage.completion_tokens
    assert response.text.strip() or not usage.reasoning_tokens  # it may end its answer at once, without thoughts
    return usage.reasoning_tokens


@pytest.mark.parametrize("budget", [0, 1, 40])
def test_the_thoughts_of_one_answer_are_bounded(thinker, budget):
    response = agent_of(thinker).run("Hello", reasoning=budget)
    assert thoughts_of(response) <= budget + 24  # the marks
    assert response.usage.completion_tokens - response.usage.reasoning_tokens <= 24


def test_a_typed_result_and_a_call_come_after_thoughts(thinker):
    agent, calls = agent_of(thinker, max_tokens=300), []

    @agent.tool
    def pick(color: Literal["red", "blue"], count: Digit) -> str:
        """Picks something."""
        calls.append((color, count))
        return "picked"

    assert isinstance(agent.generate("Red or blue?", output_type=Verdict, reasoning=30), Verdict)
    response = agent.run("Pick 3.", tool_choice="pick", output_type=Verdict, reasoning=30, max_turns=12)
    assert calls
    assert isinstance(response.output, Verdict)
    assert thoughts_of(response) <= response.usage.turns * (30 + 24)


@pytest.mark.parametrize("reasoning", [None, True, False, "low", "medium", "high", 16])
def test_an_answer_comes_with_every_setting(thinker, reasoning):
    """The context holds fewer tokens than the usual budget of thoughts."""
    with_prompt = agent_of(thinker, max_tokens=8, reasoning=reasoning)
    response = with_prompt.run("Say " + "hello " * 1200)
    assert response.usage.prompt_tokens + response.usage.completion_tokens <= 4096
    thoughts_of(response)


def test_false_leaves_no_thoughts(thinker):
    response = agent_of(thinker).run("Hello", reasoning=False)
    assert not (response.reasoning or "").strip()
    thoughts_of(response)


def test_settings_of_a_template_reach_it(thinker):
    on, off = (agent_of(thinker, reasoning=value)._prompt_tokens("Hi") for value in (True, False))
    options = agent_of(thinker, template_options={"enable_thinking": False, "reasoning_effort": "low"})
    source = thinker.get_info().chat_template
    if "enable_thinking" in source:
        assert on != off == options._prompt_tokens("Hi")
    elif "reasoning_effort" in source:
        assert on != off
        assert "Reasoning: low" in thinker.detokenize(options._prompt_tokens("Hi"))
    else:
        assert on == off


def test_a_fork_and_a_saved_agent_keep_the_settings(thinker, tmp_path):
    agent = agent_of(thinker, reasoning=5, template_options={"enable_thinking": True}, enable_history=True)
    wanted = agent._prompt_tokens("Hi")
    assert agent.fork()._prompt_tokens("Hi") == wanted
    assert thoughts_of(agent.fork().run("Hi")) <= 5 + 24
    agent.save(tmp_path / "agent")
    assert thoughts_of(Agent.load(tmp_path / "agent", thinker).run("Hi")) <= 5 + 24


def test_options_of_a_dict_that_changes_later_are_kept(thinker):
    options = {"enable_thinking": False}
    agent = agent_of(thinker, template_options=options)
    before = agent._prompt_tokens("Hi")
    options["enable_thinking"] = True
    assert agent._prompt_tokens("Hi") == before


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"reasoning": "max"}, "reasoning must be True, False, .* not 'max'"),
        ({"reasoning": -1}, "reasoning must be .* not -1"),
        ({"reasoning": 2**31}, "reasoning must be .* not 2147483648"),
        ({"reasoning": 1.5}, "reasoning must be .* not 1.5"),
        ({"template_options": "x"}, "template_options must be a dict, not str"),
        ({"template_options": {1: 2}}, "template_options must have names that are str, not 1"),
        ({"template_options": {"a": {1, 2}}}, r"template_options\['a'\] must be a JSON value"),
        ({"template_options": {"a": float("nan")}}, r"template_options\['a'\] must be a JSON value"),
        ({"template_options": {"messages": []}}, 'template_options must not contain "messages"'),
        ({"template_options": {"tools": []}}, 'template_options must not contain "tools"'),
    ],
)
def test_wrong_values_are_named(greedy, options, problem):
    with pytest.raises(InvalidParamError, match=problem):
        greedy(**options)
    agent = greedy()
    with pytest.raises(InvalidParamError, match=problem):
        agent.generate("Hi", **options)
    assert agent.get_history() == []


def test_a_model_that_does_not_think_is_not_changed(greedy):
    plain = greedy().run("What is the capital of France?")
    for reasoning in (True, False, "low", 0, 100):
        response = greedy(reasoning=reasoning).run("What is the capital of France?")
        assert (response.text, response.usage) == (plain.text, plain.usage)
        assert response.usage.reasoning_tokens == 0


def stop_when_thinking(stream, seen):
    for event in stream:
        seen.append(event.type)
        if event.type == "reasoning" and seen.count("reasoning") == 3:
            thread = threading.Thread(target=stream.stop_thinking)
            thread.start()
            thread.join()
        if event.type == "done":
            return event.response
    raise AssertionError("no end")


def test_thoughts_are_stopped_from_another_thread(thinker):
    agent, seen = agent_of(thinker), []
    stream = agent.stream_events("Hello", reasoning=3000)
    response = stop_when_thinking(stream, seen)
    assert thoughts_of(response) < 2000
    stream.stop_thinking()  # the run has ended


def test_stop_thinking_does_nothing_where_nothing_thinks(greedy):
    stream = greedy().generate_stream("What is the capital of France?")
    text = next(stream)
    stream.stop_thinking()
    assert text + "".join(stream) == greedy().generate("What is the capital of France?")
    stream.stop_thinking()


async def test_an_asynchronous_stream_stops_thinking(thinker):
    stream = agent_of(thinker).stream_events_async("Hello", reasoning=3000)
    stream.stop_thinking()  # it has not begun
    async for event in stream:
        if event.type == "reasoning":
            stream.stop_thinking()
        if event.type == "done":
            assert thoughts_of(event.response) < 2900


def test_a_remote_model_is_told_apart():
    stream = Agent(ScriptedModel(["Hello there."])).generate_stream("Hi")
    with pytest.raises(UnsupportedError, match="stop_thinking"):
        stream.stop_thinking()
    assert "".join(stream) == "Hello there."
    stream.stop_thinking()
