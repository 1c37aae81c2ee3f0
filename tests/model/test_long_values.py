"""Values of typed results and of tool arguments are as long as they are, or the run fails with what there is."""

from typing import List

import pytest
from pydantic import BaseModel, Field
from typing_extensions import Annotated

from luup_agent import Agent, InvalidOutputError

STORY = "Write a very long story about a dragon, at least 1000 words."
Zero = Annotated[int, Field(ge=0, le=0)]


class Order(BaseModel):
    order_id: int


class Story(BaseModel):
    text: str


@pytest.mark.parametrize("number", ["1234567890123456", "123456789012345678"])
def test_a_number_keeps_its_digits(greedy, number):
    output = greedy(max_tokens=64).generate(f"The order id is {number}. Repeat the order id.", output_type=Order)
    assert str(output.order_id) == number


def ending(agent, question, **options):
    """Return the text of a run and its error, None if there is none."""
    try:
        return agent.run(question, **options).text, None
    except InvalidOutputError as error:
        return error.partial_text, error


def test_a_text_ends_where_the_model_ends_it(model):
    agent = Agent(model, "You are a helpful assistant.", temperature=0, max_tokens=400)
    text, error = ending(agent, STORY, output_type=Story)
    assert len(text) > 800
    assert error is None or "was cut off after 400 tokens" in str(error)


def test_a_list_that_must_repeat_itself_may(greedy):
    zeros = Annotated[List[Zero], Field(min_length=600, max_length=600)]
    assert greedy(max_tokens=1300).generate("Zeros, please.", output_type=zeros) == [0] * 600
