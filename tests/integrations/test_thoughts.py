"""Thoughts of a local model in other frameworks. It has random thoughts, which the library ends."""

from typing import Literal

import pytest
from pydantic import BaseModel

from luup_agent import Message, Model
from luup_agent._one_turn import TurnRequest, answer

OPTIONS = {"temperature": 1.0, "max_tokens": 48, "reasoning": 24}


class Verdict(BaseModel):
    label: Literal["red", "blue"]


@pytest.fixture(scope="module")
def thinker(marked_path, templates):
    name = "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B"  # which begins every answer with thoughts
    source = next(path for path in templates if path.stem == name).read_text(encoding="utf-8")
    with Model.from_local(marked_path, chat_template=source, context_size=2048, threads=1) as model:
        yield model


@pytest.fixture(scope="module")
def seed(thinker):
    """A seed with which the model has thoughts before its answer to "Hello"."""
    request = TurnRequest([Message(role="user", content="Hello")])
    for number in range(50):
        if answer(thinker, request._replace(options={**OPTIONS, "seed": number})).reasoning:
            return number
    return pytest.fail("the model never thinks")


async def test_a_typed_result_of_pydantic_ai_after_thoughts(thinker, seed):
    pydantic_ai = pytest.importorskip("pydantic_ai")
    from luup_agent.integrations.pydantic_ai import LuupModel

    agent = pydantic_ai.Agent(LuupModel(thinker, settings={"luup_options": {**OPTIONS, "seed": seed}}))
    result = await agent.run("Hello", output_type=Verdict)
    assert result.output.label in ("red", "blue")
    assert [part.part_kind for part in result.all_messages()[-1].parts] == ["thinking", "text"]
    assert 0 < result.usage.details["reasoning_tokens"] < result.usage.output_tokens
    kinds = []
    async with agent.run_stream_events("Hello", output_type=Verdict) as events:
        async for event in events:
            kinds.append(event.part.part_kind if event.event_kind == "part_start" else event.event_kind)
    assert kinds.index("thinking") < kinds.index("text")
    again = await agent.run("Hello", message_history=result.all_messages(), output_type=Verdict)
    assert again.output.label in ("red", "blue")


def test_a_typed_result_of_langchain_after_thoughts(thinker, seed):
    pytest.importorskip("langchain_core")
    from luup_agent.integrations.langchain import ChatLuup

    chat = ChatLuup(model=thinker, options={**OPTIONS, "seed": seed})
    found = chat.with_structured_output(Verdict, include_raw=True).invoke("Hello")
    assert found["parsed"].label in ("red", "blue")
    assert [block["type"] for block in found["raw"].content_blocks] == ["reasoning", "text"]
    whole = None
    for chunk in chat.stream("Hello"):
        whole = chunk if whole is None else whole + chunk
    assert whole.content_blocks[0]["type"] == "reasoning"
    assert whole.usage_metadata["output_token_details"]["reasoning"] > 0


async def test_thoughts_in_the_agents_sdk(thinker, seed):
    agents = pytest.importorskip("agents")
    from luup_agent.integrations.openai_agents import LuupModelProvider

    provider = LuupModelProvider(thinker, **OPTIONS, seed=seed)
    config = agents.RunConfig(model_provider=provider, tracing_disabled=True)
    result = await agents.Runner.run(agents.Agent("a", output_type=Verdict), "Hello", run_config=config)
    assert result.final_output.label in ("red", "blue")
    assert [item.type for item in result.new_items] == ["reasoning_item", "message_output_item"]


def test_thoughts_in_llm(thinker, seed):
    pytest.importorskip("llm")
    from luup_agent.integrations.llm import LuupModel

    response = LuupModel("test", thinker).prompt("Hello", schema=Verdict, **OPTIONS, seed=seed)
    assert Verdict.model_validate_json(response.text()).label in ("red", "blue")
    assert [type(part).__name__ for part in response.messages()[0].parts] == ["ReasoningPart", "TextPart"]
    assert response.usage().details["reasoning"] > 0
