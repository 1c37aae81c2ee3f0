"""The type zoo: the types and configurations that pydantic documents, and the outcome of each as a typed result.

`docs/TYPES.md` is made of this table, and tests show that it is true: what a model with random weights writes for a
type at a temperature of 100 is valid, or the type is refused when it is declared, with the reason.
"""

from support.zoo import classes, configured, constraints, pydantic_types, standard
from support.zoo.entry import Entry, combined

__all__ = ["ENTRIES", "GROUPS", "Entry", "page"]

GROUPS = {
    "Standard library": standard.SCALARS,
    "Enumerations and literals": standard.CHOICES,
    "Containers": standard.CONTAINERS,
    "Constraints": constraints.CONSTRAINTS,
    "Pydantic's types": pydantic_types.TYPES,
    "URLs and DSNs": pydantic_types.URLS,
    "Unions": classes.UNIONS,
    "Models": classes.MODELS,
    "Fields and aliases": classes.FIELDS,
    "Validators": classes.VALIDATORS,
    "Configurations": configured.CONFIGURATIONS,
    "Dataclasses, typed dicts, named tuples": configured.OTHERS,
    "Generic and recursive types": classes.GENERICS,
}
_TITLES = {entry.title for entries in GROUPS.values() for entry in entries}
_BASES = [entry for name in ("Standard library", "Pydantic's types", "URLs and DSNs") for entry in GROUPS[name]]
GROUPS["Combinations"] = [entry for entry in combined(_BASES) if entry.title not in _TITLES]

ENTRIES = [entry for entries in GROUPS.values() for entry in entries]

_INTRODUCTION = """# Types of typed results

`output_type` takes every type that pydantic can read from JSON, and so do the parameters of tools. Each type below is
either **valid**: whatever the model writes can be read as the type, even at a temperature of 100; or it is **refused**
with `InvalidSchemaError` when you declare it, and the error contains the words in the table. A test declares all of
them and lets a model with random weights write values.

The model gets the words of your own validators when they reject a value, and tries again (`retries`).
[JSON_SCHEMA.md](JSON_SCHEMA.md) says how schemas are enforced.

This page is made of the test's table: `PYTHONPATH=tests python -m support.zoo > docs/TYPES.md`.
"""


def page() -> str:
    """Return the text of `docs/TYPES.md`."""
    parts = [_INTRODUCTION]
    for name, entries in GROUPS.items():
        parts.append(f"\n## {name}\n\n| type | result |\n|---|---|\n")
        parts += [_row(entry) for entry in entries]
    return "".join(parts)


def _row(entry: Entry) -> str:
    title = entry.title.replace("|", "\\|")
    result = "valid" if entry.refused is None or entry.note else f"refused: “{entry.refused}”"
    return f"| `{title}` | {result}{f' ({entry.note})' if entry.note else ''} |\n"
