"""Chat templates that nest, loop, recurse or fill the memory, at once or only once a message has a certain text."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SAMPLE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
)
IF_BOOM = "{% if 'boom' in messages[-1].content %}"

# The beginning and the end of a level, around an inside.
CONSTRUCTS = {
    "if": ("{% if 1 %}", "{% endif %}"),
    "else": ("{% if 0 %}{% else %}", "{% endif %}"),
    "elif": ("{% if 0 %}{% elif 0 %}", "{% endif %}"),
    "for": ("{% for a in [1] %}", "{% endfor %}"),
    "macro": ("{% macro f() %}", "{% endmacro %}"),
    "call": ("{% call f() %}", "{% endcall %}"),
    "set": ("{% set a %}", "{% endset %}"),
    "filter": ("{% filter upper %}", "{% endfilter %}"),
    "parentheses": ("{{ (", ") }}"),
    "lists": ("{{ [", "] }}"),
    "objects": ("{{ {'a': ", "} }}"),
    "members": ("{{ a[", "] }}"),
    "calls": ("{{ f(", ") }}"),
}
# Texts before and behind an expression that make it one level deeper.
CHAINS = {
    "or": ("", " or 0"),
    "and": ("", " and 1"),
    "not": ("not ", ""),
    "minus": ("-", ""),
    "plus": ("", " + 1"),
    "times": ("", " * 1"),
    "tilde": ("", " ~ 1"),
    "less": ("", " < 1"),
    "in": ("", " in [1]"),
    "is": ("", " is defined"),
    "filter": ("", "|string"),
    "dot": ("", ".a"),
    "item": ("", "[0]"),
    "call": ("", "()"),
    "ternary": ("", " if 1 else 1"),
}


def nested(name, depth, closed=True):
    """Return a template that nests a construct, or an expression that is `depth` levels deep."""
    if name in CONSTRUCTS:
        begin, end = CONSTRUCTS[name]
        inner, outer = (begin[3:], end[:-3]) if begin.startswith("{{") else (begin, end)
        text = inner * depth + "1" + (outer * depth if closed else "")
        return "{{ " + text + " }}" if begin.startswith("{{") else text
    before, behind = CHAINS[name.partition("-")[2]]
    return "{{ " + before * depth + "1" + behind * depth + " }}"


# Each does its mischief only with "boom" in the message, which no trial with another message shows.
MISCHIEF = {
    "loops": "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
    "range": "{{ range(1000000000)|length }}",
    "recursion": "{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}",
    "recursion through call": "{% macro f(n) %}{% call f(n) %}{% endcall %}{% endmacro %}{{ f(0) }}",
    "recursion through filter": "{% macro f() %}{% filter upper %}{{ f() }}{% endfilter %}{% endmacro %}{{ f() }}",
    "doubled text": "{% set n = namespace(a='x') %}{% for i in range(60) %}{% set n.a = n.a ~ n.a %}{% endfor %}",
    "doubled list": "{% set n = namespace(a=[1]) %}{% for i in range(60) %}{% set n.a = n.a + n.a %}{% endfor %}",
    "shared list": "{% set n = namespace(a=['x']) %}{% for i in range(60) %}{% set n.a = [n.a, n.a] %}{% endfor %}"
    "{{ n.a|tojson }}",
    "deep list": "{% set n = namespace(a=[]) %}{% for i in range(4000) %}{% set n.a = [n.a] %}{% endfor %}{{ n.a }}",
    "deep object": "{% set n = namespace(a=1) %}{% for i in range(4000) %}{% set n.a = {'a': n.a} %}{% endfor %}"
    "{{ n.a|tojson }}",
    "deep tuple as a key": "{% set n = namespace(a=(1, 2)) %}{% for i in range(4000) %}{% set n.a = (n.a, 1) %}"
    "{% endfor %}{{ {n.a: 1} }}",
    "a list in itself": "{% set a = [] %}{% set b = a.append(a) %}{{ a }}",
    "an object in itself": "{% set n = namespace() %}{% set n.a = [n] %}{{ n }}",
    "a repeated text": "{{ 'abc' * 1000000000 }}",
    "a repeated empty text": "{{ '' * 100000000000 }}",
    "indent": "{{ 'a'|indent(1000000000000) }}",
    "indented JSON": "{{ [[1]]|tojson(indent=2000000000) }}",
    "replace": "{{ ('a' * 100000)|replace('a', 'b' * 100000) }}",
    "a search": "{{ ('a' * 500000 ~ 'b') in ('a' * 1000000) }}",
    "split": "{{ ('a ' * 300000).split(' ')|length }}",
    "division by zero": "{{ 1 is divisibleby(0) }}",
    "division overflow": "{{ (0 - 9223372036854775807 - 1) is divisibleby(-1) }}",
    "no order": "{% set z = 0 / 0 %}{% set n = namespace(l=[]) %}{% for i in range(300) %}"
    "{% set n.l = n.l + [z, i, 0 - i] %}{% endfor %}{{ n.l|sort|length }}",
}

CHILD = """
import json, sys, time
from luup_agent import Agent, ChatTemplateError, Model, RunTimeoutError

