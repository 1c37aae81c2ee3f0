"""The heads of a model's own file that guess several tokens: the same answers, faster where they are right."""

import asyncio
import json
import re
import time
import urllib.request

import pytest
from support import architectures, builds, llama_server
from support.drafted import answers, load, of_each_kind

from luup_agent import Agent, Model

LAYERS = 8  # of a model that takes long beside its head
SLOW = {"feed_forward_length": 8192, "leading_dense_block_count": LAYERS}


@pytest.fixture(scope="module")
def write(tool, model_path, tmp_path_factory):
    """Writes a model with a head, whose fields may be changed."""
    gguf, numpy = pytest.importorskip("gguf"), pytest.importorskip("numpy")
    tool("luup-tensor-shapes")
    folder = tmp_path_factory.mktemp("heads")

    def write(name, doubt=None, layers=architectures.LAYERS, **changed):
        path = folder / f"{name}-{len(list(folder.iterdir()))}.gguf"
        change = None if doubt is None else architectures.knowing(numpy, layers, doubt)
        heads = architectures.heads(name, layers=layers)
        architectures.write(gguf, numpy, model_path, path, name, change=change, **{**heads, **changed})
        return path

    yield write
    for path in folder.iterdir():
        path.unlink()


@pytest.fixture(scope="module")
def right(write):
    """A model that takes long, with a head that is always right."""
    return write("glm4moe", doubt=0.0, layers=LAYERS, **SLOW)


@pytest.fixture(scope="module")
def random(write):
    """A model with a head that is never right."""
    return write("glm4moe")


def compare(path, temperature=0, also_wrong=False):
    """Check that the answers are those without heads. Return the drafted and the accepted tokens.

    Whether guesses pay is measured, and a busy machine may leave out all but the first: goes on with other loads and
    questions until one was right, and one wrong if that is wanted.
    """
    drafted = accepted = steps = 0
    with load(path, draft=False) as alone:
        for number in range(0, 24, 2):
            numbers = (number, number + 1)
            expected = answers(alone, numbers, temperature=temperature)
            steps = alone.stats().batches - steps
            with load(path) as guessed:
                assert guessed.get_info().mtp == "used"
                assert answers(guessed, numbers, temperature=temperature) == expected
                stats = guessed.stats()
                assert stats.batches <= steps - stats.drafts_accepted / 2
            steps = alone.stats().batches
            drafted, accepted = drafted + stats.tokens_drafted, accepted + stats.drafts_accepted
            if accepted and (accepted < drafted or not also_wrong):
                break
    return drafted, accepted


def test_a_head_that_is_right_saves_steps_and_changes_nothing(right):
    drafted, accepted = compare(right)
    assert drafted == accepted > 0


@pytest.mark.slow
@pytest.mark.gate
def test_a_head_that_is_right_at_another_temperature(right):
    drafted, accepted = compare(right, temperature=0.05)
    assert drafted >= accepted > 0


def test_a_head_that_is_wrong_is_given_up(random):
    with load(random, draft=False) as alone, load(random) as guessed:
        expected = answers(alone, temperature=0)
        assert answers(guessed, temperature=0) == expected
        first = guessed.stats().tokens_drafted
        assert answers(guessed, temperature=0) == expected
        assert guessed.stats().tokens_drafted - first < 0.2 * 4 * 48
        assert guessed.stats().drafts_accepted == 0


@pytest.mark.slow
@pytest.mark.parametrize(("name", "doubt"), [pytest.param("glm4moe", 0.05, marks=pytest.mark.gate), ("qwen35", 0.2)])
def test_a_head_that_is_sometimes_right(write, name, doubt):
    """Also where recurrent layers go back to the state before a wrong guess."""
    layers = LAYERS + 4
    path = write(name, doubt, layers, **{**SLOW, "leading_dense_block_count": layers})
    drafted, accepted = compare(path, also_wrong=True)
    assert drafted > accepted > 0


@pytest.mark.slow
@pytest.mark.gate
@pytest.mark.parametrize("name", ["glm4moe", "qwen35"])
def test_grammars_tools_and_many_agents(write, name):
    path = write(name, 0.1, LAYERS, **SLOW)
    with load(path, draft=False) as alone, load(path) as guessed:
        expected = of_each_kind(alone)
        assert of_each_kind(guessed) == expected
        assert of_each_kind(guessed) == expected


@pytest.mark.slow
@pytest.mark.gate
@pytest.mark.parametrize("name", ["glm4moe", "qwen35"])
def test_cancelled_preempted_unloaded(write, name, idle):
    path = write(name, 0.0, LAYERS, **SLOW)
    with load(path, context_size=512) as model:
        agent = Agent(model, temperature=0, max_tokens=64)
        for number in range(3):
            events = agent.stream_events(f"Story {number}. " + "word " * 60)
            for _ in range(4):
                next(events)
            events.close()

        async def several():
            agents = [Agent(model, temperature=0, max_tokens=32) for _ in range(6)]
            return await asyncio.gather(
                *[each.run_async(f"Story {n}. " + "word " * 80) for n, each in enumerate(agents)]
            )

        for answer in asyncio.run(several()):
            assert answer.finish_reason in ("stop", "length")
        stats = idle(model)
        assert (stats.runs_active, stats.sequences_active) == (0, 0)
        model.unload()
        assert agent.run("Hello").finish_reason in ("stop", "length")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["glm4moe", pytest.param("qwen35", marks=pytest.mark.gate)])
