"""Tests of an agent without a model: the answers are scripted, and everything else is real.

pytest examples/testing_your_agent.py    or    python examples/testing_your_agent.py
"""

import sys

from luup_agent import Agent, Model
from luup_agent.testing import FunctionModel, Request, ScriptedModel, tool_call


def make_support_agent(model: Model) -> Agent:
    """Make the agent to test."""
    agent = Agent(model, "You help the customers of a shop.")

    @agent.tool
    def order_status(number: int) -> str:
        """Return the status of an order."""
        return f"Order {number} was sent yesterday."

    return agent


def test_an_order_is_looked_up() -> None:
    model = ScriptedModel([tool_call("order_status", number=7), "It was sent yesterday."])
    response = make_support_agent(model).run("Where is my order 7?")
    assert response.text == "It was sent yesterday."
    assert response.tool_calls[0].result.content == "Order 7 was sent yesterday."
    assert model.requests[0].tools == ["order_status"]
    model.assert_complete()


def test_wrong_arguments_go_back_to_the_model() -> None:
    model = ScriptedModel([tool_call("order_status", number="seven"), tool_call("order_status", number=7), "Sent."])
    assert make_support_agent(model).generate("Where is my order seven?") == "Sent."
    assert "number" in model.requests[1].messages[-1].content  # the error names the argument


def test_the_conversation_is_remembered() -> None:
    def count(request: Request) -> str:
        return f"You asked {sum(message.role == 'user' for message in request.messages)} times."

    agent = make_support_agent(FunctionModel(count))
    agent.generate("Hello?")
    assert agent.generate("Hello?") == "You asked 2 times."


def main() -> int:
    for test in (
        test_an_order_is_looked_up,
        test_wrong_arguments_go_back_to_the_model,
        test_the_conversation_is_remembered,
    ):
        test()
        print(f"{test.__name__}: passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
