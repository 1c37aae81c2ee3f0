"""KV caches of other types than F16: what they take, what they answer, and that no state of another type is read."""

import itertools
import logging
import sys
import threading
from typing import List

import pytest
from pydantic import BaseModel
from support import random_model
from support.reference import QUESTIONS, TOKENS, check_answers, reference_steps

from luup_agent import Agent, InvalidParamError, Model

pytestmark = pytest.mark.slow  # the core's numbers are the same with every Python

BITS = {"f32": 32, "f16": 16, "bf16": 16, "q8_0": 8.5, "q5_1": 6, "q5_0": 5.5, "q4_1": 5, "q4_0": 4.5, "iq4_nl": 4.5}
PAIRS = [("q8_0", "f16"), ("f16", "q4_0"), ("bf16", "q5_1"), ("iq4_nl", "f32")]
QUANTIZED = [name for name, bits in BITS.items() if bits < 16]
SYSTEM = "You are a careful assistant. You answer in plain English and never use more words than are needed. " * 6


@pytest.fixture(scope="session")
def head_path(model_path, tmp_path_factory):
    """A tiny model whose head is as large as a block of quantized numbers."""
    gguf = pytest.importorskip("gguf")
    path = tmp_path_factory.mktemp("head") / "head.gguf"
    random_model.write(gguf, pytest.importorskip("numpy"), model_path, path, heads=1)
    return path


@pytest.fixture
def load(head_path):
    opened = []

    def load(cache_type="q8_0", **options):
        opened.append(Model.from_local(head_path, threads=1, cache_type=cache_type, **options))
        return opened[-1]

    yield load
    for model in opened:
        model.close()


# ---------------------------------------------------------------------------------------------------------------------
# Memory
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.gate
def test_each_type_takes_the_bits_of_its_blocks(head_path):
    sizes = {}
    for types in [*BITS, *PAIRS]:
        estimate = Model.estimate(head_path, context_size=2048, cache_type=types)
        sizes[types] = estimate.memory_context
    numbers = 2048 * random_model.WIDTH  # of keys or values, in one layer
    for types, size in sizes.items():
        keys, values = (types, types) if isinstance(types, str) else types
        assert size == numbers * (BITS[keys] + BITS[values]) / 8, types


@pytest.mark.parametrize("cache_type", ["f16", "q8_0", ("q8_0", "q4_0")])
def test_the_model_tells_it_and_takes_what_was_estimated(model_path, cache_type):
    options = {"cache_type": cache_type, "context_size": 2048}
    with Model.from_local(model_path, threads=1, **options) as model:
        info = model.get_info()
    keys, values = (cache_type, cache_type) if isinstance(cache_type, str) else cache_type
    assert (info.cache_type_k, info.cache_type_v) == (keys, values)
    assert info.memory_context == Model.estimate(model_path, **options).memory_context


@pytest.mark.gate
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_half_of_the_resident_memory_and_none_for_tokens_that_are_not_there(model_path, child):
    script = """
        import sys
        from luup_agent import Agent, Model

        def resident():
            return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon"))

        with Model.from_local(sys.argv[1], threads=2, context_size=32768, max_sequences=1, cache_type=sys.argv[2]) as m:
            agent = Agent(m, temperature=0, max_tokens=1)
            agent.generate("one " * 300)
            few = resident()
            agent.generate("two " * 900)
            print(few, resident(), m.stats().context_used)
    """
    cache = Model.estimate(model_path, context_size=32768, max_sequences=1).memory_context
    grown = {}
    for cache_type in ("f16", "q8_0"):
        result = child(script, model_path, cache_type)
        assert result.returncode == 0, result.stderr
        few, many, _tokens = map(int, result.stdout.split())
        assert many * 1024 < cache / 3, "memory for the whole context"
        grown[cache_type] = (many - few) * 1024 / 900
    print(f"bytes of a token: {grown}; F16 alone: {cache / 32768:.0f}")
    saved = grown["f16"] - grown["q8_0"]  # scratch buffers grow as well, in both
    assert saved == pytest.approx(cache / 32768 * (1 - 8.5 / 16), rel=0.15)


# ---------------------------------------------------------------------------------------------------------------------
# Answers
# ---------------------------------------------------------------------------------------------------------------------


