"""Integers of any size keep their digits, from a server to a tool, a typed result and the history."""

import json
from typing import Dict, List, Union

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from support.http_server import Server, replying

from luup_agent import Agent, Model
from luup_agent.testing import Reply, ScriptedModel, tool_call

BIG = [
    2**53 + 1,
    2**63 - 1,
    2**63,
    -(2**63) - 1,
    2**64 - 1,
    2**64,
    2**64 + 1,
    12345678901234567890123,
    -(10**100) - 1,
    10**300 + 1,
]


class Order(BaseModel):
    number: int
    parts: List[int] = []
    price: float = 0.0


@pytest.mark.parametrize("number", BIG)
def test_a_tool_gets_all_digits(api, script, number):
    seen = []

    def order(number: int, price: float, parts: List[int], more: Dict[str, int]) -> int:
        seen.append((number, parts, more))
        assert isinstance(price, float)
        return number

    arguments = {"number": number, "price": 5, "parts": [number, 1], "more": {"x": number}}
    agent = script.agent(tool_call("order", **arguments), "Done.", tools=[order])
    response = api.response(agent, "Go.")
    assert seen == [(number, [number, 1], {"x": number})]
    (call,) = response.tool_calls
    assert call.result.content == str(number)
    assert call.arguments == arguments
    assert json.loads(call.arguments_json)["number"] == number
    assert agent.messages[1].tool_calls[0].arguments["number"] == number


@pytest.mark.parametrize("number", BIG)
def test_a_given_schema_gives_all_digits(api, number):
    seen = []

    from luup_agent import Tool

    schema = {"type": "object", "properties": {"number": {"type": "integer"}}}
    made = Tool(lambda **values: seen.append(values), name="order", parameters=schema)
    api.response(Agent(ScriptedModel([tool_call("order", number=number), "Done."]), tools=[made]), "Go.")
    assert seen == [{"number": number}]


@pytest.mark.parametrize("number", BIG)
def test_a_typed_result_has_all_digits(api, script, number):
    text = json.dumps({"number": number, "parts": [number], "price": 1.5})
    result = api.text(script.agent(Reply(text)), "Go.", output_type=Order)
    assert (result.number, result.parts) == (number, [number])
    assert api.text(script.agent(Reply(str(number))), "Go.", output_type=int) == number
    assert api.text(script.agent(Reply(str(number))), "Go.", output_type=Union[int, str]) == number


@pytest.mark.parametrize("number", BIG)
def test_a_forced_call_has_all_digits(number):
    seen = []

    def order(number: int) -> str:
        seen.append(number)
        return "ok"

    # The server ignores tool_choice: the arguments come as a typed result.
    server = Server(*replying("I will.", Reply(json.dumps({"number": number})), "Done."))
    try:
        agent = Agent(Model.from_remote(server.url, "m", timeout=30), tools=[order])
        assert agent.generate("Go.", tool_choice="order") == "Done."
    finally:
        server.close()
    assert seen == [number]


@given(number=st.integers(-(10**60), 10**60), others=st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_numbers_of_all_sizes(number, others):
    seen = []

    def take(number: int, others: List[float]) -> None:
        seen.append((number, others))

    Agent(ScriptedModel([tool_call("take", number=number, others=others), "Done."]), tools=[take]).run("Go.")
    assert seen == [(number, others)]