for name, template, message in json.load(open(sys.argv[2], encoding="utf-8")):
    begin = time.monotonic()
    try:
        with Model.from_local(sys.argv[1], threads=1, context_size=512, chat_template=template) as model:
            loaded = time.monotonic()
            Agent(model, max_tokens=2).generate(message, timeout=3)
        outcome = "answer"
    except (ChatTemplateError, RunTimeoutError) as error:
        outcome = type(error).__name__
    except Exception as error:
        outcome = f"{type(error).__name__}: {error}"
    print(json.dumps([name, outcome, time.monotonic() - begin]), flush=True)
print("alive")
"""
FINE = ("answer", "ChatTemplateError", "RunTimeoutError")
SECONDS = 12  # on a busy machine; a template may take 3 s


@pytest.fixture
def outcomes(child, tiny_path, tmp_path):
    """Loads the model with each of some templates and asks it once, all in one process; returns the outcome."""

    def run(cases):
        path = tmp_path / "templates.json"
        path.write_text(json.dumps(cases), encoding="utf-8")
        result = child(CHILD, tiny_path, path, timeout=30 + SECONDS * len(cases))
        assert result.returncode == 0, f"{result.stdout[-300:]}\n{result.stderr[-600:]}"
        *lines, last = result.stdout.splitlines()
        assert last == "alive"
        seen = {name: (outcome, seconds) for name, outcome, seconds in map(json.loads, lines)}
        assert [name for name, _, _ in cases] == list(seen)
        wrong = {name: found for name, found in seen.items() if found[0] not in FINE or found[1] > SECONDS}
        assert not wrong
        return {name: outcome for name, (outcome, _) in seen.items()}

    return run


@pytest.mark.gate
def test_ten_levels_work_and_twelve_thousand_are_an_error(outcomes):
    names = [*CONSTRUCTS, *(f"chain-{name}" for name in CHAINS)]
    depths = (10, 12000)
    found = outcomes([[f"{name} {depth}", nested(name, depth) + SAMPLE, "hi"] for name in names for depth in depths])
    assert not [key for key, outcome in found.items() if key.endswith(" 12000") and outcome != "ChatTemplateError"]
    broken = {
        "macro",
        "call",
        "members",
        "calls",
        *(f"chain-{name}" for name in ("is", "call", "in", "less", "tilde", "dot", "item")),
    }
    fine = [f"{name} 10" for name in names if name not in broken]
    assert [key for key in fine if found[key] != "answer"] == []


@pytest.mark.gate
def test_what_starts_with_a_certain_text_ends_in_an_error(outcomes):
    found = outcomes([[name, IF_BOOM + text + "{% endif %}" + SAMPLE, "boom"] for name, text in MISCHIEF.items()])
    harmless = {"a search", "split", "no order", "division overflow"}
    assert {name for name, outcome in found.items() if outcome == "answer"} <= harmless
    found = outcomes([[name, IF_BOOM + text + "{% endif %}" + SAMPLE, "hi"] for name, text in MISCHIEF.items()])
    assert set(found.values()) == {"answer"}


PIECES = [*CONSTRUCTS, *(f"chain-{name}" for name in CHAINS)]
TEMPLATES = st.tuples(
    st.lists(
        st.tuples(
            st.sampled_from(PIECES),
            st.one_of(st.integers(1, 60), st.sampled_from([300, 1000, 10_000])),
            st.booleans(),
        ),
        min_size=1,
        max_size=3,
    ),
    st.sampled_from(["", *MISCHIEF]),
    st.integers(0, 20_000),
)


@pytest.mark.slow
@settings(max_examples=3, suppress_health_check=list(HealthCheck))
@given(batch=st.lists(TEMPLATES, min_size=12, max_size=12))
@pytest.mark.gate
def test_any_nesting_and_any_length_of_text(outcomes, batch):
    cases = []
    for index, (pieces, mischief, length) in enumerate(batch):
        text = "".join(nested(*piece) for piece in pieces) + MISCHIEF.get(mischief, "")
        cases.append([str(index), IF_BOOM + text + "{% endif %}" + SAMPLE, "boom " + "x" * length])
    outcomes(cases)


RECURSE = (
    "{% macro f(n) %}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(messages[-1].content|length) }}" + SAMPLE
)


def test_recursion_as_deep_as_the_message_is_long(outcomes):
    found = outcomes([[str(length), RECURSE, "x" * length] for length in (10, 20_000)])
    assert found == {"10": "answer", "20000": "ChatTemplateError"}
