"""The parts of frameworks around a model: limits of a run, stored conversations, spans."""

import asyncio
import json

import pytest

from luup_agent import Message, UsageLimitError, UsageLimits
from luup_agent.testing import ScriptedModel, tool_call

GREEDY = {"temperature": 0, "max_tokens": 64}
QUESTION = "What is the capital of France?"
LONG = "Tell me a very long story of the moon."


def check_span(collected):
    """Check the span of one answer of the real model."""
    (chat,) = collected.spans("chat")
    assert chat.attributes["gen_ai.provider.name"] == "luup_agent"
    assert chat.attributes["gen_ai.usage.input_tokens"] > 10
    assert chat.attributes["gen_ai.usage.output_tokens"] > 3
    counted = {attributes["gen_ai.token.type"] for attributes, _ in collected.points("gen_ai.client.token.usage")}
    assert counted == {"input", "output"}


def again(n):
    return [tool_call("look", place=str(place)) for place in range(n)]


def look(place: str) -> str:
    """Looks at a place."""
    return f"nothing at {place}"


# -- pydantic-ai -------------------------------------------------------------------------------------------------------


def test_pydantic_ai_limits(model):
    ai = pytest.importorskip("pydantic_ai")
    from luup_agent.integrations.pydantic_ai import LuupModel

    def run(answering, **limits):
        agent = ai.Agent(answering, tools=[look])
        return asyncio.run(agent.run(LONG, usage_limits=ai.UsageLimits(**limits)))

    with pytest.raises(ai.UsageLimitExceeded, match="request_limit of 2"):
        run(LuupModel(ScriptedModel(again(9))), request_limit=2)
    with pytest.raises(ai.UsageLimitExceeded, match="tool_calls_limit of 1"):
        run(LuupModel(ScriptedModel(again(9))), tool_calls_limit=1)
    real = LuupModel(model, settings={**GREEDY, "tool_choice": "none"})
    with pytest.raises(ai.UsageLimitExceeded, match="output_tokens_limit of 20"):
        run(real, output_tokens_limit=20)
    with pytest.raises(ai.UsageLimitExceeded, match="input_tokens_limit of 5"):
        run(real, input_tokens_limit=5, count_tokens_before_request=True)


def test_pydantic_ai_sessions():
    ai = pytest.importorskip("pydantic_ai")
    from pydantic_ai.messages import ModelMessagesTypeAdapter

    from luup_agent.integrations.pydantic_ai import LuupModel

    model = ScriptedModel(["Hello Ada.", "You are Ada."])
    agent = ai.Agent(LuupModel(model))
    stored = asyncio.run(agent.run("I am Ada.")).all_messages_json()
    history = ModelMessagesTypeAdapter.validate_json(stored)
    assert asyncio.run(agent.run("Who am I?", message_history=history)).output == "You are Ada."
    assert [message.content for message in model.requests[1].messages] == ["I am Ada.", "Hello Ada.", "Who am I?"]


def test_pydantic_ai_traces(model):
    ai = pytest.importorskip("pydantic_ai")
    pytest.importorskip("opentelemetry.sdk")
    from pydantic_ai.capabilities import Instrumentation
    from pydantic_ai.models.instrumented import InstrumentationSettings
    from support.spans import Collected

    from luup_agent.integrations.pydantic_ai import LuupModel

    made = Collected()
    settings = InstrumentationSettings(tracer_provider=made.tracers, meter_provider=made.meters)
    agent = ai.Agent(LuupModel(model, settings=GREEDY), capabilities=[Instrumentation(settings=settings)])
    asyncio.run(agent.run(QUESTION))
    (chat,) = made.spans("chat")
    assert chat.attributes["gen_ai.usage.output_tokens"] > 3
    assert chat.attributes["gen_ai.request.model"] == chat.name.partition(" ")[2]


def test_pydantic_ai_telemetry(model, collected):
    ai = pytest.importorskip("pydantic_ai")
    from luup_agent.integrations.pydantic_ai import LuupModel

    asyncio.run(ai.Agent(LuupModel(model, settings=GREEDY)).run(QUESTION))
    check_span(collected)


# -- LangChain ---------------------------------------------------------------------------------------------------------


def test_langchain_sessions():
    pytest.importorskip("langchain_core")
    from langchain_core.messages import HumanMessage, messages_from_dict, messages_to_dict

    from luup_agent.integrations.langchain import ChatLuup

    model = ScriptedModel(["Hello Ada.", "You are Ada."])
    chat, asked = ChatLuup(model=model), [HumanMessage("I am Ada.")]
    stored = json.dumps(messages_to_dict([*asked, chat.invoke(asked)]))
    again = [*messages_from_dict(json.loads(stored)), HumanMessage("Who am I?")]
    assert chat.invoke(again).content == "You are Ada."
    assert [message.content for message in model.requests[1].messages] == ["I am Ada.", "Hello Ada.", "Who am I?"]


def test_langchain_telemetry(model, collected):
    pytest.importorskip("langchain_core")
    from luup_agent.integrations.langchain import ChatLuup

    ChatLuup(model=model, **GREEDY).invoke(QUESTION)
    check_span(collected)


# -- smolagents --------------------------------------------------------------------------------------------------------


