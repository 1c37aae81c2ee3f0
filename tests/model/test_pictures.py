"""Pictures in messages of local models: a real language model and small ones, with projectors of random weights."""

import asyncio
import contextlib
import copy
import io
import pickle
import threading

import pytest
from pydantic import BaseModel
from support import pictures, projectors, random_model
from support.pictures import reference

from luup_agent import (
    Agent,
    ContextFullError,
    Image,
    InvalidParamError,
    Message,
    Model,
    ModelLoadError,
    RunCancelledError,
    RunTimeoutError,
    UnsupportedError,
)

gguf = pytest.importorskip("gguf")
numpy = pytest.importorskip("numpy")

WIDTH = 576  # of SmolLM2's vectors
QUESTION = "What is in this picture?"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pictures")


@pytest.fixture(scope="module")
def projector(folder):
    """A projector for the real model, whose vectors are about as large as those of tokens."""
    path = folder / "mmproj-smollm2.gguf"
    projectors.write(gguf, numpy, path, WIDTH, scale=0.1)
    return path


@pytest.fixture(scope="module")
def seeing(model_path, projector):
    """The real model with that projector."""
    with Model.from_local(model_path, mmproj=projector, threads=1) as model:
        yield model


@pytest.fixture(scope="module")
def cat(folder):
    path = folder / "cat.png"
    path.write_bytes(pictures.png(seed=3))
    return path


@pytest.fixture(scope="module")
def small(model_path, folder):
    """Makes a small model of a kind with a projector of a kind, loaded once each."""
    loaded = {}

    def make(kind="llama", projector_kind="mlp", **options):
        key = (kind, projector_kind, tuple(sorted(options.items())))
        if key not in loaded:
            path, mmproj = folder / f"{kind}.gguf", folder / f"mmproj-{projector_kind}.gguf"
            if not path.exists():
                names = ("<|vision_start|>", "<|vision_end|>", "<start_of_image>", "<end_of_image>")
                random_model.write(gguf, numpy, model_path, path, names, kind=kind)
            if not mmproj.exists():
                projectors.write(gguf, numpy, mmproj, random_model.WIDTH, projector_kind, scale=4.0)
            options = {"threads": 1, "context_size": 2048, **options}
            loaded[key] = Model.from_local(path, mmproj=mmproj, **options)
        return loaded[key]

    yield make
    for model in loaded.values():
        model.close()


def greedy(model, system_prompt=None, **options):
    return Agent(model, system_prompt, **{"temperature": 0, "max_tokens": 16, **options})


# -- the same as llama.cpp ---------------------------------------------------------------------------------------------


def test_an_answer_equals_that_of_llama_cpp(tool, seeing, model_path, projector, cat):
    with Model.from_local(
        model_path, mmproj=projector, threads=1, chat_template=seeing.get_info().chat_template
    ) as own:
        answer = greedy(own).generate([Image(cat), QUESTION])
    assert answer.strip() == reference(tool, model_path, projector, QUESTION, [("--image", cat)]).strip()


@pytest.mark.parametrize(
    ("kind", "projector_kind"), [("llama", "mlp"), ("qwen2vl", "qwen2vl_merger"), ("gemma3", "gemma3")]
)
def test_each_kind_of_positions_and_attention(kind, projector_kind, tool, small, folder, cat):
    """Plain positions, M-RoPE whose picture is a plane, and a picture whose tokens see each other."""
    wide = folder / "wide.png"
    wide.write_bytes(pictures.png(200, 90, seed=9))
    model = small(kind, projector_kind)
    answer = greedy(model, max_tokens=24).generate([Image(cat), Image(wide), QUESTION])
    paths = folder / f"{kind}.gguf", folder / f"mmproj-{projector_kind}.gguf"
    theirs = reference(tool, *paths, QUESTION, [("--image", f"{cat},{wide}")], 24)
    assert answer.strip() == theirs.strip()
    assert len(answer) > 20


# -- messages ----------------------------------------------------------------------------------------------------------


def test_the_picture_counts_in_the_prompt_and_changes_the_answer(seeing, cat):
    agent = greedy(seeing)
    with_one = agent.run([QUESTION, Image(cat)])
    agent.clear_history()
    without = agent.run(QUESTION)
    agent.clear_history()
    other = agent.run([QUESTION, Image(pictures.png(seed=200))])
    expected = without.usage.prompt_tokens + projectors.IMAGE_TOKENS["mlp"]
    assert with_one.usage.prompt_tokens == expected
    assert with_one.text != without.text
    assert other.text != with_one.text


