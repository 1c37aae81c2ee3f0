"""Limits of runs on the real model: its tokens are counted while it writes, and its history stays right."""

import asyncio

import pytest

from luup_agent import Agent, Model, UsageLimitError, UsageLimits, _native
from luup_agent.testing import ScriptedModel, tool_call

STORY = "Tell me a very long story of the moon."


@pytest.fixture(params=["text", "pieces", "response", "events"])
def drive(api, request):
    """Answers a message in one of the ways to do so."""
    return getattr(api, request.param)


def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


def limited(drive, agent, message=STORY, **options):
    with pytest.raises(UsageLimitError) as caught:
        drive(agent, message, **options)
    error = caught.value
    assert error.usage.total_tokens == error.usage.prompt_tokens + error.usage.completion_tokens
    return error


@pytest.mark.parametrize("most", [7, 30])
def test_an_answer_ends_at_its_tokens(drive, greedy, most):
    agent = greedy(max_tokens=400)
    error = limited(drive, agent, usage_limits=UsageLimits(output_tokens_limit=most))
    assert error.used == error.usage.completion_tokens == most
    assert error.messages[-1].content == error.partial_text
    assert agent.get_history() == []
    assert agent.generate(STORY, max_tokens=most) == error.partial_text


def test_the_prompt_is_counted(drive, greedy):
    agent = greedy(max_tokens=400)
    prompt = len(agent._prompt_tokens(STORY))
    error = limited(drive, agent, usage_limits=UsageLimits(total_tokens_limit=prompt + 10))
    assert error.usage.prompt_tokens == prompt
    assert prompt + 10 <= error.used < prompt + 300  # the driver reads the text as it comes
    error = limited(drive, agent, usage_limits=UsageLimits(total_tokens_limit=prompt))
    assert error.limit == "total_tokens_limit"


def test_what_was_cut_off_is_kept_if_errors_are(drive, greedy):
    agent = greedy(max_tokens=400, keep_history="on_error")
    error = limited(drive, agent, usage_limits=UsageLimits(output_tokens_limit=10))
    assert [message.content for message in agent.messages] == [message.content for message in error.messages]
    assert len(agent.messages) == 2
    assert agent.generate("Go on.", max_tokens=8)


def test_the_turn_after_the_calls_is_not_counted(drive, greedy):
    agent = greedy(tools=[add], max_tokens=256, tool_choice="add")
    usages = []
    for limits in ({"turns_limit": 1}, {"input_tokens_limit": 10}):
        error = limited(drive, agent, "What is 5 + 3?", usage_limits=UsageLimits(**limits))
        usages.append((error.usage.turns, error.usage.prompt_tokens, error.usage.completion_tokens))
        expected = "8" if "turns_limit" in limits else None
        assert [call.result and call.result.content for call in error.tool_calls] == [expected]
    assert usages[0] == usages[1]
    assert usages[0][0] == 1
    assert agent.get_history() == []
    drive(agent, "What is 5 + 3?", usage_limits=UsageLimits(turns_limit=9, total_tokens_limit=20_000))


def test_a_call_ends_in_its_middle(drive, greedy):
    agent = greedy(tools=[add], max_tokens=256, tool_choice="add")
    error = limited(drive, agent, "What is 5 + 3?", usage_limits=UsageLimits(output_tokens_limit=20))
    assert error.tool_calls == []
    assert error.usage.completion_tokens == 20


def test_a_typed_answer_ends_in_its_middle(drive, greedy):
    agent = greedy(max_tokens=256, output_type={"type": "string", "minLength": 400})
    error = limited(drive, agent, usage_limits=UsageLimits(output_tokens_limit=20))
    assert 20 <= error.usage.completion_tokens <= 22


def test_the_second_turn_ends_in_its_middle(drive, greedy):
    agent = greedy(tools=[add], max_tokens=400, tool_choice="add")
    first = limited(drive, agent, usage_limits=UsageLimits(turns_limit=1)).usage.completion_tokens
    error = limited(drive, agent, usage_limits=UsageLimits(output_tokens_limit=first + 60))
    assert [call.result.is_error for call in error.tool_calls] == [False]
    assert [message.role for message in error.messages] == ["user", "assistant", "tool", "assistant"]
    assert error.messages[-1].content == error.partial_text
    assert first + 50 < error.usage.completion_tokens < 400
    assert error.usage.turns == 2


def test_seconds(drive, greedy):
    agent = greedy(max_tokens=None)
    error = limited(drive, agent, usage_limits=UsageLimits(seconds_limit=0.3))
    assert error.limit == "seconds_limit"
    assert agent.get_history() == []


