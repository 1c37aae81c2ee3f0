"""Run hostile schemas on the model of the first argument, and print how each run ends."""

import json
import sys

from luup_agent import Agent, LuupError, Model, _native


def nested(depth, key="items"):
    schema = {"type": "integer"}
    for _ in range(depth):
        schema = {key: schema} if key in ("items", "not") else {key: [schema, {"type": "null"}]}
    return schema


def doubled(levels):
    defs = {f"d{levels}": {"type": "null"}}
    for i in range(levels):
        deeper = {"$ref": f"#/$defs/d{i + 1}"}
        defs[f"d{i}"] = {"anyOf": [deeper, {"items": deeper}]}
    return {"$ref": "#/$defs/d0", "$defs": defs}


def crossed(n):
    def one(i, j):
        return {"properties": {f"p{i}": {"const": j}}, "required": [f"p{i}"]}

    return {"allOf": [{"oneOf": [one(i, j) for j in range(n)]} for i in range(n)]}


PATTERNS = (
    "^(a+)+$",
    "(a|a)*b",
    "(.*)*x",
    "^(([a-z])+.)+[A-Z]([a-z])+$",
    "a{1000}{1000}",
    "^(?=.*a)(?=.*b).{5,9}$",
    r"(x)\1",
    "(" * 200 + ")" * 200,
    "[" * 50,
    "^[^\\u0000-\\uffff]$",
    ".{0,5000}a.{0,5000}",
    "^((((a?){9}){9}){9}){9}$",
    "(?<!a)b",
    "^$|^\\u{1F600}+$",
)
schemas = {
    "deep": nested(60),
    "too deep": nested(500),
    "far too deep": nested(20_000),
    "deep anyOf": nested(60, "anyOf"),
    "deep allOf": nested(60, "allOf"),
    "deep not": nested(61, "not"),
    "wide": {"type": "object", "properties": {f"p{i}": {"type": "integer"} for i in range(3000)}},
    "wide and required": {
        "properties": {f"p{i}": {"const": i} for i in range(300)},
        "required": [f"p{i}" for i in range(300)],
    },
    "wide anyOf": {"anyOf": [{"const": f"c{i}"} for i in range(5000)]},
    "circle": {"$ref": "#"},
    "circle of two": {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
    "circle in allOf": {"allOf": [{"$ref": "#"}]},
    "endless": {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
    "endless list": {"type": "array", "items": {"$ref": "#"}, "minItems": 1},
    "doubled": doubled(12),
    "doubled often": doubled(60),
    "crossed": crossed(5),
    "much crossed": crossed(12),
    "large enum": {"enum": [f"value {i}" for i in range(4000)]},
    "too large enum": {"enum": list(range(200_000))},
    "long enum": {"enum": ["x" * 1_000_000]},
    "deep const": {"const": json.loads("[" * 200 + "]" * 200)},
    "many items": {"type": "array", "items": {"type": "null"}, "minItems": 9_000, "maxItems": 9_001},
    "too many items": {"type": "array", "minItems": 10**9},
    "long": {"type": "string", "minLength": 3000, "maxLength": 3001},
    "far too long": {"type": "string", "minLength": 10**12},
    "unique": {"items": {"enum": [1, 2]}, "minItems": 3, "uniqueItems": True, "type": "array"},
    "no number": {"type": "integer", "minimum": 0.1, "maximum": 0.9},
    "narrow": {"type": "number", "minimum": 1e-300, "maximum": 2e-300},
    "multiples": {"type": "number", "multipleOf": 1e-7, "minimum": 0, "maximum": 1e9},
    **{f"pattern {pattern[:24]}": {"type": "string", "pattern": pattern} for pattern in PATTERNS},
    "names": {"type": "object", "propertyNames": {"pattern": "^(a+)+$"}, "minProperties": 4},
    "unevaluated": {
        "allOf": [{"properties": {"a": True}}, {"patternProperties": {"^b": {"type": "null"}}}],
        "unevaluatedProperties": False,
    },
    "text": "not a schema",
    "list": [],
    "null": None,
    "number": 7,
    "nonsense": {"type": ["strange"], "enum": 3},
}
model = Model.from_local(sys.argv[1], threads=1)
agent = Agent(model, temperature=1.0, max_tokens=200, timeout=20, enable_history=False)
for name, schema in schemas.items():
    try:
        text = schema if isinstance(schema, str) else json.dumps(schema)
    except RecursionError:
        text = '{"items":' * 20_000 + "{}" + "}" * 20_000
    try:
        _native.check_schema(text)
        run = _native.NativeRun()
        run.start(
            agent._parts.handle.native,
            agent._parts.settings,
            _native.RunRequest("Go on.", None, _native.OutputRequest("schema", text)),
        )
        kind = 0
        while kind not in (_native.EVENT_DONE, _native.EVENT_ERROR):
            kind = run.next(-1)
            if kind == _native.EVENT_OUTPUT:
                run.review(None)
        ended = "done" if kind == _native.EVENT_DONE else type(run.error("")).__name__
        run.close()
    except LuupError as error:
        ended = type(error).__name__
        ended = ended if str(error) else "without a message"
    print(name.replace(" ", "_"), ended, flush=True)