def smol_agent(model, **options):
    smolagents = pytest.importorskip("smolagents")
    from luup_agent.integrations.smolagents import LuupModel

    class Look(smolagents.Tool):
        name = "look"
        description = "Looks at a place."
        inputs = {"place": {"type": "string", "description": "The place."}}  # noqa: RUF012
        output_type = "string"

        def forward(self, place: str) -> str:
            return look(place)

    return smolagents.ToolCallingAgent(tools=[Look()], model=LuupModel(model, **GREEDY), verbosity_level=0, **options)


def test_smolagents_limits():
    agent = smol_agent(ScriptedModel([*again(2), "No more steps."]), max_steps=2)
    result = agent.run("Look.", return_full_result=True)
    assert (result.state, result.output) == ("max_steps_error", "No more steps.")
    assert len([step for step in result.steps if step.get("tool_calls")]) == 2


def test_smolagents_sessions():
    model = ScriptedModel([tool_call("final_answer", answer="Hello Ada."), tool_call("final_answer", answer="Ada")])
    agent = smol_agent(model)
    agent.run("I am Ada.")
    assert agent.run("Who am I?", reset=False) == "Ada"
    assert any("I am Ada." in message.content for message in model.requests[1].messages)


def test_smolagents_monitor():
    agent = smol_agent(ScriptedModel([tool_call("look", place="home"), tool_call("final_answer", answer="Done.")]))
    assert agent.run("Look.") == "Done."
    counted = agent.monitor.get_total_token_counts()
    assert counted.input_tokens > 20
    assert counted.output_tokens == 2
    assert [step.token_usage.output_tokens > 0 for step in agent.memory.steps[1:]] == [True, True]


def test_smolagents_telemetry(model, collected):
    smol_agent(model, max_steps=1).model.generate([{"role": "user", "content": [{"type": "text", "text": QUESTION}]}])
    check_span(collected)


# -- the Agents SDK ----------------------------------------------------------------------------------------------------


def test_openai_agents_limits():
    agents = pytest.importorskip("agents")
    from luup_agent.integrations.openai_agents import LuupModelProvider

    tool = agents.function_tool(look)
    config = agents.RunConfig(model_provider=LuupModelProvider(ScriptedModel(again(9))), tracing_disabled=True)
    with pytest.raises(agents.MaxTurnsExceeded):
        asyncio.run(agents.Runner.run(agents.Agent("a", tools=[tool]), "Look.", run_config=config, max_turns=2))


def test_openai_agents_telemetry(model, collected):
    agents = pytest.importorskip("agents")
    from luup_agent.integrations.openai_agents import LuupModelProvider

    settings = agents.ModelSettings(**GREEDY)
    config = agents.RunConfig(model_provider=LuupModelProvider(model), model_settings=settings, tracing_disabled=True)
    asyncio.run(agents.Runner.run(agents.Agent("a"), QUESTION, run_config=config))
    check_span(collected)


# -- llm ---------------------------------------------------------------------------------------------------------------


def test_llm_limits():
    pytest.importorskip("llm")
    from luup_agent.integrations.llm import LuupModel

    model = ScriptedModel(again(9))
    chain = LuupModel("test", model).conversation().chain("Look.", tools=[look], chain_limit=2)
    with pytest.raises(ValueError, match="Chain limit of 2"):
        chain.text()
    assert len(model.requests) == 2


def test_llm_telemetry(model, collected):
    pytest.importorskip("llm")
    from luup_agent.integrations.llm import LuupModel

    LuupModel("test", model).prompt(QUESTION, **GREEDY).text()
    check_span(collected)


# -- this package's limits in each -------------------------------------------------------------------------------------


def check_limit(ask):
    """Check that an answer ends at 12 tokens, with this package's error or as the cause of the framework's."""
    with pytest.raises(Exception) as caught:  # noqa: PT011  # each framework has its own
        ask(usage_limits=UsageLimits(output_tokens_limit=12))
    error = caught.value
    while not isinstance(error, UsageLimitError):
        assert error.__cause__ is not None, error
        error = error.__cause__
    assert error.used == 12
    assert isinstance(error.messages[-1], Message)


def test_pydantic_ai_own_limits(model):
    ai = pytest.importorskip("pydantic_ai")
    from luup_agent.integrations.pydantic_ai import LuupModel

    def ask(**options):
        asyncio.run(ai.Agent(LuupModel(model, settings={**GREEDY, "luup_options": options})).run(LONG))

    check_limit(ask)


def test_langchain_own_limits(model):
    pytest.importorskip("langchain_core")
    from luup_agent.integrations.langchain import ChatLuup

    check_limit(lambda **options: ChatLuup(model=model, **GREEDY, options=options).invoke(LONG))


def test_smolagents_own_limits(model):
    pytest.importorskip("smolagents")
    from luup_agent.integrations.smolagents import LuupModel

    asked = [{"role": "user", "content": [{"type": "text", "text": LONG}]}]
    check_limit(lambda **options: LuupModel(model, **GREEDY, **options).generate(asked))


def test_openai_agents_own_limits(model):
    agents = pytest.importorskip("agents")
    from luup_agent.integrations.openai_agents import LuupModelProvider

    def ask(**options):
        settings = agents.ModelSettings(**GREEDY, extra_args=options)
        provider = LuupModelProvider(model)
        config = agents.RunConfig(model_provider=provider, model_settings=settings, tracing_disabled=True)
        asyncio.run(agents.Runner.run(agents.Agent("a"), LONG, run_config=config))

    check_limit(ask)