GATE_TYPES = [
    pytest.param(("q8_0", "q4_0"), marks=pytest.mark.gate),
    pytest.param(("bf16", "bf16"), marks=pytest.mark.gate),
]


@pytest.mark.gate
@pytest.mark.parametrize("types", [("q8_0", "q8_0"), *GATE_TYPES], ids="-".join)
def test_the_answers_are_llama_cpps_with_the_same_types(model, model_path, tool, types):
    steps = reference_steps(tool("luup-reference"), model_path, model, QUESTIONS, *types)
    with Model.from_local(model_path, threads=1, cache_type=types) as typed:
        answers = [Agent(typed, temperature=0, max_tokens=TOKENS).generate(question) for question in QUESTIONS]
    check_answers(model, QUESTIONS, answers, steps, least=18)


@pytest.mark.gate
def test_eight_bits_answer_as_sixteen(model, model_path, tool):
    """Alone and in company."""
    steps = reference_steps(tool("luup-reference"), model_path, model, QUESTIONS)
    answers = {}
    with Model.from_local(model_path, threads=1, cache_type="q8_0") as typed:

        def answer(question):
            answers[question] = Agent(typed, temperature=0, max_tokens=TOKENS).generate(question)

        for question in QUESTIONS:
            answer(question)
        check_answers(model, QUESTIONS, [answers.pop(question) for question in QUESTIONS], steps, least=10)
        threads = [threading.Thread(target=answer, args=(question,)) for question in QUESTIONS]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    check_answers(model, QUESTIONS, [answers[question] for question in QUESTIONS], steps, least=10)


def check_decoding(head_path, kinds):
    for types in kinds:
        with Model.from_local(head_path, threads=1, context_size=512, cache_type=types) as model:
            response = Agent(model, temperature=0, max_tokens=4).run("Hello")
        assert response.usage.completion_tokens == 4, types


@pytest.mark.gate
def test_every_type_decodes(head_path):
    check_decoding(head_path, [*BITS, *PAIRS])


@pytest.mark.gate
def test_every_pair_of_types_decodes(head_path):
    check_decoding(head_path, itertools.product(BITS, BITS))


class Movie(BaseModel):
    title: str
    cast: List[str]


@pytest.mark.parametrize("cache_type", ["q8_0", "q4_0"])
def test_drafts_and_dictated_texts_do_not_change_the_answers(load, cache_type):
    model = load(cache_type)
    ask = Agent(model, temperature=0, max_tokens=150, enable_history=False)
    plain = ask.generate("Once upon a time there was a fox.", prompt_lookup=False)
    for _ in range(20):  # whether drafts pay is measured: a busy machine may leave them out for a while
        assert ask.generate("Once upon a time there was a fox.") == plain
        if model.stats().drafts_accepted:
            break
    assert model.stats().drafts_accepted > 0
    movies = [ask.generate("A movie", output_type=Movie, jump_forward=jump) for jump in (True, False)]
    assert movies[0] == movies[1]


# ---------------------------------------------------------------------------------------------------------------------
# States that leave the context
# ---------------------------------------------------------------------------------------------------------------------


def test_what_leaves_the_context_comes_back(load):
    answers = {}
    for context_size in (16384, 1024):
        model = load(context_size=context_size, max_sequences=16)
        agents = [Agent(model, SYSTEM, temperature=0, max_tokens=8) for _ in range(12)]
        answers[context_size] = [
            agent.generate(f"{text} {index} " + f"word{index} " * 40)
            for text in ("First", "Second")
            for index, agent in enumerate(agents)
        ]
        assert (model.stats().restored > 0) == (context_size == 1024)
    same = sum(map(str.__eq__, answers[16384], answers[1024]))
    assert same >= 0.9 * len(answers[1024])  # near ties fall otherwise with another batch


def test_forks_share_the_cache(load):
    model = load()
    agent = Agent(model, SYSTEM, temperature=0, max_tokens=8)
    agent.run("My name is Ada.")
    used = model.stats().context_used
    forks = [agent.fork() for _ in range(4)]
    answers = [fork.run("What is my name?") for fork in forks]
    assert len({answer.text for answer in answers}) == 1
    assert all(answer.usage.cached_tokens >= used - 16 for answer in answers)


