"""The types of many items, and of answers whose type is not a class."""

BULK = """
from typing import List
from luup_agent import Agent, Choice, Model

def use(agent: Agent, model: Model) -> None:
    reveal_type(agent.map(["x"]))
    reveal_type(agent.map(["x"], "{item}", output_type=int, on_error="raise", temperature=0).all()[0].unwrap())
    reveal_type(agent.map(["x"], output_type=Choice(["a"])))
    reveal_type(agent.classify_many(["x"], ["a", "b"]).all()[0].unwrap())
    reveal_type(agent.classify_many(["x"], bool).all()[0].unwrap())
    reveal_type(model.map(["x"], output_type=float, system_prompt="x"))
    reveal_type(model.map_async(["x"]))
    reveal_type(agent.settings.max_tokens)
    with agent.generate_stream("x") as stream:
        reveal_type(stream.response.text)
"""

FORMS = """
from typing import List, Literal, Optional, Union
from luup_agent import Agent

def use(agent: Agent) -> None:
    reveal_type(agent.generate("x", output_type=Literal["a", "b"]))
    reveal_type(agent.generate("x", output_type=Union[int, str]))
    reveal_type(agent.generate("x", output_type=Optional[int]))
    reveal_type(agent.map(["x"], output_type=Literal["a", "b"]).all()[0].unwrap())
    reveal_type(agent.generate("x", output_type=[int, str]))
"""


def test_results_of_many_items_have_types(revealed):
    found = [text.replace("Union[int, None]", "int | None") for text in revealed(BULK)]
    assert found == [
        "MapStream[str]",
        "int",
        "MapStream[str]",
        "Classification[str]",
        "Classification[bool]",
        "MapStream[float]",
        "AsyncMapStream[str]",
        "int | None",
        "str",
    ]


def test_literals_and_unions_reveal_their_types_where_the_checker_knows_type_forms(revealed):
    found = revealed(FORMS)
    literal = ("Literal['a', 'b']", "Literal['a'] | Literal['b']")
    assert found[0] in literal
    assert found[3] in literal
    assert [found[1], found[2], found[4]] == ["int | str", "int | None", "Any"]


def test_wrong_uses_are_found(problems):
    source = "from luup_agent import Agent\ndef use(agent: Agent) -> None:\n    {}\n"
    for line in (
        'agent.map(["x"], on_error="skip")',
        'agent.map(["x"], temprature=1)',
        "agent.map(5)",
        'agent.settings.temperature = "hot"',
        "agent.settings.temprature = 1",
        "agent.temperature = 0",
    ):
        assert problems(source.format(line)), line
