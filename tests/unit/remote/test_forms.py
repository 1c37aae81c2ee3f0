"""Forms of answers, defaults of agents, penalties and probabilities on remote models."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from support.http_server import events

from luup_agent import (
    Agent,
    Choice,
    Grammar,
    InvalidOutputError,
    InvalidParamError,
    JSONSchema,
    Regex,
)
from luup_agent.testing import ScriptedModel

SUM = Grammar('root ::= number " + " number\nnumber ::= [1-9] [0-9]*')
CITY = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["name", "people"],
}


class Movie(BaseModel):
    title: str


RIGHT = [
    (Choice(["yes", "no"]), "no"),
    (Choice(["yes", "no"]), " no\n"),
    (Regex("[0-9]{4}"), "1979"),
    (SUM, "12 + 3"),
    (SUM, "\n12 + 3 "),
]
WRONG = [
    (Choice(["yes", "no"]), "No", 'must be exactly one of the given texts, and it is "No"'),
    (Regex("[0-9]{4}"), "in 1979", 'must match the regular expression \\[0-9\\]\\{4\\}, and it is "in 1979"'),
    (SUM, "12+3", 'does not follow the grammar: "12\\+3"'),
    (JSONSchema(CITY), '{"name": "Paris"}', "people"),
]


@pytest.mark.parametrize(("form", "answer"), RIGHT)
def test_a_right_answer_is_taken(api, script, form, answer):
    agent = script.agent(answer)
    response = api.response(agent, "Hi", output_type=form)
    assert response.output == answer.strip()
    assert agent.get_history()[-1]["content"] == answer.strip()
    assert response.text == answer


@pytest.mark.parametrize(("form", "answer", "problem"), WRONG)
def test_a_wrong_answer_is_asked_for_again_and_never_returned(api, script, form, answer, problem):
    right = {"choices": "yes", "pattern": "2001", "grammar": "1 + 1", "schema": '{"name": "Rome", "people": 5}'}[
        form.kind
    ]
    agent = script.agent(answer, right, answer, answer, "fine")
    got = api.events(agent, "Hi", output_type=form)
    assert [event.reason for event in got if event.type == "retry"]
    assert got[-1].response.output in (right, {"name": "Rome", "people": 5})
    with pytest.raises(InvalidOutputError, match=problem):
        api.text(agent, "Hi", output_type=form)
    assert api.text(agent, "Hi") == "fine"


def test_the_prompt_tells_the_form():
    for form, text in [
        (Choice(["yes", "no"]), "exactly one of these texts, and nothing else:\n- yes\n- no"),
        (Regex("[0-9]+"), "a text that this regular expression matches as a whole, and nothing else: [0-9]+"),
        (SUM, "a text of this grammar (GBNF), and nothing else:\n" + SUM.text),
    ]:
        model = ScriptedModel(["nothing"])
        with pytest.raises(InvalidOutputError):
            Agent(model).generate("Hi", output_type=form, retries=0)
        body = model.requests[0].body
        assert body["messages"][-1]["content"] == f"Hi\n\nAnswer with {text}"
        assert "response_format" not in body


def test_a_schema_is_asked_for_as_response_format(api):
    model = ScriptedModel(['{"name": "Rome", "people": 5}', '{"name": "Rome", "people": 5}'])
    for output_type in (CITY, JSONSchema(CITY)):
        assert api.text(Agent(model), "Hi", output_type=output_type) == {"name": "Rome", "people": 5}
        assert model.requests[-1].body["response_format"]["json_schema"]["schema"] == CITY


def test_a_schema_has_partial_values(api, script):
    got = api.events(script.agent('{"name": "Rome", "people": 5}'), "Hi", output_type=CITY)
    partials = [event.output for event in got if event.type == "partial"]
    assert partials[-1] == {"name": "Rome", "people": 5}
    assert all(partial in ({"name": "Rome"}, partials[-1]) for partial in partials)


def test_plain_text_has_no_partial_values(api, script):
    got = api.events(script.agent("no"), "Hi", output_type=Choice(["yes", "no"]))
    assert [event.type for event in got if event.type in ("partial", "text")] == ["text"]


# ---------------------------------------------------------------------------------------------------------------------
# The default of an agent
# ---------------------------------------------------------------------------------------------------------------------


def test_an_agent_has_a_default(api, script):
    agent = script.agent('{"title": "Alien"}', "plain", "no", '{"title": "Up"}', output_type=Movie)
    assert agent.output_type is Movie
    assert api.text(agent, "Hi") == Movie(title="Alien")
    assert api.text(agent, "Hi", output_type=str) == "plain"
    assert api.text(agent, "Hi", output_type=Choice(["yes", "no"])) == "no"
    assert api.response(agent.fork(), "Hi").output == Movie(title="Up")


def test_an_override_keeps_the_default(script):
    agent = script.agent("plain", output_type=Movie)
    with agent.override(model=ScriptedModel(['{"title": "Alien"}'])):
        assert agent.generate("Hi") == Movie(title="Alien")


@pytest.mark.parametrize(
    "form", [Choice(["yes", "no"]), Regex("no"), Grammar('root ::= "no"'), JSONSchema({"const": "no"})]
)
def test_a_form_is_saved(form, tmp_path):
    model = ScriptedModel(["no", '"no"'] if form.kind == "schema" else ["no", "no"])
    Agent(model, output_type=form).save(tmp_path / "agent")
    loaded = Agent.load(tmp_path / "agent", model)
    assert loaded.output_type == form
    assert Agent.load(tmp_path / "agent", model, output_type=str).output_type is None


def test_a_python_type_has_to_be_given_again(tmp_path):
    model = ScriptedModel(['{"title": "Alien"}', "plain"])
    Agent(model, output_type=Movie).save(tmp_path / "agent")
    with pytest.raises(
        InvalidParamError, match="the saved agent answers with Movie, a Python type, which is not saved"
    ):
        Agent.load(tmp_path / "agent", model)
    assert Agent.load(tmp_path / "agent", model, output_type=Movie).generate("Hi") == Movie(title="Alien")
    assert Agent.load(tmp_path / "agent", model, output_type=str).generate("Hi") == "plain"


# ---------------------------------------------------------------------------------------------------------------------
# Penalties, biases and probabilities
# ---------------------------------------------------------------------------------------------------------------------


def body_of(**options):
    model = ScriptedModel(["fine"])
    Agent(model).generate("Hi", **options)
    return model.requests[0].body


def test_what_is_not_set_is_not_sent():
    fields = {"presence_penalty", "frequency_penalty", "logit_bias", "logprobs", "top_logprobs"}
    assert not fields & set(body_of())


@given(
    st.floats(-2, 2, width=16).filter(bool),
    st.floats(-2, 2, width=16).filter(bool),
    st.dictionaries(st.integers(0, 2**31 - 1), st.floats(-100, 100, width=16), min_size=1, max_size=9),
)
def test_settings_are_openais_fields(presence, frequency, biases):
    body = body_of(presence_penalty=presence, frequency_penalty=frequency, logit_bias=biases)
    assert body["presence_penalty"] == pytest.approx(presence, abs=1e-6)
    assert body["frequency_penalty"] == pytest.approx(frequency, abs=1e-6)
    assert body["logit_bias"] == {str(token): pytest.approx(bias, abs=1e-4) for token, bias in biases.items()}


def test_probabilities_are_asked_for():
    assert (body_of(logprobs=True)["logprobs"], "top_logprobs" in body_of(logprobs=True)) == (True, False)
    assert (body_of(top_logprobs=3)["logprobs"], body_of(top_logprobs=3)["top_logprobs"]) == (True, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"presence_penalty": 2.5}, "presence_penalty must be between -2 and 2, got 2.5"),
        ({"frequency_penalty": float("nan")}, "frequency_penalty must be between -2 and 2"),
        ({"presence_penalty": "1"}, "presence_penalty must be a float, not str"),
        ({"top_logprobs": 21}, "top_logprobs must be between 0 and 20, got 21"),
        ({"top_logprobs": -1}, "top_logprobs must be between 0 and 20, got -1"),
        ({"logprobs": 1}, "logprobs must be a bool, not int"),
        ({"logit_bias": [5]}, "logit_bias must be a dict, not list"),
        ({"logit_bias": {5: 101}}, "logit_bias of token 5 must be between -100 and 100, got 101"),
        ({"logit_bias": {5: "1"}}, r"logit_bias\[5\] must be a float, not str"),
        ({"logit_bias": {-5: 1}}, "logit_bias must have numbers of tokens or texts, not -5"),
        ({"logit_bias": {True: 1}}, "logit_bias must have numbers of tokens or texts, not True"),
        ({"logit_bias": {"": 1}}, "logit_bias must not have an empty text"),
        ({"logit_bias": {"hi": 1}}, "which token the text 'hi' is: give the token's number"),
        ({"logit_bias": dict.fromkeys(range(4097), 1)}, "logit_bias must not have more than 4096 tokens, got 4097"),
    ],
)
def test_a_wrong_setting_is_named(options, message):
    with pytest.raises(InvalidParamError, match=message):
        Agent(ScriptedModel([]), **options)
    agent = Agent(ScriptedModel(["fine"]))
    with pytest.raises(InvalidParamError, match=message):
        agent.generate("Hi", **options)
    assert agent.generate("Hi") == "fine"


def test_a_saved_agent_keeps_its_biases(tmp_path):
    model = ScriptedModel([])
    Agent(model, logit_bias={5: 1.5, 7: -100}, presence_penalty=0.5).save(tmp_path / "agent")
    loaded = Agent.load(tmp_path / "agent", model)
    assert loaded._parts.settings.logit_bias == {5: 1.5, 7: -100}
    assert loaded._parts.settings.presence_penalty == 0.5


def entry(token, logprob=-0.5, top=(), **fields):
    others = [{"token": text, "logprob": value} for text, value in top]
    return {"token": token, "logprob": logprob, "top_logprobs": others, **fields}


def chunk(text, entries, finish=None):
    choice = {"index": 0, "delta": {"content": text} if text else {}, "finish_reason": finish}
    return {"choices": [{**choice, "logprobs": None if entries is None else {"content": entries}}]}


def test_a_servers_probabilities_are_reported(api, remote):
    answer = [
        chunk("Hel", [entry("Hel", -0.25, [("Hel", -0.25), ("By", -2)], bytes=[72, 101, 108], id=3)]),
        chunk("lo", [entry("lo", -1.5), entry("x"), {"token": 5}, "odd", entry("y", bytes=[300])]),
        chunk("", [entry("!", -3)]),
        chunk("", None, "stop"),
    ]
    agent, _ = remote(events(*answer), agent={"top_logprobs": 2})
    got = api.events(agent, "Hi")
    response = got[-1].response
    assert [each.text for each in response.logprobs] == ["Hel", "lo", "x", "y", "!"]
    first = response.logprobs[0]
    assert (first.logprob, first.id, first.bytes) == (-0.25, 3, [72, 101, 108])
    assert [(each.text, each.logprob, each.id) for each in first.top] == [("Hel", -0.25, None), ("By", -2, None)]
    assert response.logprobs[1].bytes == [108, 111]
    streamed = [each for event in got if event.type == "text" for each in event.logprobs]
    assert streamed == response.logprobs[: len(streamed)]
    assert len(streamed) >= 4


def test_probabilities_that_nobody_asked_for_are_dropped(api, remote):
    agent, _ = remote(events(chunk("Hi", [entry("Hi")]), chunk("", None, "stop")))
    assert api.response(agent, "Hi").logprobs == []