@pytest.mark.gate
def test_prefixes_on_the_disk_are_those_of_the_type(load, tmp_path):
    folder = tmp_path / "prefixes"
    kinds = ["f16", "q8_0", ("q8_0", "f16"), ("f16", "q8_0")]
    answers = []
    for visit in range(2):
        for loaded, kind in enumerate(kinds):
            with load(kind, prefix_cache=folder) as model:
                answers.append(Agent(model, SYSTEM, temperature=0, max_tokens=12).generate("Hello!"))
                assert model.stats().prefixes_loaded == visit
            assert len(list(folder.iterdir())) == (len(kinds) if visit else loaded + 1)
    assert answers[: len(kinds)] == answers[len(kinds) :]


@pytest.mark.parametrize("other", ["f16", "q4_0", ("q8_0", "f16")])
def test_a_saved_agent_of_another_type_is_computed_again(load, tmp_path, caplog, other):
    agent = Agent(load("q8_0"), SYSTEM, temperature=0, max_tokens=8)
    agent.run("My name is Ada.")
    agent.save(tmp_path / "ada.agent")
    expected = agent.run("What is my name?")
    warm = Agent.load(tmp_path / "ada.agent", load("q8_0")).run("What is my name?")
    assert (warm.text, warm.usage.cached_tokens) == (expected.text, expected.usage.cached_tokens)
    with caplog.at_level(logging.INFO, "luup_agent"):
        cold = Agent.load(tmp_path / "ada.agent", load(other))
    assert cold.messages[:3] == agent.messages[:3]
    fresh = Agent(load(other), SYSTEM, temperature=0, max_tokens=8)
    fresh.set_history(cold.get_history())
    answer = cold.run("What is my name?")
    assert answer.usage.cached_tokens == 0
    assert answer.text == fresh.generate("What is my name?")


# ---------------------------------------------------------------------------------------------------------------------
# Refusals
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", [Model.from_local, Model.estimate], ids=["from_local", "estimate"])
@pytest.mark.parametrize(
    ("cache_type", "words"),
    [
        ("q3_k", 'the cache_type of keys must be one of "f32", "f16", .*"iq4_nl", not "q3_k"'),
        ("", 'not ""'),
        (("f16", "Q8_0"), 'the cache_type of values must be one of .*, not "Q8_0"'),
        (("f16",), "one type, or two for keys and values, not 1"),
        (8, "cache_type must be a str, not int"),
        (None, "cache_type must be a str, not NoneType"),
        ("f16\0", "NUL character"),
    ],
)
def test_what_is_no_type(tiny_path, call, cache_type, words):
    with pytest.raises(InvalidParamError, match=words):
        call(tiny_path, cache_type=cache_type)


@pytest.mark.parametrize("call", [Model.from_local, Model.estimate], ids=["from_local", "estimate"])
@pytest.mark.parametrize("name", QUANTIZED)
def test_heads_that_are_no_blocks(tiny_path, call, name):
    words = f'keys can\'t be "{name}" with this model: its heads have 8 numbers, not a multiple of the 32 .* use "f16"'
    with pytest.raises(InvalidParamError, match=words):
        call(tiny_path, cache_type=name)
    with pytest.raises(InvalidParamError, match=words.replace("keys", "values")):
        call(tiny_path, cache_type=("f16", name))


@pytest.mark.parametrize("kind", ["gemma3", "mamba"])
@pytest.mark.parametrize("cache_type", ["f32", "bf16"])
def test_models_of_other_kinds(model_path, tmp_path, kind, cache_type):
    gguf = pytest.importorskip("gguf")
    random_model.write(gguf, pytest.importorskip("numpy"), model_path, tmp_path / "model.gguf", kind=kind)
    with Model.from_local(tmp_path / "model.gguf", threads=1, context_size=512, cache_type=cache_type) as model:
        agent = Agent(model, temperature=0, max_tokens=8)
        assert agent.run("Hello").usage.completion_tokens == 8
        assert agent.run("And then?").usage.completion_tokens == 8


def test_the_state_of_a_recurrent_model_keeps_its_type(model_path, tmp_path):
    gguf = pytest.importorskip("gguf")
    random_model.write(gguf, pytest.importorskip("numpy"), model_path, tmp_path / "model.gguf", kind="mamba")
    sizes = {
        Model.estimate(tmp_path / "model.gguf", context_size=512, cache_type=name).memory_context
        for name in ("f16", "q8_0")
    }
    assert len(sizes) == 1
