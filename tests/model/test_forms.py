"""Plain texts of a form, and JSON of a schema, decoded by the real model."""

import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from luup_agent import Agent, Choice, Grammar, InvalidOutputError, InvalidSchemaError, JSONSchema, Regex

CHARACTERS = st.characters(blacklist_categories=("Cs",), blacklist_characters="\0", max_codepoint=0xFFFF)
SUM = Grammar('root ::= number " + " number\nnumber ::= [1-9] [0-9]{0,2}')
CITY = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 20}, "people": {"type": "integer", "minimum": 0}},
    "required": ["name", "people"],
    "additionalProperties": False,
}
FORMS = [
    (Choice(["Paris", "Rome", "Par"]), "Paris|Rome|Par"),
    (Choice([f"{n} apples" for n in range(40)]), "[0-9]+ apples"),
    (Choice(["  two\nlines ", "\t"]), "  two\nlines |\t"),
    (Regex("[0-9]{4}-(0[1-9]|1[0-2])"), "[0-9]{4}-(0[1-9]|1[0-2])"),
    (Regex("(?i)(?!paris)[a-z ]{3,12}"), "(?i)(?!paris)[a-z ]{3,12}"),
    (Regex(" {2}x?"), " {2}x?"),
    (Regex("Grüße, \\w{2,8}!"), "Grüße, \\w{2,8}!"),
    (SUM, "[1-9][0-9]{0,2} \\+ [1-9][0-9]{0,2}"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("form", "pattern"), FORMS)
@pytest.mark.parametrize("temperature", [0, 1.5])
def test_the_answer_has_the_form(api, greedy, form, pattern, temperature):
    agent = greedy(temperature=temperature, seed=1, max_tokens=64)
    events = api.events(agent, "What is the capital of France?", output_type=form)
    response = events[-1].response
    assert re.fullmatch(pattern, response.output, re.DOTALL)
    assert response.text == response.output == agent.get_history()[-1]["content"]
    assert "".join(event.text for event in events if event.type == "text") == response.output
    assert response.finish_reason == "stop"


def test_every_method_takes_a_form(api, greedy):
    form = Choice(["Paris", "Rome"])
    question = "What is the capital of France?"
    assert api.text(greedy(), question, output_type=form) == "Paris"
    assert api.response(greedy(), question, output_type=form).output == "Paris"
    assert "".join(api.pieces(greedy(), question, output_type=form)) == "Paris"


def test_a_choice_has_a_confidence(api, greedy):
    response = api.response(greedy(), "Is the sky blue?", output_type=Choice(["yes", "no"]))
    assert 0.5 < response.confidence[""] <= 1
    assert api.response(greedy(), "Hi", output_type=Regex("a|b")).confidence == {}


def test_the_same_with_and_without_jumps(api, greedy):
    form = Regex("The year is [0-9]{4}, and that is all that I have to say about it\\.")
    answers = [api.text(greedy(jump_forward=jump), "When was it?", output_type=form) for jump in (True, False)]
    assert answers[0] == answers[1]


@pytest.mark.parametrize("output_type", [CITY, JSONSchema(CITY)])
def test_a_schema_gives_its_value(api, greedy, output_type):
    events = api.events(greedy(max_tokens=100), "Tell me about Paris.", output_type=output_type)
    value = events[-1].response.output
    assert sorted(value) == ["name", "people"]
    assert len(value["name"]) <= 20
    assert isinstance(value["people"], int)
    partials = [event.output for event in events if event.type == "partial"]
    assert partials[-1] == value
    assert {"name": value["name"]} in partials


def test_what_is_cut_off_is_no_answer(api, greedy):
    agent = greedy(max_tokens=3)
    with pytest.raises(InvalidOutputError, match="max_tokens is too small"):
        api.text(agent, "Hi", output_type=Regex("[a-z]{60}"))
    assert api.text(agent, "Hi", max_tokens=4)


def test_a_grammar_may_name_tokens_of_the_model(api, greedy, model):
    (token,) = model.tokenize(" Paris")
    assert api.text(greedy(), "Hi", output_type=Grammar(f"root ::= <[{token}]>")) == " Paris"
    with pytest.raises(InvalidSchemaError, match="grammar, line 1, rule 'root': there is no such token"):
        Agent(model, output_type=Grammar("root ::= <[999999]>"))


def test_a_default_of_an_agent(api, greedy):
    class Answer(BaseModel):
        city: str

    agent = greedy(output_type=Choice(["Paris", "Rome"]), enable_history=False)
    assert api.text(agent, "What is the capital of France?") == "Paris"
    assert api.text(agent, "What is the capital of France?", output_type=Answer).city
    assert api.text(agent.fork(), "What is the capital of France?") == "Paris"
    assert api.text(agent, "What is the capital of France?", output_type=str) not in ("Paris", "Rome")


@pytest.mark.slow
@settings(max_examples=12)
@given(
    st.lists(
        st.text(CHARACTERS, min_size=1, max_size=12),
        min_size=1,
        max_size=9,
        unique=True,
    )
)
def test_any_texts_can_be_chosen_from(model, texts):
    assume(all(model.detokenize(model.tokenize(text)) == text for text in texts))  # not every byte has a token
    agent = Agent(model, temperature=2.0, max_tokens=200, enable_history=False)
    assert agent.generate("Choose one.", output_type=Choice(texts)) in texts


@pytest.mark.gate
@pytest.mark.slow
@settings(max_examples=12)
@given(st.from_regex(r"\A[a-c]{1,3}(\[x-z\]|\(p\|qr\)|\\d|é)[*+?]?[0-9]{0,2}\Z").filter(lambda text: "**" not in text))
def test_any_expression_is_kept(model, pattern):
    agent = Agent(model, temperature=2.0, top_k=0, max_tokens=400, enable_history=False)
    try:
        answer = agent.generate("Write something.", output_type=Regex(pattern))
    except InvalidOutputError:  # an endless repetition
        return
    assert re.fullmatch(pattern, answer, re.DOTALL | re.ASCII)
