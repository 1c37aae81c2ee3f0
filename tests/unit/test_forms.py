"""`Choice`, `Regex`, `Grammar` and `JSONSchema`: what they refuse, and how they are compared."""

import pickle

import pytest

from luup_agent import Agent, Choice, Grammar, InvalidParamError, InvalidSchemaError, JSONSchema, Output, Regex
from luup_agent.testing import ScriptedModel

CITY = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Choice("yes"), "choices must be a list of str, not str"),
        (lambda: Choice(5), "choices must be a list of str, not int"),
        (lambda: Choice([]), "1 to 1,024 texts, not 0"),
        (lambda: Choice(map(str, range(1025))), "1 to 1,024 texts, not 1025"),
        (lambda: Choice(["yes", 5]), r"choices\[1\] must be a str, not int"),
        (lambda: Choice(["yes", ""]), r"choices\[1\] is empty"),
        (lambda: Choice(["a\0"]), r"choices\[0\] has a zero character"),
        (lambda: Choice(["yes", "no", "yes"]), r"choices\[2\] repeats an earlier text: 'yes'"),
        (lambda: Regex(5), "pattern must be a str, not int"),
        (lambda: Grammar(b"root"), "grammar must be a str, not bytes"),
        (lambda: JSONSchema("{}"), "schema must be a dict, not str"),
    ],
)
def test_a_wrong_form_is_refused_when_it_is_made(make, message):
    with pytest.raises(InvalidParamError, match=message):
        make()


@pytest.mark.parametrize(
    ("output_type", "message"),
    [
        (Regex("(a"), r"output_type: the regular expression '\(a' can't be used: "),
        (Regex("(a)\\1"), "back references are not supported"),
        (Regex("(?!a)a"), "it matches no text"),
        (Grammar("root ::= ("), r"grammar, line 1, rule 'root': '\)' is missing"),
        (Grammar('root ::= "a"\nother ::= [a'), "grammar, line 2, rule 'other': the grammar ends inside"),
        (Grammar('root ::= "a"\n  missing'), "grammar, line 2"),
        (Grammar("root ::= other"), "grammar, line 1: the rule 'other' is used but not defined"),
        (Grammar('start ::= "a"'), "there is no rule 'root'"),
        (Grammar('root ::= "a" b\nb ::= c? (d | "x")\nc ::= "y"\nd ::= b "z"'), "the rule 'b' may begin with itself"),
        (Grammar("root ::= <[5]>"), "a token can be named only for a model in this process"),
        ({"type": "strin"}, "output_type: /type: "),
        (JSONSchema({"pattern": "("}), "output_type: /pattern: the regular expression can't be used"),
        ({"a": object()}, "output_type must contain only JSON values"),
    ],
)
def test_a_wrong_form_is_refused_when_it_is_used(output_type, message):
    agent = Agent(ScriptedModel(["fine"]))
    with pytest.raises(InvalidSchemaError, match=message):
        agent.generate("Hi", output_type=output_type)
    with pytest.raises(InvalidSchemaError, match=message):
        Agent(ScriptedModel(["fine"]), output_type=output_type)
    assert agent.generate("Hi") == "fine"


def test_a_form_is_no_part_of_a_union():
    for part in (Regex("a"), CITY):
        with pytest.raises(InvalidParamError, match="output_type must not have a form or a schema among several types"):
            Agent(ScriptedModel([])).generate("Hi", output_type=[int, part])


def test_forms_are_equal_if_they_say_the_same():
    forms = [Choice(["a", "b"]), Choice(["b", "a"]), Regex("a"), Grammar("a"), JSONSchema(CITY)]
    again = [Choice(iter(["a", "b"])), Choice(["b", "a"]), Regex("a"), Grammar("a"), JSONSchema(dict(CITY))]
    assert forms == again
    assert len({*forms, *again}) == len(forms)
    assert [pickle.loads(pickle.dumps(form)) for form in forms] == forms
    assert repr(forms[0]) == "Choice(['a', 'b'])"
    assert repr(forms[2]) == "Regex('a')"
    assert [form.kind for form in forms] == ["choices", "choices", "pattern", "grammar", "schema"]


def test_the_base_has_no_form():
    with pytest.raises(TypeError, match="use Choice, Regex, Grammar or JSONSchema"):
        Output("a")
