"""LoRA adapters: answers are those of merged weights, and runs with different adapters never mix."""

import asyncio
import contextlib
import shutil

import gguf
import numpy
import pytest
from support import random_model

from luup_agent import (
    Agent,
    InvalidParamError,
    MaxTurnsError,
    Model,
    ModelLoadError,
    ModelNotFoundError,
    UnsupportedError,
)
from luup_agent.testing import ScriptedModel

QUESTIONS = ["What is the capital of France?", "Count to ten.", "Say hello to the world, please.", "Why?"]
SETS = [None, "red", "blue", {"red": 0.5}, {"red": 1.0, "blue": -0.75}]
OPTIONS = {"temperature": 0, "max_tokens": 24}
LAYOUT = {"threads": 1, "context_size": 4096}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The files of two adapters, and what each adds to the weights."""
    folder = tmp_path_factory.mktemp("adapters")
    paths = {"red": folder / "red.gguf", "blue": folder / "blue.gguf"}
    added = {
        name: random_model.write_adapter(gguf, numpy, path, seed) for seed, (name, path) in enumerate(paths.items())
    }
    return paths, added


@pytest.fixture(scope="module")
def model(files, tiny_path):
    with Model.from_local(tiny_path, adapters=files[0], **LAYOUT) as loaded:
        yield loaded


def scales(adapter):
    return {} if adapter is None else {adapter: 1.0} if isinstance(adapter, str) else adapter


@pytest.fixture(scope="module")
def merged(files, model_path, tmp_path_factory):
    """The answers of models into whose weights the adapters of each set were added, by the set and the question."""
    answers = []
    for number, adapter in enumerate(SETS):
        added = {}
        for name, scale in scales(adapter).items():
            for tensor, weights in files[1][name].items():
                added[tensor] = added.get(tensor, 0) + scale * weights
        path = tmp_path_factory.mktemp("merged") / f"{number}.gguf"
        random_model.write(gguf, numpy, model_path, path, added=added)
        with Model.from_local(path, **LAYOUT) as loaded:
            answers.append([Agent(loaded, **OPTIONS).generate(question) for question in QUESTIONS])
        path.unlink()
    assert len({tuple(each) for each in answers}) == len(SETS)  # each set changes the answers
    return answers


@pytest.mark.slow
def test_answers_are_those_of_merged_weights(model, merged):
    for adapter, expected in zip(SETS, merged):
        answers = [Agent(model, adapter=adapter, **OPTIONS).generate(question) for question in QUESTIONS]
        assert answers == expected, adapter


@pytest.mark.slow
def test_agents_with_different_adapters_answer_at_once_as_if_alone(model, merged):
    async def answer_all():
        agents = [(Agent(model, adapter=adapter, **OPTIONS), question) for adapter in SETS for question in QUESTIONS]
        return await asyncio.gather(*(agent.generate_async(question) for agent, question in agents))

    for _ in range(3):
        assert asyncio.run(answer_all()) == [answer for each in merged for answer in each]


def test_a_run_may_use_another_adapter(model, merged):
    agent = Agent(model, adapter="red", enable_history=False, **OPTIONS)
    for adapter, expected in [*zip(SETS, merged), *zip(SETS[::-1], merged[::-1])]:
        assert agent.generate(QUESTIONS[0], adapter=adapter) == expected[0]
        assert "".join(agent.generate_stream(QUESTIONS[1], adapter=adapter)) == expected[1]
    assert agent.generate(QUESTIONS[0]) == merged[1][0]


def test_a_scale_of_zero_is_no_adapter(model, merged):
    assert Agent(model, adapter={"red": 0, "blue": 0}, **OPTIONS).generate(QUESTIONS[0]) == merged[0][0]
    assert Agent(model, adapter={}, **OPTIONS).generate(QUESTIONS[0]) == merged[0][0]


def test_a_conversation_and_its_fork_keep_their_tokens_in_the_context(model):
    system = "You are a patient and very careful assistant who answers in full sentences. " * 8
    agent = Agent(model, system, adapter="red", **OPTIONS)
    first = agent.run(QUESTIONS[0])
    for continued in (agent.fork(), agent):
        second = continued.run(QUESTIONS[1])
        assert second.usage.cached_tokens >= first.usage.prompt_tokens - 8
    other = agent.fork().run(QUESTIONS[1], adapter="blue")
    assert other.usage.cached_tokens == 0  # what another adapter computed is of no use


@pytest.mark.gate
@pytest.mark.slow
def test_a_prefix_on_the_disk_serves_its_adapter_only(files, tiny_path, tmp_path):
    system = "You are a patient and very careful assistant who answers in full sentences. " * 12
    answers = []
    for _ in range(2):
        for adapter in SETS:
            with Model.from_local(tiny_path, adapters=files[0], prefix_cache=tmp_path, **LAYOUT) as model:
                answers.append(Agent(model, system, adapter=adapter, **OPTIONS).generate(QUESTIONS[0]))
                loaded = model.stats().prefixes_loaded
            assert loaded == (len(answers) > len(SETS))
    assert answers[: len(SETS)] == answers[len(SETS) :]
    assert len(set(answers)) == len(SETS)


@pytest.mark.slow
@pytest.mark.parametrize("adapter", SETS)
def test_a_saved_agent_continues_where_it_was(model, files, tiny_path, tmp_path, adapter, caplog):
    path = tmp_path / "agent"
    agent = Agent(model, "You are a patient assistant. " * 30, adapter=adapter, **OPTIONS)
    agent.generate(QUESTIONS[0])
    agent.save(path)
    expected = agent.run(QUESTIONS[1])
    with Model.from_local(tiny_path, adapters=files[0], **LAYOUT) as fresh:
        again = Agent.load(path, fresh).run(QUESTIONS[1])
    assert (again.text, again.usage.cached_tokens) == (expected.text, expected.usage.cached_tokens)
    assert not caplog.records


def test_a_saved_agent_needs_its_adapter(model, tiny_path, files, tmp_path, caplog):
    path = tmp_path / "agent"
    agent = Agent(model, "You are a patient assistant. " * 30, adapter="red", **OPTIONS)
    agent.generate(QUESTIONS[0])
    agent.save(path)
    with Model.from_local(tiny_path, **LAYOUT) as without:
        with pytest.raises(InvalidParamError, match='no adapter "red"; it was loaded with none'):
            Agent.load(path, without)
        loaded = Agent.load(path, without, adapter=None)
        assert loaded.run(QUESTIONS[1]).usage.cached_tokens == 0
    with Model.from_local(tiny_path, adapters={"red": files[0]["blue"]}, **LAYOUT) as other:
        assert Agent.load(path, other).run(QUESTIONS[1]).usage.cached_tokens == 0  # another file of this name
    assert "the next run has to prefill the whole conversation" in caplog.text


def test_typed_results_tools_and_labels(model):
    def double(number: int) -> int:
        """Double a number."""
        return 2 * number

    for adapter in SETS:
        agent = Agent(model, adapter=adapter, enable_history=False, temperature=0)
        assert isinstance(agent.generate("Is it true?", output_type=bool), bool)
        assert agent.classify("I like it.", ["good", "bad"]).label in ("good", "bad")
        with pytest.raises(MaxTurnsError) as failure:
            agent.run("Double 4.", tools=[double], tool_choice="required", max_turns=1, max_tokens=200)
        assert failure.value.tool_calls[0].name == "double"


@pytest.mark.slow
def test_cancelled_runs_leave_the_others_right(model, merged):
    async def answer_all():
        tasks = []
        for number in range(4 * len(SETS)):
            agent = Agent(model, adapter=SETS[number % len(SETS)], **OPTIONS)
            tasks.append(asyncio.ensure_future(agent.generate_async(QUESTIONS[0])))
        await asyncio.sleep(0.02)
        for task in tasks[1::2]:
            task.cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    for number, answer in enumerate(asyncio.run(answer_all())):
        assert isinstance(answer, asyncio.CancelledError) or answer == merged[number % len(SETS)][0]


@pytest.mark.parametrize(
    ("adapter", "message"),
    [
        ("green", 'no adapter "green"; it was loaded with red, blue'),
        ({"red": 1, "green": 1}, 'no adapter "green"'),
        ("", 'no adapter ""'),
        ({"red": float("nan")}, "nan"),
        ({"red": 101}, "between -100 and 100, got 101"),
        ({"red": True}, "adapter\\['red'\\]"),
        ({"red": "1"}, "adapter\\['red'\\]"),
        ({1: 1}, "a name in adapter"),
        (["red"], "not list"),
        (1, "not int"),
    ],
)
def test_wrong_adapters_of_an_agent(model, adapter, message):
    with pytest.raises(InvalidParamError, match=message):
        Agent(model, adapter=adapter)
    agent = Agent(model, **OPTIONS)
    with pytest.raises(InvalidParamError, match=message):
        agent.generate("Hi", adapter=adapter)
    assert agent.generate("Hi")


def test_a_remote_model_has_no_adapters():
    with pytest.raises(UnsupportedError, match="adapter: .* is not a local model"):
        Agent(ScriptedModel(["Hi"]), adapter="red")
    with pytest.raises(UnsupportedError, match="adapter"):
        Agent(ScriptedModel(["Hi"])).generate("Hi", adapter="red")


@pytest.mark.parametrize("adapters", [["red.gguf"], "red.gguf", {"red": 1}, {1: "red.gguf"}, {"": "red.gguf"}])
def test_wrong_adapters_of_a_model(tiny_path, adapters):
    with pytest.raises(InvalidParamError, match="adapters"):
        Model.from_local(tiny_path, adapters=adapters, **LAYOUT)


def _no_pair(writer, pairs):
    pairs["blk.9.attn_q.weight"] = pairs["blk.0.attn_q.weight"]


def _shape(writer, pairs):
    pairs["blk.0.attn_q.weight"] = pairs["blk.0.ffn_down.weight"]


def _ranks(writer, pairs):
    a, b = pairs["blk.0.attn_q.weight"]
    pairs["blk.0.attn_q.weight"] = (a[:2].copy(), b)


def _matrices(writer, pairs):
    a, b = pairs["blk.0.attn_q.weight"]
    pairs["blk.0.attn_q.weight"] = (numpy.stack([a, a]), numpy.stack([b, b]))


def _integers(writer, pairs):
    a, b = pairs["blk.0.attn_q.weight"]
    pairs["blk.0.attn_q.weight"] = (a.astype(numpy.int32), b)


def _empty(writer, pairs):
    pairs.clear()


def _activated(writer, pairs):
    writer.add_array("adapter.alora.invocation_tokens", [1, 2, 3])


WRONG = {
    _no_pair: "does not exist in base model",
    _shape: "incorrect shape",
    _ranks: "ranks",
    _matrices: "matrices",
    _integers: "i32",
    _empty: "no tensor for this model",
    _activated: "aLoRA",
}


@pytest.mark.parametrize("change", WRONG, ids=lambda change: change.__name__.strip("_"))
def test_files_that_do_not_fit(tiny_path, tmp_path, change):
    path = tmp_path / "wrong.gguf"
    random_model.write_adapter(gguf, numpy, path, 1, change=change)
    with pytest.raises(ModelLoadError, match=f'the adapter "red" of .*wrong.gguf can\'t be loaded: .*{WRONG[change]}'):
        Model.from_local(tiny_path, adapters={"red": path}, **LAYOUT)


@pytest.mark.parametrize("alpha", [float("nan"), float("inf")])
def test_an_alpha_that_is_no_number(tiny_path, tmp_path, alpha):
    path = tmp_path / "wrong.gguf"
    random_model.write_adapter(gguf, numpy, path, 1, alpha=alpha)
    with pytest.raises(ModelLoadError, match="adapter.lora.alpha is not a finite number"):
        Model.from_local(tiny_path, adapters={"red": path}, **LAYOUT)


def test_metadata_of_another_type(tiny_path, tmp_path):
    for key in ("general.type", "general.architecture", "adapter.type", "adapter.lora.alpha"):
        path = tmp_path / "wrong.gguf"
        writer = gguf.GGUFWriter(str(path), "llama")
        for kv in writer.kv_data:
            kv.pop(key, None)
        for name, value in {"general.type": "adapter", "adapter.type": "lora"}.items():
            if name != key:
                writer.add_string(name, value)
        writer.add_uint32(key, 7)
        writer.add_tensor("blk.0.attn_q.weight.lora_a", numpy.ones((4, 32), numpy.float32))
        writer.add_tensor("blk.0.attn_q.weight.lora_b", numpy.ones((32, 4), numpy.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        with pytest.raises(ModelLoadError, match=f"{key} is not of the type"):
            Model.from_local(tiny_path, adapters={"red": path}, **LAYOUT)


def test_a_missing_file_a_folder_and_a_model(tiny_path, tmp_path):
    with pytest.raises(ModelNotFoundError, match="missing.gguf"):
        Model.from_local(tiny_path, adapters={"red": tmp_path / "missing.gguf"}, **LAYOUT)
    with pytest.raises(ModelLoadError, match="directory"):
        Model.from_local(tiny_path, adapters={"red": tmp_path}, **LAYOUT)
    with pytest.raises(ModelLoadError, match='adapter "red"'):
        Model.from_local(tiny_path, adapters={"red": tiny_path}, **LAYOUT)


@pytest.mark.gate
def test_damaged_files_are_errors_or_adapters(child, files, tiny_path, tmp_path):
    """Shortened files and files with other bytes in their headers: no signal, and the class of error that fits."""
    source = """
    import random, sys
    from pathlib import Path
    from luup_agent import Agent, Model, LuupError, ModelLoadError

    model, path, damaged = (Path(argument) for argument in sys.argv[1:])
    content, choose = path.read_bytes(), random.Random(5)
    loaded = 0
    for number in range(60):
        data = bytearray(content)
        if number % 4 == 0:
            del data[choose.randrange(len(data)):]
        else:
            for _ in range(choose.choice([1, 1, 4])):
                data[choose.randrange(1200)] = choose.choice([0, 1, 7, 127, 128, 255])
        damaged.write_bytes(data)
        try:
            with Model.from_local(model, adapters={"red": damaged}, threads=1, context_size=256) as opened:
                Agent(opened, adapter="red", max_tokens=2).generate("Hi")
            loaded += 1
        except ModelLoadError:
            pass
        except LuupError as error:
            print(number, type(error).__name__, error)
    print("loaded", loaded, file=sys.stderr)
    """
    result = child(source, tiny_path, files[0]["red"], tmp_path / "damaged.gguf", timeout=600)
    assert result.returncode == 0, result.stderr
    wrong = [line for line in result.stdout.splitlines() if "InferenceError" not in line]  # weights may be NaN
    assert wrong == []


def test_the_memory_counts(files, tiny_path, model):
    with Model.from_local(tiny_path, **LAYOUT) as without:
        least = sum(path.stat().st_size for path in files[0].values()) // 2
        assert model.get_info().memory_weights - without.get_info().memory_weights >= least


def test_a_fallback_checks_its_models(model, files):
    with contextlib.closing(Model.fallback(model, model)) as both:
        assert Agent(both, adapter="red", **OPTIONS).generate("Hi")
        with pytest.raises(InvalidParamError, match='no adapter "green"'):
            Agent(both, adapter="green")


def test_files_may_go_once_they_are_loaded(files, tiny_path, tmp_path, merged):
    copy = tmp_path / "red.gguf"
    shutil.copy(files[0]["red"], copy)
    with Model.from_local(tiny_path, adapters={"red": copy}, **LAYOUT) as loaded:
        copy.unlink()
        assert Agent(loaded, adapter="red", **OPTIONS).generate(QUESTIONS[0]) == merged[1][0]