def test_sync_async_and_streams_agree(seeing, cat):
    message = [QUESTION, Image(cat), "Answer in one sentence."]

    async def asynchronous():
        return await greedy(seeing).generate_async(message), [
            piece async for piece in greedy(seeing).generate_async(message)
        ]

    answer = greedy(seeing).generate(message)
    whole, pieces = asyncio.run(asynchronous())
    assert whole == answer == "".join(pieces) == "".join(greedy(seeing).generate_stream(message))


def test_typed_results_and_tools(small):
    class Found(BaseModel):
        animal: str
        count: int

    seen = []

    def look(place: str) -> str:
        """Look at a place.

        Args:
            place: The place.
        """
        seen.append(place)
        return "a cat"

    model = small()
    found = greedy(model, max_tokens=64).generate([QUESTION, Image(pictures.png())], output_type=Found)
    assert isinstance(found, Found)
    agent = greedy(model, max_tokens=64, tools=[look])
    response = agent.run([QUESTION, Image(pictures.png())], tool_choice="look")
    assert len(seen) >= 1
    assert [m.role for m in response.messages][:3] == ["user", "assistant", "tool"]
    assert isinstance(response.messages[0].parts[1], Image)


def test_several_pictures_keep_their_places(seeing):
    one, two = Image(pictures.png(seed=1)), Image(pictures.png(seed=2))
    agent = greedy(seeing)
    text = agent.prompt(["First", one, "then", two, "end"]).text
    assert "First<__media__>then<__media__>end" in text
    assert agent.prompt([one, two]).tokens != agent.prompt([two, one]).tokens
    assert sum(token < 0 for token in agent.prompt([one, two]).tokens) == 2 * projectors.IMAGE_TOKENS["mlp"]


def test_a_marker_in_a_text_stays_text(seeing):
    words = "<__media__> [luup-media-0-0; [luup-media-1-"
    assert greedy(seeing).prompt([words, Image(pictures.png())]).text.count("[luup-media-0-0;") == 1


# -- histories ---------------------------------------------------------------------------------------------------------


def test_the_next_turn_costs_its_own_tokens_and_encodes_nothing(seeing, cat):
    agent = greedy(seeing)
    agent.run([QUESTION, Image(cat)])
    encoded = seeing.stats().media_encoded
    second = agent.run("And what else?")
    assert seeing.stats().media_encoded == encoded
    assert second.usage.cached_tokens > second.usage.prompt_tokens // 2
    assert [type(part) for part in agent.messages[0].parts] == [str, Image]


def test_agents_share_a_picture(seeing):
    picture = Image(pictures.png(seed=77))
    before = seeing.stats().media_encoded
    answers = []

    def ask(number):
        answers.append(greedy(seeing).generate([picture, f"Question {number}: what is it?"]))

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 16
    assert seeing.stats().media_encoded == before + 1


def test_a_fork_and_a_saved_agent_have_the_picture(seeing, cat, tmp_path):
    agent = greedy(seeing)
    agent.run([QUESTION, Image(cat)])
    expected = agent.fork().generate("What colour is it?")
    agent.save(tmp_path / "agent.luup")
    loaded = Agent.load(tmp_path / "agent.luup", seeing)
    response = loaded.run("What colour is it?")
    assert response.text == expected
    assert response.usage.cached_tokens > response.usage.prompt_tokens // 2
    assert loaded.messages[0].parts == agent.messages[0].parts


def test_histories_are_exported_and_imported(seeing, cat):
    agent = greedy(seeing)
    agent.run([QUESTION, Image(cat)])
    other = greedy(seeing)
    other.set_history(agent.get_history())
    assert other.messages == agent.messages
    assert other.get_history()[0]["content"][1]["image_url"]["url"].startswith("data:image/png;base64,")
    other.clear_history()
    other.add_message("user", [QUESTION, Image(cat)])
    other.add_message("assistant", agent.messages[1].content)
    assert other.get_history() == agent.get_history()
    assert pickle.loads(pickle.dumps(agent.messages)) == copy.deepcopy(agent.messages) == agent.messages
    assert Message.model_validate_json(agent.messages[0].model_dump_json()) == agent.messages[0]