def test_sub_agents_on_the_same_model(drive, model):
    expert = Agent(model, temperature=0, max_tokens=400).as_tool("ask", "Answers questions.")
    script = ScriptedModel([tool_call("ask", message=STORY), "Done."])
    error = limited(drive, Agent(script, tools=[expert]), usage_limits=UsageLimits(output_tokens_limit=12))
    assert 12 <= error.usage.completion_tokens <= 14
    assert error.tool_calls[0].result.is_error


def test_sub_agents_side_by_side_stop_soon(model):
    expert = Agent(model, temperature=0, max_tokens=400).as_tool("ask", "Answers questions.")
    script = ScriptedModel([[tool_call("ask", message=f"{STORY} {n}") for n in range(4)], "Done."])
    agent = Agent(script, tools=[expert])
    with pytest.raises(UsageLimitError) as caught:
        asyncio.run(agent.run_async("Go.", usage_limits=UsageLimits(output_tokens_limit=60)))
    assert 60 <= caught.value.usage.completion_tokens < 4 * 60


def test_labels_count(model):
    def label(text: str) -> str:
        return str(Agent(model).classify(text, ["good", "bad"], calibrate=False).label)

    agent = Agent(ScriptedModel([tool_call("label", text="fine"), "Done."]), tools=[label])
    with pytest.raises(UsageLimitError) as caught:
        agent.generate("Go.", usage_limits=UsageLimits(input_tokens_limit=30))
    assert caught.value.tool_calls[0].result.content == "good"


def test_a_fallback_to_the_local_model(drive, model):
    from luup_agent import HTTPError

    first = ScriptedModel([HTTPError("down")] * 4)
    agent = Agent(Model.fallback(first, model), temperature=0, max_tokens=400)
    error = limited(drive, agent, usage_limits=UsageLimits(output_tokens_limit=20))
    assert error.usage.completion_tokens == 20
    assert agent.get_history() == []


def test_the_counts_between_turns_are_exact(drive, greedy):
    agent = greedy(tools=[add], max_tokens=256, tool_choice="add")
    turns = agent.fork().run("What is 5 + 3?").turns
    assert len(turns) > 1
    first = turns[0].usage
    for limits in ({"input_tokens_limit": first.prompt_tokens}, {"total_tokens_limit": first.total_tokens}):
        error = limited(drive, agent, "What is 5 + 3?", usage_limits=UsageLimits(**limits))
        assert [error.used] == list(limits.values())
        assert error.usage.completion_tokens == first.completion_tokens
        assert [call.result is None for call in error.tool_calls] == [True]
    most = first.total_tokens + turns[1].usage.prompt_tokens + 3
    error = limited(drive, agent, "What is 5 + 3?", usage_limits=UsageLimits(total_tokens_limit=most))
    assert most <= error.used <= error.usage.total_tokens  # the engine may write a token until the run ends
    assert error.tool_calls[0].result.content == "8"


def test_all_events_of_a_run_have_its_counts(greedy):
    agent = greedy(tools=[add], max_tokens=256, tool_choice="add")
    run = agent._new_run("run", "What is 5 + 3?", {}, None)
    seen = []
    try:
        run.start()
        while not seen or seen[-1][0] != _native.EVENT_DONE:
            kind = run.advance(1000)
            if kind != _native.EVENT_NONE:
                seen.append((kind, *run.native.tokens(), run.native.turns()))
        response = run.response()
    finally:
        run.close()
    first, last = response.turns[0].usage, response.usage
    assert [counts for kind, *counts in seen if kind == _native.EVENT_TOOL_CALL] == [
        [first.prompt_tokens, first.completion_tokens, 1]
    ]
    assert seen[0][1:] == (first.prompt_tokens, 0, 1)
    assert seen[-1][1:] == (last.prompt_tokens, last.completion_tokens, 2)
    for earlier, later in zip(seen, seen[1:]):
        assert all(a <= b for a, b in zip(earlier[1:], later[1:]))
    texts = [counts[1] for kind, *counts in seen if kind == _native.EVENT_TEXT]
    assert first.completion_tokens < texts[0] <= texts[-1] <= last.completion_tokens


def test_a_run_that_is_closed_in_its_middle_has_counted(greedy):
    agent = greedy(max_tokens=400)
    stream = agent.stream_events(STORY)
    written = "".join(event.text for event, _ in zip((e for e in stream if e.type == "text"), range(5)))
    stream.close()
    tokens = len(agent.model.tokenize(written))
    run = agent._new_run("run", STORY, {}, None)
    run.start()
    while run.native.tokens()[1] < tokens:
        run.advance(1000)
    run.fail(None)
    assert run.record.usage.completion_tokens >= tokens
    assert run.record.usage.prompt_tokens == len(agent._prompt_tokens(STORY))
    run.close()