def test_a_model_that_was_idle_comes_back_with_its_heads(write, name):
    path = write(name, 0.0, LAYERS, **SLOW)
    with load(path, draft=False) as alone, load(path, keep_alive=0.05) as guessed:
        info = guessed.get_info()
        assert info.mtp == "used"
        agents = [Agent(each, "You are careful.", temperature=0, max_tokens=40) for each in (alone, guessed)]
        for number in range(3):
            drafted = guessed.stats().tokens_drafted
            texts = [each.generate(f"Story {number}.") for each in agents]
            assert texts[0] == texts[1]
            assert guessed.stats().tokens_drafted > drafted  # they guess after each load
            end = time.monotonic() + 60
            while guessed.loaded:
                assert time.monotonic() < end
                time.sleep(0.01)
            assert guessed.get_info() == info
        assert guessed.stats().drafts_accepted > 0


@pytest.mark.slow
@pytest.mark.gate
@pytest.mark.parametrize("name", ["glm4moe", "qwen35"])
def test_forks_saved_agents_and_prefixes(write, tmp_path, name):
    path = write(name, 0.1, LAYERS, **SLOW)

    def conversation(model):
        agent = Agent(model, "You are careful. " * 30, temperature=0, max_tokens=40, prompt_lookup=False)
        texts = [agent.generate("Once upon a time.")]
        texts += [agent.fork().generate("And then?"), agent.generate("And then?")]
        agent.save(tmp_path / "agent")
        return [*texts, Agent.load(tmp_path / "agent", model).generate("The end?")]

    with load(path, draft=False) as alone:
        expected = conversation(alone)
    for _ in range(2):  # the second one finds the prefix in the folder
        with load(path, prefix_cache=tmp_path / "prefixes") as guessed:
            assert conversation(guessed) == expected


def test_what_a_model_tells_of_its_heads(random, write, tiny_path):
    with load(random) as model, load(random, draft=False) as off, load(random, draft=tiny_path) as drafted:
        info = model.get_info()
        assert info.mtp == "used"
        assert off.get_info().mtp == "they are switched off"
        assert drafted.get_info().mtp == "a draft model is used"
        assert info.memory_draft > 0 == off.get_info().memory_draft
        assert info.memory_weights > off.get_info().memory_weights
    estimate = Model.estimate(random, context_size=2048, max_sequences=8)
    assert estimate.memory_draft == pytest.approx(info.memory_draft, rel=0.02)
    assert Model.estimate(random, context_size=2048, max_sequences=8, draft=False).memory_draft == 0
    with load(tiny_path) as plain:
        assert plain.get_info().mtp == ""


@pytest.mark.parametrize(
    ("name", "changed", "reason"),
    [
        ("glm4moe", architectures.heads("glm4moe", count=2), r"glm4-moe\.cpp.*only supports a single MTP block"),
        ("granite", {}, "heads of the architecture granite are not supported"),
        ("qwen3next", {}, "state can't go back"),
    ],
)
def test_heads_that_can_not_be_used_leave_the_model_as_it_is(write, name, changed, reason):
    path = write(name, **changed)
    with load(path) as model:
        assert re.search(reason, model.get_info().mtp)
        assert Agent(model, temperature=0, max_tokens=4).run("Hello").finish_reason in ("stop", "length")


def marked(names, sample):
    gate = (pytest.mark.slow, pytest.mark.gate)
    return [name if name in sample else pytest.param(name, marks=gate) for name in names]


@pytest.mark.parametrize("name", marked(architectures.WITH_HEADS, {"qwen35moe"}))
def test_each_architecture_answers_as_without_its_heads(write, name):
    path = write(name)
    with load(path, draft=False) as alone, load(path) as guessed:
        assert guessed.get_info().mtp == "used"
        assert answers(guessed, temperature=0, max_tokens=24) == answers(alone, temperature=0, max_tokens=24)
        assert guessed.stats().tokens_drafted > 0


def test_all_architectures_that_llama_cpp_has_heads_for_are_tried():
    source = builds.find_llama()
    if source is None:
        pytest.skip("the source of llama.cpp is not here: it comes with a build from source")
    names = dict(re.findall(r'\{ LLM_ARCH_(\w+),\s*"([^"(]+)"', (source / "src/llama-arch.cpp").read_text("utf-8")))
    classes = {
        found.group(1)
        for file in (source / "src/models").glob("*.cpp")
        for found in re.finditer(r"llama_model_(\w+)::graph_mtp::graph_mtp", file.read_text("utf-8"))
    }
    assert {names[each.upper()] for each in classes} == {*architectures.WITH_HEADS, *architectures.HEADS_NOT_USED}


@pytest.mark.slow
@pytest.mark.gate
def test_the_tokens_are_those_of_llama_cpp_with_the_same_heads(right, tool, tmp_path):
    options = ("--spec-type", "draft-mtp", "--spec-draft-n-max", 3, "--ctx-size", 2048, "--threads", 1, "--no-webui")
    server = llama_server.start_server(tool("llama-server"), right, tmp_path / "log", *options)
    try:
        with load(right) as model:
            agent = Agent(model, "You are careful.", temperature=0, max_tokens=48, prompt_lookup=False)
            body = {"prompt": agent._prompt_tokens("Hello."), "n_predict": 48, "temperature": 0, "cache_prompt": False}
            mine = agent.generate("Hello.")
        request = urllib.request.Request(
            server.url.replace("/v1", "/completion"), json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=120) as answer:
            theirs = json.load(answer)
    finally:
        server.stop()
    assert theirs["timings"]["draft_n_accepted"] > 0
    assert theirs["content"] == mine
