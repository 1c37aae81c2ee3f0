"""Sounds in messages of a local model, with an encoder of random weights."""

import subprocess

import pytest
from support import pictures, projectors, random_model

from luup_agent import Agent, Audio, Choice, Image, InvalidParamError, Model, UnsupportedError

gguf = pytest.importorskip("gguf")
numpy = pytest.importorskip("numpy")


@pytest.fixture(scope="module")
def paths(model_path, tmp_path_factory):
    """The files of a small model, of its encoder of sounds, and of a sound."""
    folder = tmp_path_factory.mktemp("sounds")
    found = folder / "llama.gguf", folder / "mmproj.gguf", folder / "tone.wav"
    random_model.write(gguf, numpy, model_path, found[0])
    projectors.write(gguf, numpy, found[1], random_model.WIDTH, "ultravox", scale=4.0)
    found[2].write_bytes(pictures.wav())
    return found


@pytest.fixture(scope="module")
def hearing(paths):
    with Model.from_local(paths[0], mmproj=paths[1], threads=1, context_size=2048) as model:
        yield model


def greedy(model):
    return Agent(model, temperature=0, max_tokens=24)


def test_an_answer_equals_that_of_llama_cpp(tool, hearing, paths):
    model, mmproj, sound = map(str, paths)
    command = [str(tool("llama-mtmd-cli")), "-m", model, "--mmproj", mmproj, "--audio", sound, "-p", "What is it?"]
    command += ["--temp", "0", "-n", "24", "--jinja", "-t", "1", "-c", "2048", "--repeat-penalty", "1"]
    done = subprocess.run(command, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    answer = greedy(hearing).generate([Audio(sound), "What is it?"])
    assert answer.strip() == done.stdout.decode().strip()
    assert len(answer) > 20


def test_sounds_differ_and_stay_in_the_history(hearing, paths):
    agent = greedy(hearing)
    agent.run(["What is it?", Audio(paths[2])])
    encoded = hearing.stats().media_encoded
    second = agent.run("And now?")
    assert second.usage.cached_tokens > second.usage.prompt_tokens // 2
    assert hearing.stats().media_encoded == encoded
    own, other = (
        greedy(hearing).run(["What is it?", Audio(sound)], logprobs=True).logprobs[0].logprob
        for sound in (paths[2], pictures.wav(pitch=1700))
    )
    assert own != other
    assert agent.get_history()[0]["content"][1]["input_audio"]["format"] == "wav"
    assert hearing.get_info().hears
    assert not hearing.get_info().sees


def test_sync_async_streams_forks_and_saved_agents_agree(api, hearing, paths, tmp_path):
    question = ["What is it?", Audio(paths[2])]
    expected = greedy(hearing).generate(question)
    assert api.text(greedy(hearing), question) == expected
    assert "".join(api.pieces(greedy(hearing), question)) == expected
    assert api.response(greedy(hearing), question).text == expected

    agent = greedy(hearing)
    agent.generate(question)
    agent.save(tmp_path / "agent")
    fork, loaded = agent.fork(), Agent.load(tmp_path / "agent", hearing, temperature=0, max_tokens=24)
    assert loaded.get_history() == agent.get_history()
    encoded = hearing.stats().media_encoded
    assert api.text(fork, "And now?") == api.text(loaded, "And now?") == agent.generate("And now?")
    assert hearing.stats().media_encoded == encoded


def test_a_typed_result_about_a_sound(api, hearing, paths):
    answer = api.text(greedy(hearing), ["High or low?", Audio(paths[2])], output_type=Choice(["high", "low"]))
    assert answer in ("high", "low")


def test_a_long_sound_is_cut_into_parts(hearing):
    before = hearing.stats().media_encoded
    greedy(hearing).generate([Audio(pictures.wav(seconds=40, rate=8000)), "What is it?"])
    assert hearing.stats().media_encoded == before + 2  # of 30 seconds each


def test_what_can_t_be_heard(hearing):
    agent = greedy(hearing)
    with pytest.raises(UnsupportedError, match="can't see"):
        agent.generate([Image(pictures.png()), "What is it?"])
    for broken in (pictures.wav()[:40], b"fLaC" + b"\0" * 200, b"ID3" + b"\0" * 300):
        with pytest.raises(InvalidParamError, match="broken|empty"):
            agent.generate([Audio(broken), "What is it?"])
    assert agent.generate([Audio(pictures.wav(seconds=0.001)), "What is it?"])
    assert agent.generate("Hello")
