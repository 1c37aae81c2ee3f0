"""Names of an object, and items where `uniqueItems` is set, are unique; an answer ends where none are left."""

import json

import pytest

from luup_agent import Agent, _native

jsonschema = pytest.importorskip("jsonschema")


def unique(items, **more):
    return {"type": "array", "items": items, "uniqueItems": True, **more}


def named(names, **more):
    return {"type": "object", "propertyNames": names, "additionalProperties": {"type": "null"}, **more}


def closed(**properties):
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


BOOL, LETTER = {"type": "boolean"}, {"enum": ["x", "y"]}
SCHEMAS = {
    "one character": unique({"type": "string", "maxLength": 1}, minItems=6),
    "pattern": unique({"type": "string", "pattern": "^[ab]$"}),
    "the whole pattern": unique({"type": "string", "pattern": "^[ab]$"}, minItems=2),
    "integers": unique({"type": "integer", "minimum": 0, "maximum": 9}, minItems=7),
    "multiples": unique({"type": "number", "multipleOf": 0.5, "minimum": 0, "maximum": 2}, minItems=3),
    "enum": unique({"enum": ["aa", "ab", "b", 1, None]}, minItems=3),
    "dates": unique({"type": "string", "format": "date"}, minItems=4),
    "lists": unique({"type": "array", "items": {"enum": ["x", "xy", 1]}, "maxItems": 2}, minItems=9),
    "objects": unique(closed(a=BOOL)),
    "all objects": unique(closed(a=BOOL, b=LETTER), minItems=4),
    "short names": named({"maxLength": 1}, minProperties=5),
    "names of a pattern": named({"pattern": "^[ab]{1,2}$"}, minProperties=4),
    "names of an enum": named({"enum": ["a", "ab", "b"]}),
    "properties of a pattern": {
        "type": "object",
        "patternProperties": {"^[ab]$": {"type": "null"}},
        "additionalProperties": False,
    },
    "declared and others": named({"maxLength": 1}, properties={"a": {"type": "null"}, "b": {"type": "null"}}),
}


def without_repeats(pairs):
    assert len({name for name, _ in pairs}) == len(pairs), pairs
    return dict(pairs)


@pytest.mark.parametrize("name", SCHEMAS)
def test_an_answer_finds_its_end(tiny_model, name):
    agent = Agent(
        tiny_model, temperature=1.0, top_k=100, top_p=1.0, min_p=0.0, max_tokens=1000, retries=0, enable_history=False
    )
    judge = jsonschema.Draft202012Validator(SCHEMAS[name])
    request = _native.RunRequest("Go on.", None, _native.OutputRequest("schema", json.dumps(SCHEMAS[name])))
    runs = [(_native.NativeRun(), agent._parts.settings._replace(seed=seed)) for seed in range(20)]
    for run, settings in runs:
        run.start(agent._parts.handle.native, settings, request)
    for run, _ in runs:
        kind = _native.EVENT_NONE
        while kind != _native.EVENT_DONE:
            kind = run.next(-1)
            assert kind != _native.EVENT_ERROR, run.text()
            if kind == _native.EVENT_OUTPUT:
                assert judge.is_valid(json.loads(run.text(), object_pairs_hook=without_repeats)), run.text()
                run.review(None)
        run.close()
