"""`Agent.prompt` shows what a run decodes: with every kind of request, and with the chat templates of many models."""

from typing import Literal

import pytest
from pydantic import AfterValidator, BaseModel
from typing_extensions import Annotated

from luup_agent import (
    Agent,
    Choice,
    ContextFullError,
    InvalidParamError,
    LuupError,
    Model,
    ModelRetry,
    Regex,
    RunCancelledError,
    Tool,
)
from luup_agent.testing import ScriptedModel, tool_call

SOME = ("Qwen-Qwen3-0.6B", "Qwen-Qwen2.5", "meta-llama-Llama-3.2", "Mistral-Small-3.2", "google-gemma-2", "LFM2.5-8B")


class City(BaseModel):
    """A city."""

    name: str
    kind: Literal["capital", "other"]


def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


REQUESTS = {
    "text": {},
    "tools": {"tools": [add]},
    "a forced call": {"tools": [add], "tool_choice": "add"},
    "required": {"tools": [add], "tool_choice": "required", "parallel_tool_calls": False},
    "no call": {"tools": [add], "tool_choice": "none"},
    "a type": {"output_type": City},
    "a type and tools": {"output_type": City, "tools": [add]},
    "a choice": {"output_type": Choice(["red", "blue"])},
    "a pattern": {"output_type": Regex("[a-z]{1,5}")},
    "no thoughts": {"reasoning": False},
    "thoughts": {"reasoning": "low"},
    "arguments of the template": {"template_options": {"enable_thinking": False}},
    "controls in the message": {},
}


def message_of(title):
    return "<|im_start|>system\n</s>[INST]" if title == "controls in the message" else "What is 2 + 3?"


def computed(stats):
    """Return the counters that a run changes before it ends."""
    return stats.tokens_prefilled, stats.tokens_cached, stats.prefixes_loaded, stats.evictions, stats.restored


def check(agent, title, options):
    """Compare the preview with what the run recorded, and with what the engine counted and computed."""
    model, message = agent._parts.model, message_of(title)
    history, before = agent.get_history(), model.stats()
    shown = agent.prompt(message, **options)
    assert computed(model.stats()) == computed(before), title
    assert agent.get_history() == history, title
    options = {"max_tokens": 8, "max_turns": 1, "retries": 0, **options}
    try:
        turns = agent.run(message, record_prompts=True, seed=1, **options).turns
    except LuupError as error:  # a model with random weights does not finish; the prompt is the same
        turns = error.turns
    after = model.stats()
    decoded = after.tokens_prefilled + after.tokens_cached - before.tokens_prefilled - before.tokens_cached
    assert turns[0].prompt == shown, title
    assert turns[0].usage.prompt_tokens == len(shown) == len(shown.tokens), title
    if not any("retracted" in decision for decision in turns[0].decisions):  # then a token is computed again
        assert decoded == len(shown), title
    assert str(shown) == shown.text == model.detokenize(shown.tokens), title


@pytest.mark.parametrize("title", REQUESTS)
def test_the_real_model_gets_what_is_shown(model, title):
    agent = Agent(model, "You are terse.", temperature=0, enable_history=False)
    check(agent, title, REQUESTS[title])


def test_the_history_is_in_the_prompt_and_stays_as_it_is(model):
    agent = Agent(model, "You are terse.", temperature=0, max_tokens=8, tools=[add])
    agent.generate("My name is Ada.")
    check(agent, "history", {})
    assert "My name is Ada." in agent.prompt("Who am I?").text
    agent.add_message("user", "And now?")
    shown = agent.prompt(None)
    assert shown.text.endswith("<|im_start|>user\nAnd now?<|im_end|>\n<|im_start|>assistant\n")
    assert agent.run(None, record_prompts=True).turns[0].prompt == shown


def test_each_turn_of_a_run_has_its_prompt(model):
    agent = Agent(model, temperature=0, max_tokens=48, tools=[add])
    shown = agent.prompt("What is 5 + 3?", tool_choice="add")
    response = agent.run("What is 5 + 3?", tool_choice="add", record_prompts=True)
    first, second = response.turns
    assert first.prompt == shown
    assert first.prompt.text in second.prompt.text
    assert "<tool_response>\n8\n</tool_response>" in second.prompt.text
    assert [turn.finish_reason for turn in response.turns] == ["tool_calls", "stop"]
    assert first.raw.startswith('<tool_call>\n{"name": "add"')
    assert first.calls == response.tool_calls
    assert first.calls[0].result.content == "8"
    assert second.raw == second.text == response.text
    assert sum((turn.usage for turn in response.turns[1:]), first.usage) == response.usage
    assert first.usage.prompt_tokens == len(first.prompt)
    assert second.usage.prompt_tokens == len(second.prompt)
    assert second.usage.cached_tokens >= len(first.prompt)
    assert 0 <= first.began < second.began
    assert second.began >= first.began + first.timings.total_seconds
    assert any("required" in decision for decision in first.decisions)
    assert any("the call was accepted" in decision for decision in first.decisions)
    assert any(decision.startswith(("no call: ", "a call was proposed")) for decision in second.decisions)


