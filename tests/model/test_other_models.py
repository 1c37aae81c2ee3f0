"""Another model in place of the local one, for a while or where one fails."""

import pytest
from typing_extensions import Literal

from luup_agent import Agent, InvalidParamError, Model, UnsupportedError
from luup_agent.testing import Reply, ScriptedModel, tool_call


def test_an_agent_answers_with_another_model_for_a_while(api, tiny_model):
    agent = Agent(tiny_model, "Be brief.", max_tokens=4)
    agent.add_message("user", "My name is Ada.")
    agent.add_message("assistant", "Hello, Ada.")

    @agent.tool
    def add(a: int, b: int) -> int:
        return a + b

    before = agent.get_history()
    model = ScriptedModel([tool_call("add", a=1, b=2), "3"])
    with agent.override(model=model) as same:
        assert same is agent
        assert agent.model is model
        assert api.text(agent, "What is 1 + 2?") == "3"
        assert len(agent.messages) == 7
        agent.remove_tool("add")
        with pytest.raises(UnsupportedError):
            agent.classify("x", ["a", "b"])
    assert agent.model is tiny_model
    assert agent.get_history() == before
    assert list(agent.tools) == ["add"]
    assert [message.content for message in model.requests[0].messages][:2] == ["Be brief.", "My name is Ada."]
    assert api.response(agent, "Hi", tool_choice="none").usage.completion_tokens <= 4
    with pytest.raises(InvalidParamError, match="model must be"), agent.override(model="gpt"):
        pass


def test_local_and_remote_models_stand_in_for_each_other(api, tiny_model, script):
    short = {"max_tokens": 8, "temperature": 0}
    broken = script.model(Reply(finish_reason="error"))
    agent = Agent(Model.fallback(broken, tiny_model), **short)
    assert api.text(agent, "Hi") == Agent(tiny_model, **short).generate("Hi")
    movie = Agent(Model.fallback(script.model(Reply(finish_reason="error")), tiny_model)).generate(
        "A film.", output_type=Literal["a", "b"]
    )
    assert movie in ("a", "b")
    long = Agent(Model.fallback(tiny_model, script.model("Too long for the other one.")))
    assert api.text(long, "word " * 9000) == "Too long for the other one."
