"""Servers as they are: every way to write an answer is read, by each kind of run."""

import pytest
from support.http_server import delta, hello
from support.quirks import CALLS, TEXTS, call, calling, now, stream, tool_calls, weather
from typing_extensions import TypedDict

from luup_agent import HTTPError

TEXT = "Grüße aus Oslo 🦊!"


class Place(TypedDict):
    city: str


def read(both, agent, kind):
    """Let the agent answer, and return the response with the value that is expected of this kind of run."""
    if kind == "typed":
        return both.response(agent, "Hi", output_type=Place), {"city": TEXT}
    return both.response(agent, "Hi"), TEXT


@pytest.mark.parametrize("kind", ["text", "typed", "tools"])
@pytest.mark.parametrize("quirk", TEXTS, ids=lambda quirk: quirk.name)
def test_a_text_is_read(both, ask, quirk, kind):
    text = f'{{"city": "{TEXT}"}}' if kind == "typed" else TEXT
    first = [calling(tool_calls(call(0, "a", "now")))] if kind == "tools" else []
    agent, server = ask(*first, quirk.answer(text), tools=[now] if kind == "tools" else ())
    response, expected = read(both, agent, kind)
    assert response.output == expected
    assert (response.reasoning or "") == quirk.reasoning
    assert response.finish_reason == "stop"
    assert agent.messages[-1].content == text
    assert len(server.requests) == len(first) + 1


@pytest.mark.parametrize("quirk", TEXTS, ids=lambda quirk: quirk.name)
def test_a_stream_gives_the_same_text(ask, quirk):
    agent, _ = ask(quirk.answer(TEXT))
    assert "".join(agent.generate_stream("Hi")) == TEXT


@pytest.mark.parametrize("quirk", CALLS, ids=lambda quirk: quirk.name)
def test_calls_are_read_and_their_ids_go_back(both, ask, quirk):
    agent, server = ask(quirk.answer, hello("Done."), tools=[weather, now])
    response = both.response(agent, "Hi")
    assert response.output == "Done."
    assert [(each.name, each.arguments) for each in response.tool_calls] == quirk.calls
    assert not any(each.result.is_error for each in response.tool_calls)
    asked, *results = server.requests[1].json["messages"][1:]
    ids = [each["id"] for each in asked["tool_calls"]]
    assert [each["tool_call_id"] for each in results] == ids
    assert len(set(ids)) == len(ids)
    assert all(ids)
    if quirk.ids:
        assert ids == list(quirk.ids)


@pytest.mark.parametrize(
    "reason", ["length", "max_tokens", "MAX_TOKENS", "max_output_tokens", "model_length", "Length"]
)
def test_an_answer_that_was_cut_off_says_so(both, ask, reason):
    agent, _ = ask(stream(delta(content="Once upon"), delta(reason)))
    response = both.response(agent, "Hi")
    assert (response.output, response.finish_reason) == ("Once upon", "length")


@pytest.mark.parametrize(
    "response",
    [
        stream({"id": "x", "choices": []}),
        stream({"id": "x", "choices": None}),
        stream({}),
        stream({"type": "content_block_delta", "delta": {"text": "Hi"}}),
        stream({"candidates": [{"content": {"parts": [{"text": "Hi"}]}}]}),
        stream(delta(content=5), delta("stop")),
        stream(delta(content=[{"type": "image_url", "image_url": {"url": "data:,"}}]), delta("stop")),
    ],
)
def test_an_answer_that_has_none_is_an_error(both, ask, response):
    agent, _ = ask(response)
    with pytest.raises(HTTPError, match='no "choices"|no text|empty'):
        both.response(agent, "Hi")


def test_a_fenced_value_is_read(both, ask):
    for text in ('```json\n{"city": "Oslo"}\n```', 'Here it is:\n\n```\n{"city": "Oslo"}\n```\nAnything else?'):
        agent, server = ask(stream(delta(content=text), delta("stop")))
        assert both.response(agent, "Hi", output_type=Place).output == {"city": "Oslo"}
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    "usage",
    [
        [{"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}}],
        [{"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}}, {"choices": [], "usage": {}}],
        [{"choices": [], "usage": {"input_tokens": 5, "output_tokens": 2}}],
        [{"choices": [], "x_groq": {"usage": {"prompt_tokens": 5, "completion_tokens": 2}}}],
        [{"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}}, {"choices": [], "usage": None}],
    ],
)
def test_the_usage_is_kept(both, ask, usage):
    agent, _ = ask(stream(delta(content="Hi"), delta("stop"), *usage))
    counts = both.response(agent, "Hi").usage
    assert (counts.prompt_tokens, counts.completion_tokens) == (5, 2)