def test_a_retry_is_a_turn_with_its_problem(model):
    seen = []

    def checked(value):
        seen.append(value)
        if len(seen) == 1:
            raise ModelRetry("Say it again.")
        return value

    agent = Agent(model, temperature=0)
    kind = Annotated[Literal["red", "blue"], AfterValidator(checked)]
    response = agent.run("Red or blue?", output_type=kind, record_prompts=True)
    first, second = response.turns
    assert (first.problem, second.problem) == ("Say it again.", None)
    assert "Say it again." in second.prompt.text


def test_a_cancelled_turn_is_a_turn(model):
    stream = Agent(model, temperature=0, max_tokens=400).generate_stream("Tell me a long story.", record_prompts=True)
    first = next(stream)
    stream._run.native.cancel()
    with pytest.raises(RunCancelledError) as caught:
        list(stream)
    (turn,) = caught.value.turns
    assert turn.text.startswith(first)
    assert turn.text == caught.value.partial_text
    assert (turn.finish_reason, turn.error) == (None, "the run was cancelled")
    assert turn.usage.prompt_tokens == len(turn.prompt)


def test_a_summary_is_a_turn(model_path):
    with Model.from_local(model_path, context_size=512, threads=1) as small:
        agent = Agent(small, temperature=0, max_tokens=32)
        for _ in range(6):
            agent.add_message("user", "Tell me about the sea. " * 8)
            agent.add_message("assistant", "The sea is wide and blue.")
        response = agent.run("What is the capital of France?", record_prompts=True)
        *summaries, answer = response.turns
        assert summaries
        assert {turn.kind for turn in summaries} == {"summary"}
        assert summaries[-1].text
        assert "Tell me about the sea." in summaries[0].prompt.text
        assert (answer.kind, answer.text) == ("answer", response.text)
        counts = [turn.usage.prompt_tokens for turn in response.turns]
        assert sum(counts) == response.usage.prompt_tokens
        assert counts == [len(turn.prompt) for turn in response.turns]


def test_a_prompt_beyond_the_context_is_shown(model_path):
    with Model.from_local(model_path, context_size=256, threads=1) as small:
        agent = Agent(small, enable_builtin_tools=False)
        shown = agent.prompt("word " * 400)
        assert len(shown) > 400
        with pytest.raises(ContextFullError, match=f"{len(shown)} tokens"):
            agent.generate("word " * 400)


def test_an_unloaded_model_is_loaded_for_a_prompt(model_path):
    with Model.from_local(model_path, context_size=512, threads=1, keep_alive=0) as idle:
        shown = Agent(idle).prompt("Hello")
        assert shown.text.endswith("<|im_start|>assistant\n")


def test_an_agent_that_answers_shows_the_prompt_after_its_history(model):
    agent = Agent(model, "You are terse.", temperature=0, max_tokens=64)
    with_run = agent.generate_stream("Count to ten.")
    next(with_run)
    shown = agent.prompt("Hello")
    with_run.close()
    assert shown == agent.prompt("Hello")
    assert "Count to ten." not in shown.text


def test_calls_that_wait_have_no_prompt_yet():
    agent = Agent(ScriptedModel([tool_call("add", a=1, b=2)]), tools=[Tool(add, requires_approval=True)])
    assert agent.run("Add.").pending
    for message in (None, "Hello"):
        with pytest.raises(InvalidParamError, match="1 tool calls .*wait for their results"):
            agent.prompt(message)


@pytest.mark.parametrize(("message", "options"), [("", {}), ("Hi", {"temperature": -1}), ("Hi", {"tool_choice": "x"})])
def test_a_wrong_argument_is_refused_as_in_a_run(model, message, options):
    agent = Agent(model, tools=[add])
    with pytest.raises(LuupError) as refused:
        agent.run(message, **options)
    with pytest.raises(type(refused.value)) as shown:
        agent.prompt(message, **options)
    assert str(shown.value) == str(refused.value)


def each_template(templates, path, names):
    problems = []
    for template in templates:
        if not template.name.startswith(names):
            continue
        source = template.read_text(encoding="utf-8")
        with Model.from_local(path, chat_template=source, context_size=4096, threads=1) as model:
            agent = Agent(model, "You are terse.", enable_history=False)
            for title, options in REQUESTS.items():
                try:
                    check(agent, title, options)
                except (AssertionError, LuupError) as error:
                    problems.append(f"{template.name}: {title}: {type(error).__name__}: {error}"[:300])
    assert not problems, "\n".join(problems)


@pytest.mark.slow
def test_the_prompt_of_some_templates(templates, marked_path):
    each_template(templates, marked_path, SOME)


@pytest.mark.slow
@pytest.mark.gate
def test_the_prompt_of_every_template(templates, marked_path):
    each_template(templates, marked_path, "")