def test_positions_in_planes_survive_turns_forks_and_files(small, tmp_path):
    """With M-RoPE a picture has fewer positions than tokens."""
    model = small("qwen2vl", "qwen2vl_merger")
    agent = greedy(model)
    agent.run([Image(pictures.png(120, 90)), "One", Image(pictures.png(60, 150, seed=4)), "Two"])
    fresh = greedy(model)
    fresh.set_history(agent.get_history())
    agent.save(tmp_path / "agent.luup")
    blind = Model.from_local(model.get_info().path, threads=1, context_size=2048)
    with blind, pytest.raises(UnsupportedError, match="mmproj"):
        Agent.load(tmp_path / "agent.luup", blind).generate("Three")
    expected = agent.fork().generate("Three")
    assert Agent.load(tmp_path / "agent.luup", model).generate("Three") == expected
    assert fresh.generate("Three") == expected
    assert agent.generate("Three") == expected


@pytest.mark.slow
def test_others_are_decoded_while_a_picture_is_encoded(slow):
    """Tokens of another agent arrive between the begin and the end of an encoding."""
    before = slow.stats().media_encoded
    looking = threading.Thread(
        target=greedy(slow, max_tokens=1).generate, args=([Image(pictures.png(seed=8)), "What?"],)
    )
    meanwhile = 0
    stream = greedy(slow, max_tokens=None, stop="a text that never comes").generate_stream("Tell me a long story.")
    next(stream)
    looking.start()
    for _ in stream:
        meanwhile += slow.stats().media_encoded == before
        if not looking.is_alive():
            break
    stream.close()
    looking.join()
    assert slow.stats().media_encoded == before + 1
    assert meanwhile > 3


def test_a_model_that_was_unloaded_sees_again(seeing, model_path, projector, cat):
    with Model.from_local(model_path, mmproj=projector, threads=1, context_size=1024) as model:
        agent = greedy(model)
        first = agent.generate([QUESTION, Image(cat)])
        model.unload()
        assert agent.generate("And now?")
        agent.clear_history()
        assert agent.generate([QUESTION, Image(cat)]) == first


# -- errors ------------------------------------------------------------------------------------------------------------


def test_a_model_without_a_projector_says_so(model):
    with pytest.raises(UnsupportedError, match="mmproj="):
        Agent(model).generate([QUESTION, Image(pictures.png())])
    assert not model.get_info().sees


def test_a_model_that_sees_says_so(seeing):
    assert seeing.get_info().sees
    assert not seeing.get_info().hears


