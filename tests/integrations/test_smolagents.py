"""smolagents' agents on models of this package."""

import concurrent.futures
import json
from typing import Literal, Optional

import pytest

pytest.importorskip("smolagents")

from smolagents import CodeAgent, ToolCallingAgent, tool
from smolagents.agents import ActionStep
from smolagents.memory import FinalAnswerStep
from smolagents.models import ChatMessage, MessageRole, agglomerate_stream_deltas
from smolagents.utils import AgentGenerationError

from luup_agent import ContextFullError, HTTPError, InvalidParamError, InvalidSchemaError, UnsupportedError
from luup_agent.integrations.smolagents import LuupModel
from luup_agent.testing import Reply, ScriptedModel, tool_call


@tool
def weather(city: Literal["Paris", "Rome"]) -> str:
    """Returns the weather of a city.

    Args:
        city: The city.
    """
    return f"It is sunny in {city}."


def final(answer):
    return tool_call("final_answer", answer=answer)


def scripted(*replies, **options):
    model = ScriptedModel(list(replies))
    return LuupModel(model, **options), model


def quiet(kind, model, **options):
    return kind(model=model, verbosity_level=0, **{"tools": [weather], **options})


def user(text):
    return ChatMessage(role=MessageRole.USER, content=[{"type": "text", "text": text}])


@pytest.fixture
def real(model):
    """Wraps the real model."""
    return lambda **options: LuupModel(model, **{"temperature": 0, "max_tokens": 64, **options})


# -- agents, with a script ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("streamed", [False, True])
def test_a_tool_calling_agent_finishes_a_task(streamed):
    model, script = scripted([tool_call("weather", city="Paris"), tool_call("weather", city="Rome")], final("Sunny!"))
    agent = quiet(ToolCallingAgent, model, stream_outputs=streamed)
    assert agent.run("How is the weather?") == "Sunny!"
    first, second = script.requests
    assert first.tools == ["weather", "final_answer"]
    assert first.tool_choice == "required"
    assert first.body["stop"] == ["Observation:", "Calling tools:"]
    assert [message.role for message in first.messages] == ["system", "user"]
    assert "It is sunny in Paris." in second.messages[-1].content
    assert "It is sunny in Rome." in second.messages[-1].content
    steps = [step for step in agent.memory.steps if isinstance(step, ActionStep)]
    assert [step.error for step in steps] == [None, None]
    assert steps[0].token_usage.output_tokens > 0
    script.assert_complete()


@pytest.mark.parametrize("streamed", [False, True])
def test_a_code_agent_finishes_a_task(streamed):
    model, script = scripted(
        "Thought: I look.\n<code>\nprint(weather('Paris'))\n</code>", "<code>\nfinal_answer(6 * 7)\n</code>"
    )
    agent = quiet(CodeAgent, model, stream_outputs=streamed)
    assert agent.run("How is the weather?") == 42
    assert script.requests[0].tools == []
    assert script.requests[0].body["stop"] == ["Observation:", "Calling tools:", "</code>"]
    assert "It is sunny in Paris." in script.requests[1].messages[-1].content


def test_a_code_agent_with_structured_steps():
    model, script = scripted({"thought": "Easy.", "code": "final_answer(6 * 7)"})
    assert quiet(CodeAgent, model, use_structured_outputs_internally=True).run("Well?") == 42
    assert set(script.requests[0].output_schema["properties"]) == {"thought", "code"}


def test_wrong_steps_are_errors_that_the_model_reads():
    replies = (Reply("I think so.", finish_reason="length"), tool_call("nope"), final("Done."))
    model, script = scripted(*replies, tool_choice="auto")
    agent = quiet(ToolCallingAgent, model)
    assert agent.run("Well?") == "Done."
    errors = [str(step.error) for step in agent.memory.steps if isinstance(step, ActionStep)]
    assert "parsing tool call" in errors[0]
    assert "nope" in errors[1]
    assert errors[2] == "None"
    assert "nope" in script.requests[2].messages[-1].content


