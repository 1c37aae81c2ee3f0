"""Is a list of calls what a question of the Berkeley Function Calling Leaderboard accepts?

The rules of its AST checker, for Python: https://gorilla.cs.berkeley.edu/leaderboard.html. An accepted answer gives the
values that count as right for each argument; "" among them means that the argument may be left out.
"""

import re

TYPES = {
    "string": str,
    "integer": int,
    "float": float,
    "boolean": bool,
    "array": list,
    "tuple": list,
    "dict": dict,
    "any": str,
}
IGNORED = re.compile(r"[ ,./\-_*^]")


def tool_name(name):
    """The name that a function goes by: dots are not allowed in the names of tools."""
    return name.replace(".", "_")


def matches(functions, calls, accepted):
    """Whether `calls`, pairs of name and arguments, are the `accepted` ones, in any order.

    `accepted` None: the question is one that no function answers, and no call is right.
    """
    if accepted is None:
        return not calls
    if len(calls) != len(accepted):
        return False
    described = {tool_name(function["name"]): function for function in functions}
    left = list(calls)
    for expected in accepted:
        ((name, arguments),) = expected.items()
        name = tool_name(name)
        found = next((call for call in left if call[0] == name and _call(described[name], call[1], arguments)), None)
        if found is None:
            return False
        left.remove(found)
    return True


def _call(function, arguments, accepted):
    parameters = function["parameters"]
    properties = parameters["properties"]
    if any(name not in arguments for name in parameters.get("required", [])):
        return False
    if any(name not in arguments and "" not in values for name, values in accepted.items()):
        return False
    return all(
        name in properties and name in accepted and _argument(properties[name], value, accepted[name])
        for name, value in arguments.items()
    )


def _argument(schema, value, accepted):
    kind = TYPES[schema["type"]]
    items = TYPES[schema["items"]["type"]] if schema["type"] in ("array", "tuple") else None
    if schema["type"] == "float" and type(value) is int:
        value = float(value)
    expected = _first_type(accepted)
    if type(value) is kind and (items is None or _items_fit(value, items, accepted)):
        named = expected is not None and expected is not kind  # a variable's name stands for the value
    elif expected is not None and type(value) is expected and type(value) is not kind:
        named = True
    else:
        return False
    if named:
        return value in accepted
    if kind is dict:
        return any(_dict(value, candidate) for candidate in accepted if candidate != "")
    if kind is list and items is dict:
        return any(_dicts(value, candidate) for candidate in accepted)
    if kind is str:
        return _plain(value) in [_plain(candidate) for candidate in accepted if isinstance(candidate, str)]
    if kind is list:
        return [_plain(item) for item in value] in [[_plain(item) for item in candidate] for candidate in accepted]
    return value in accepted


def _first_type(accepted):
    return next((type(candidate) for candidate in accepted if candidate != ""), None)


def _items_fit(value, kind, accepted):
    """Whether every item is of its type, or of the type that an accepted list has."""
    return any(
        all(type(item) is kind or type(item) is _first_type(candidate) for item in value)
        for candidate in accepted
        if isinstance(candidate, list)
    )


def _dict(value, accepted):
    if any(name not in accepted for name in value):
        return False
    if any(_plain(one) not in [_plain(candidate) for candidate in accepted[name]] for name, one in value.items()):
        return False
    return all(name in value or "" in candidates for name, candidates in accepted.items())


def _dicts(value, accepted):
    return len(value) == len(accepted) and all(
        isinstance(one, dict) and _dict(one, candidate) for one, candidate in zip(value, accepted)
    )


def _plain(value):
    """Strings count as equal without case, blanks and punctuation."""
    return IGNORED.sub("", value).lower().replace("'", '"') if isinstance(value, str) else value