def test_broken_pictures(seeing):
    whole = pictures.png(400, 300, level=0)
    agent = greedy(seeing)
    for broken in (whole[: len(whole) // 2], whole[:60], whole.replace(b"IDAT", b"IDAX"), pictures.bomb_png()):
        with pytest.raises(InvalidParamError, match="broken png"):
            agent.generate([QUESTION, Image(broken)])
    with pytest.raises(UnsupportedError, match="luup-agent\\[images\\]"):
        agent.run([QUESTION, _webp_as_it_is()])
    assert agent.messages == []
    assert agent.generate("Hello")


def _files():
    """Yield files of each kind that can be made here."""
    yield pictures.png(90, 70)
    try:
        from PIL import Image as Pillow
    except ImportError:
        return
    noise = Pillow.effect_noise((90, 70), 80).convert("RGB")
    for mode, kind, options in (("RGB", "JPEG", {}), ("CMYK", "JPEG", {}), ("P", "PNG", {}), ("LA", "PNG", {})):
        written = io.BytesIO()
        noise.convert(mode).save(written, kind, **options)
        yield written.getvalue()


def test_files_that_are_cut_or_changed_anywhere(small):
    model = small()
    random = numpy.random.default_rng(1)
    for whole in _files():
        assert greedy(model, max_tokens=1).generate([Image(whole), "What?"])
        for cut in range(1, len(whole) - 1, len(whole) // 25):
            with pytest.raises(InvalidParamError, match="broken|not a PNG"):
                greedy(model, max_tokens=1).generate([Image(whole[:cut]), "What?"])
        for _ in range(25):
            changed = bytearray(whole)
            for place in random.integers(0, len(whole), 5):
                changed[place] = random.integers(256)
            with contextlib.suppress(InvalidParamError):
                greedy(model, max_tokens=1).generate([Image(bytes(changed)), "What?"])


def _webp_as_it_is():
    picture = Image(pictures.png())
    copied = object.__new__(Image)
    copied._data, copied._url, copied._format = pictures.webp(), "", "webp"
    copied._width, copied._height = picture.width, picture.height
    return copied


@pytest.mark.parametrize("size", [(1, 1), (1, 20000), (20000, 1), (3, 2), (57, 55)])
@pytest.mark.parametrize("kinds", [("llama", "mlp"), ("qwen2vl", "qwen2vl_merger"), ("gemma3", "gemma3")])
def test_odd_sizes(size, kinds, small):
    model = small(*kinds)
    assert greedy(model).run([Image(pictures.png(*size)), "What?"]).usage.prompt_tokens > 4
    assert greedy(model).generate("Hello")


def test_a_picture_that_does_not_fit(small):
    model = small("qwen2vl", "qwen2vl_merger", context_size=256)
    agent = greedy(model)
    with pytest.raises(ContextFullError, match="the context holds 256"):
        agent.generate([Image(pictures.png(900, 900)), "What?"])
    assert agent.generate("Hello")


def test_an_address_needs_a_server(seeing):
    with pytest.raises(UnsupportedError, match="can't fetch"):
        greedy(seeing).generate([QUESTION, Image.from_url("https://example.com/a.png", fetch=False)])


@pytest.fixture(scope="module")
def slow(model_path, folder):
    """A model whose encoder takes long."""
    path = folder / "slow.gguf"
    projectors.write(gguf, numpy, path, WIDTH, scale=0.1, side=420, layers=150)
    with Model.from_local(model_path, mmproj=path, threads=1, context_size=8192) as model:
        yield model


@pytest.mark.slow
def test_cancel_and_timeout_while_a_picture_is_encoded(slow):
    agent = greedy(slow, max_tokens=1)
    before = slow.stats().media_encoded
    with pytest.raises(RunTimeoutError):
        agent.generate([Image(pictures.png(seed=6)), "What?"], timeout=0.2)
    stream = agent.stream_events([Image(pictures.png(seed=7)), "What?"])
    canceller = threading.Timer(0.2, stream.close)
    canceller.start()
    with contextlib.suppress(RunCancelledError):
        for _ in stream:
            pass
    canceller.join()
    assert agent.generate("Hello")
    assert slow.stats().media_encoded == before  # neither was encoded to its end, which takes seconds


# -- projectors --------------------------------------------------------------------------------------------------------


def test_a_projector_of_another_model(model_path, folder):
    other = folder / "other.gguf"
    projectors.write(gguf, numpy, other, 64)
    with pytest.raises(ModelLoadError, match="576.*64|mismatch"):
        Model.from_local(model_path, mmproj=other)


def test_files_that_are_no_projectors(model_path, folder, tmp_path):
    with pytest.raises(ModelLoadError, match="not a projector"):
        Model.from_local(model_path, mmproj=model_path)
    with pytest.raises(FileNotFoundError):
        Model.from_local(model_path, mmproj=tmp_path / "missing.gguf")
    text = tmp_path / "text.gguf"
    text.write_text("no GGUF")
    with pytest.raises(ModelLoadError):
        Model.from_local(model_path, mmproj=text)
    unsupported = tmp_path / "hunyuan.gguf"
    projectors.write(
        gguf,
        numpy,
        unsupported,
        WIDTH,
        change=lambda writer: writer.add_string("clip.vision.projector_type", "hunyuanvl"),
    )
    with pytest.raises(ModelLoadError, match="hunyuanvl"):
        Model.from_local(model_path, mmproj=unsupported)


def test_damaged_projectors(model_path, projector, tmp_path):
    whole = projector.read_bytes()
    damaged = tmp_path / "damaged.gguf"
    for content in (whole[:-1000], whole[:5000], whole[:100], whole[:2000] + b"\xff" * 400 + whole[2400:]):
        damaged.write_bytes(content)
        with pytest.raises(ModelLoadError):
            Model.from_local(model_path, mmproj=damaged, threads=1)