def test_plans():
    model, script = scripted("I have a plan.", final("Done."))
    assert quiet(ToolCallingAgent, model, planning_interval=2).run("Well?") == "Done."
    assert script.requests[0].body["stop"] == ["<end_plan>"]
    assert script.requests[0].tools == []
    assert "I have a plan." in "".join(message.content for message in script.requests[1].messages)


def test_an_agent_that_manages_another():
    inner, _ = scripted(final("It is sunny."))
    helper = quiet(ToolCallingAgent, inner, name="helper", description="Knows the weather.")
    outer, script = scripted(tool_call("helper", task="How is it?"), final("Sunny!"))
    assert quiet(ToolCallingAgent, outer, tools=[], managed_agents=[helper]).run("Well?") == "Sunny!"
    assert "helper" in script.requests[0].tools
    assert "It is sunny." in script.requests[1].messages[-1].content


def test_steps_of_a_stream():
    model, _ = scripted(tool_call("weather", city="Paris"), final("Sunny!"))
    steps = list(quiet(ToolCallingAgent, model).run("Well?", stream=True))
    assert isinstance(steps[-1], FinalAnswerStep)
    assert steps[-1].output == "Sunny!"


# -- the model alone ---------------------------------------------------------------------------------------------------


def test_settings():
    model, script = scripted("Hi.", "Hi.", temperature=0.5, min_p=0.125, tool_choice="auto")
    model.generate([user("Hi")], stop_sequences=["END"], tools_to_call_from=[weather], max_tokens=7)
    body = script.requests[0].body
    wanted = {"temperature": 0.5, "min_p": 0.125, "stop": ["END"], "max_tokens": 7, "tool_choice": "auto"}
    assert {name: body[name] for name in wanted} == wanted
    with pytest.raises(InvalidParamError, match="unexpected keyword 'temprature'"):
        LuupModel(ScriptedModel([]), temprature=0)
    with pytest.raises(InvalidParamError, match="unexpected keyword 'temprature'"):
        model.generate([user("Hi")], temprature=0)
    with pytest.raises(InvalidParamError, match="not str"):
        LuupModel("model.gguf")


def test_thoughts_and_the_reason_of_the_end():
    model, _ = scripted(Reply("4", reasoning="2 + 2."))
    assert model.generate([user("2 + 2?")]).raw == {"reasoning": "2 + 2.", "finish_reason": "stop"}


def test_inputs_that_may_be_missing_or_null():
    @tool
    def note(text: str, page: Optional[int] = None) -> str:
        """Writes a note.

        Args:
            text: The text.
            page: The page.
        """
        return text

    model, script = scripted(tool_call("note", text="x", page=None))
    answer = model.generate([user("Hi")], tools_to_call_from=[note])
    assert json.loads(answer.tool_calls[0].function.arguments) == {"text": "x", "page": None}
    parameters = script.requests[0].body["tools"][0]["function"]["parameters"]
    assert parameters["required"] == ["text"]
    assert parameters["properties"]["page"]["type"] == ["integer", "null"]


