"""A draft model: the same answers, faster where it pays, and given up where it does not."""

import pytest
from support import architectures, random_model
from support.drafted import answers, load, of_each_kind

from luup_agent import Agent, InvalidParamError, ModelLoadError, ModelNotFoundError


@pytest.fixture(scope="module")
def pair(model_path, tiny_path, tmp_path_factory):
    """A model that takes long, and a fast one whose likeliest tokens are the same."""
    gguf, numpy = pytest.importorskip("gguf"), pytest.importorskip("numpy")
    path = tmp_path_factory.mktemp("slow") / "slow.gguf"
    random_model.write(gguf, numpy, model_path, path, idle=6)
    yield path, tiny_path
    path.unlink()


@pytest.fixture(scope="module")
def wrong_path(model_path, tmp_path_factory):
    """A draft model that is never right: it likes one token that the others don't."""
    gguf, numpy = pytest.importorskip("gguf"), pytest.importorskip("numpy")
    path = tmp_path_factory.mktemp("wrong") / "wrong.gguf"
    change = numpy.zeros((49152, random_model.WIDTH))
    change[1000, 0] = 20.0
    random_model.write(gguf, numpy, model_path, path, added={"output.weight": change})
    return path


@pytest.mark.parametrize("temperature", [0, 0.05])
def test_a_draft_that_is_right_saves_steps_and_changes_nothing(pair, temperature):
    slow, fast = pair
    with load(slow) as alone, load(slow, draft=fast) as drafted:
        expected = answers(alone, temperature=temperature)
        steps = alone.stats().batches
        for _ in range(10):  # whether drafts pay is measured: a busy machine may leave them out for a while
            before = drafted.stats()
            assert answers(drafted, temperature=temperature) == expected
            stats = drafted.stats()
            accepted = stats.drafts_accepted - before.drafts_accepted
            assert stats.batches - before.batches <= steps - accepted / 2
            if accepted:
                break
    assert stats.drafts_accepted > 0.5 * stats.tokens_drafted > 0


def test_a_draft_that_is_wrong_is_given_up(pair, wrong_path):
    slow, _ = pair
    with load(slow) as alone, load(slow, draft=wrong_path) as drafted:
        expected = answers(alone, temperature=0)
        assert answers(drafted, temperature=0) == expected
        first = drafted.stats().tokens_drafted
        assert first > 0
        assert answers(drafted, temperature=0) == expected
        assert drafted.stats().tokens_drafted - first < 0.2 * 4 * 48
        assert drafted.stats().drafts_accepted == 0


@pytest.mark.slow
def test_the_real_model_as_its_own_draft_is_not_used_for_long(model_path):
    """It is always right and saves nothing, since it takes as long as the model."""
    with load(model_path) as alone, load(model_path, draft="smollm2") as drafted:
        expected = answers(alone, temperature=0)
        assert answers(drafted, temperature=0) == expected
        stats = drafted.stats()
    assert stats.tokens_drafted < 0.5 * 4 * 48


def test_grammars_tools_and_many_agents(pair):
    slow, fast = pair
    with load(slow) as alone, load(slow, draft=fast) as drafted:
        assert of_each_kind(drafted) == of_each_kind(alone)


@pytest.mark.slow
def test_a_model_whose_recurrent_state_goes_back(model_path, tool, tmp_path):
    gguf, numpy = pytest.importorskip("gguf"), pytest.importorskip("numpy")
    tool("luup-tensor-shapes")
    slow, fast = tmp_path / "slow.gguf", tmp_path / "fast.gguf"
    fields = {"block_count": 12, "feed_forward_length": 8192, "change": architectures.knowing(numpy, 12, 0.2)}
    architectures.write(gguf, numpy, model_path, slow, "qwen35", **fields)
    architectures.write(gguf, numpy, model_path, fast, "llama", change=architectures.knowing(numpy, 4))
    with load(slow) as alone:
        expected = answers(alone, temperature=0)
    for _ in range(12):  # a busy machine may leave guesses out
        with load(slow, draft=fast) as drafted:
            assert answers(drafted, temperature=0) == expected
            stats = drafted.stats()
        if 0 < stats.drafts_accepted < stats.tokens_drafted:
            break
    assert 0 < stats.drafts_accepted < stats.tokens_drafted
    slow.unlink()


def test_a_cancelled_answer_and_a_full_context(pair, idle):
    slow, fast = pair
    with load(slow, draft=fast, context_size=512) as model:
        agent = Agent(model, temperature=0, max_tokens=64)
        for number in range(3):
            events = agent.stream_events(f"Story {number}. " + "word " * 60)
            for _ in range(4):
                next(events)
            events.close()
        agents = [Agent(model, temperature=0, max_tokens=32) for _ in range(6)]
        for number, each in enumerate(agents):
            assert each.run(f"Story {number}. " + "word " * 80).finish_reason in ("stop", "length")
        stats = idle(model)
        assert (stats.runs_active, stats.sequences_active) == (0, 0)
        model.unload()
        assert agent.run("Hello").finish_reason in ("stop", "length")


def test_a_draft_of_another_vocabulary_is_refused(model_path, tiny_path, tmp_path):
    gguf, numpy = pytest.importorskip("gguf"), pytest.importorskip("numpy")
    other, recurrent = tmp_path / "other.gguf", tmp_path / "recurrent.gguf"
    random_model.write(gguf, numpy, model_path, other, names=[f"<|extra_{number}|>" for number in range(200)])
    with pytest.raises(ModelLoadError, match=r"other\.gguf can't be the draft model of .*tiny\.gguf.*49352 tokens"):
        load(tiny_path, draft=other)
    random_model.write(gguf, numpy, model_path, recurrent, kind="mamba")
    with pytest.raises(ModelLoadError, match="recurrent layers"):
        load(tiny_path, draft=recurrent)
    with pytest.raises(ModelNotFoundError, match="missing"):
        load(tiny_path, draft=tmp_path / "missing.gguf")
    with pytest.raises(InvalidParamError, match="model"):
        load(tiny_path, draft=5)