def test_pictures_are_refused():
    from smolagents import Tool

    class Draw(Tool):
        name = "draw"
        description = "Draws."
        inputs = {"picture": {"type": "image", "description": "A picture."}}  # noqa: RUF012
        output_type = "string"

        def forward(self, picture):
            return ""

    model, _ = scripted("Hi.")
    with pytest.raises(InvalidSchemaError, match="tool 'draw', parameter 'picture'"):
        model.generate([user("Hi")], tools_to_call_from=[Draw()])
    part = {"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}}
    with pytest.raises(InvalidParamError, match="text only"):
        model.generate([ChatMessage(role=MessageRole.USER, content=[part])])
    with pytest.raises(InvalidParamError, match="response_format must"):
        model.generate([user("Hi")], response_format={"type": "poem"})


@pytest.mark.parametrize("error", [HTTPError("the server is busy"), ContextFullError("the prompt has 9 tokens")])
@pytest.mark.parametrize("streamed", [False, True])
def test_errors_are_the_cause_of_smolagents_own(error, streamed):
    model, _ = scripted(error)
    with pytest.raises(AgentGenerationError, match="Error while generating") as caught:
        quiet(ToolCallingAgent, model, stream_outputs=streamed).run("Well?")
    assert type(caught.value.__cause__) is type(error)


def test_an_agent_in_a_folder_has_no_model(tmp_path):
    model, _ = scripted("Hi.", temperature=0)
    assert model.to_dict() == {"temperature": 0, "model_id": "ScriptedModel"}
    with pytest.raises(UnsupportedError, match="pass model="):
        LuupModel.from_dict(model.to_dict())


# -- the real model ----------------------------------------------------------------------------------------------------

CAPITAL = [ChatMessage(role=MessageRole.SYSTEM, content=[{"type": "text", "text": "You are a helpful assistant."}])]
CAPITAL += [user("What is the capital of France?")]


def test_the_real_model(real):
    answer = real().generate(CAPITAL)
    assert answer.content == "The capital of France is Paris."
    assert answer.token_usage.output_tokens == 8
    streamed = agglomerate_stream_deltas(list(real().generate_stream(CAPITAL)))
    assert (streamed.content, streamed.token_usage) == (answer.content, answer.token_usage)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_tool_that_the_real_model_has_to_call(real, streamed):
    model, messages = real(tool_choice="weather"), [user("What is the weather in Paris?")]
    if streamed:
        answer = agglomerate_stream_deltas(list(model.generate_stream(messages, tools_to_call_from=[weather])))
    else:
        answer = model.generate(messages, tools_to_call_from=[weather])
    assert [call.function.name for call in answer.tool_calls] == ["weather"]
    assert json.loads(answer.tool_calls[0].function.arguments) == {"city": "Paris"}


def test_structured_output_of_the_real_model(real):
    schema = {"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}}, "required": ["city"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "city", "schema": schema}}
    answer = real().generate([user("What is the capital of France?")], response_format=wanted)
    assert json.loads(answer.content) == {"city": "Paris"}


@pytest.mark.slow
def test_agents_on_the_real_model_end_at_their_last_step(real):
    agent = quiet(ToolCallingAgent, real(), max_steps=1)
    result = agent.run("What is the weather in Paris?", return_full_result=True)
    assert result.state in ("success", "max_steps_error")
    assert agent.memory.steps[1].tool_calls[0].name in ("weather", "final_answer")
    agent = quiet(CodeAgent, real(), max_steps=1)
    result = agent.run("What is the weather in Paris?", return_full_result=True)
    assert result.state in ("success", "max_steps_error")
    assert result.token_usage.output_tokens > 0


def test_a_tool_calling_agent_on_the_real_model_finishes_a_task(real):
    @tool
    def final_answer(answer: Literal["Paris", "Rome", "Berlin"]) -> str:
        """Ends the task.

        Args:
            answer: The city.
        """
        return answer

    agent = quiet(ToolCallingAgent, real(), tools=[final_answer], max_steps=1)
    agent.prompt_templates["system_prompt"] = "You answer questions by calling final_answer."
    result = agent.run("What is the capital of France?", return_full_result=True)
    assert (result.state, result.output) == ("success", "Paris")


def test_closing_a_stream_ends_the_computation(real, model, idle):
    stream = real(max_tokens=4000).generate_stream([user("Tell me a long story.")])
    next(stream)
    stream.close()
    assert idle(model).runs_active == 0


def test_sixteen_threads_share_batches(real, model):
    before = model.stats().batches
    luup = real()
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda n: luup.generate([user(f"Tell me about the number {n}.")]), range(16)))
    tokens = sum(answer.token_usage.output_tokens for answer in answers)
    assert tokens > 300
    assert model.stats().batches - before < tokens / 3
