"""Loading a model, its information and its statistics."""

import logging
import os
import pathlib
import threading

import pytest

from luup_agent import (
    Agent,
    BackendInitError,
    ChatTemplateError,
    InvalidParamError,
    Model,
    ModelInfo,
    ModelNotFoundError,
    _logging,
)
from luup_agent.model_info import _short_count

CAPITAL = "What is the capital city of France? Answer in one sentence."
SMALL = {"context_size": 512, "threads": 1}


def test_info(model, model_path):
    info = model.get_info()
    assert isinstance(info, ModelInfo)
    assert info.path == str(model_path)
    assert info.architecture == "llama"
    assert info.file_type == "Q4_1"
    assert info.parameters == 134515008
    assert info.layers == 30
    assert info.vocabulary_size == 49152
    assert info.embedding_size == 576
    assert info.training_context_size == 8192
    assert info.context_size == 8192
    assert info.batch_size == 512
    assert info.max_sequences == 64
    assert info.threads >= 1
    assert info.threads_batch >= 1
    assert info.gpu_layers == 0 or info.backend != "CPU"
    assert os.path.getsize(model_path) * 0.8 < info.memory_weights < os.path.getsize(model_path) * 1.5
    assert info.memory_context == 8192 * 30 * 3 * 64 * 2 * 2
    assert info.memory_compute > 0
    assert "im_start" in info.chat_template
    assert 0 < info.load_seconds < 60


def test_repr(model, model_path):
    assert repr(model).startswith(f"<Model '{model_path.name}' llama 135M Q4_1 on ")
    assert repr(Agent(model)) == f"<Agent on {model!r}>"


@pytest.mark.parametrize(
    ("count", "text"), [(950, "950"), (5_000, "5.0K"), (134_515_008, "135M"), (7_241_732_096, "7.2B")]
)
def test_counts_are_short(count, text):
    assert _short_count(count) == text


@pytest.mark.parametrize("kind", [str, pathlib.Path, "relative", "home"])
def test_a_path_in_any_form(kind, model_path, monkeypatch):
    monkeypatch.chdir(model_path.parent)
    monkeypatch.setenv("HOME", str(model_path.parent))
    path = {"relative": model_path.name, "home": f"~/{model_path.name}"}.get(kind) or kind(model_path)
    with Model.from_local(path, **SMALL) as model:
        assert model.get_info().context_size == 512


def test_parameters_reach_the_model(model_path):
    with Model.from_local(
        model_path, context_size=1024, batch_size=64, threads=1, threads_batch=2, max_sequences=3, use_mmap=False
    ) as model:
        info = model.get_info()
        assert (info.context_size, info.batch_size, info.max_sequences) == (1024, 64, 3)
        assert (info.threads, info.threads_batch) == (1, 2)
        assert "Paris" in Agent(model, temperature=0).generate(CAPITAL)


def test_warming_up(model_path):
    with Model.from_local(model_path, **SMALL) as model:
        model.warmup()
        model.warmup()
        assert "Paris" in Agent(model, temperature=0).generate(CAPITAL)


def test_a_chat_template_of_ones_own(model_path):
    template = "{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}\n{% endfor %}[assistant]"
    with Model.from_local(model_path, chat_template=template, **SMALL) as model:
        assert model.get_info().chat_template == template
        prompt = model.detokenize(Agent(model, "Be brief.")._prompt_tokens("Hi"))
        assert prompt.endswith("[system] Be brief.\n[user] Hi\n[assistant]")


@pytest.mark.parametrize("template", ["{% for %}", "{{ unclosed", "{% if x %}"])
def test_a_broken_chat_template_is_refused(model_path, template):
    with pytest.raises(ChatTemplateError):
        Model.from_local(model_path, chat_template=template, **SMALL)


NAMES = ["gpu_layers", "context_size", "batch_size", "threads", "threads_batch", "max_sequences"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", ["x", True, 3.5, 2**31, -(2**31) - 1])
def test_a_wrong_type_is_refused_by_name(model_path, name, value):
    with pytest.raises(InvalidParamError, match=rf"^{name} "):
        Model.from_local(model_path, **{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("use_mmap", 1),
        ("use_mlock", "no"),
        ("verbose", 0),
        ("chat_template", 5),
        ("chat_template", "a\0b"),
        ("on_progress", "no function"),
        ("path", 5),
        ("path", None),
        ("path", "a\0b"),
    ],
)
def test_a_wrong_value_is_refused_by_name(model_path, name, value):
    with pytest.raises(InvalidParamError, match=rf"^{name} "):
        Model.from_local(**{"path": model_path, name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("context_size", 0),
        ("context_size", 1),
        ("context_size", 255),
        ("context_size", -1),
        ("context_size", -(2**31)),
        ("batch_size", 0),
        ("batch_size", 31),
        ("batch_size", 4097),
        ("batch_size", -1),
        ("threads", -1),
        ("threads", 513),
        ("threads_batch", -1),
        ("max_sequences", 0),
        ("max_sequences", 257),
        ("max_sequences", -1),
        ("gpu_layers", -2),
    ],
)
def test_a_number_out_of_range_is_refused_by_name(model_path, name, value):
    with pytest.raises(InvalidParamError, match=name):
        Model.from_local(model_path, **{name: value})


def test_a_gpu_that_is_not_there_is_never_replaced_in_silence(model_path):
    from luup_agent import devices

    if any(device.type in ("gpu", "igpu") for device in devices()):
        with Model.from_local(model_path, gpu_layers=1, **SMALL) as model:
            assert model.get_info().gpu_layers == 1
    else:
        with pytest.raises(BackendInitError, match="GPU"):
            Model.from_local(model_path, gpu_layers=1)


def test_progress_is_told(model_path):
    fractions, threads = [], set()

    def on_progress(fraction):
        fractions.append(fraction)
        threads.add(threading.get_ident())

    with Model.from_local(model_path, on_progress=on_progress, **SMALL):
        pass
    assert threads == {threading.get_ident()}
    assert len(fractions) > 2
    assert fractions == sorted(fractions)
    assert 0 <= fractions[0] <= fractions[-1] == 1


@pytest.mark.parametrize("error", [KeyError("stop"), KeyboardInterrupt(), SystemExit(3)])
@pytest.mark.parametrize("call", [1, 3])
def test_what_the_progress_callback_raises_comes_out(model_path, error, call):
    calls = []

    def on_progress(fraction):
        calls.append(fraction)
        if len(calls) == call:
            raise error

    with pytest.raises(type(error)) as caught:
        Model.from_local(model_path, on_progress=on_progress)
    assert caught.value is error
    assert len(calls) == call
    with Model.from_local(model_path, **SMALL) as model:
        assert "Paris" in Agent(model, temperature=0).generate(CAPITAL)


def test_what_the_progress_callback_gives_back_does_not_matter(model_path):
    with Model.from_local(model_path, on_progress=lambda fraction: False, **SMALL) as model:
        assert not model.closed


def test_the_library_is_silent_and_logs_to_the_logger(model_path, capfd, caplog):
    caplog.set_level(logging.INFO, "luup_agent")
    with Model.from_local(model_path, **SMALL) as model:
        Agent(model, max_tokens=4).generate("Hi")
    assert capfd.readouterr() == ("", "")
    assert [record for record in caplog.records if record.name == "luup_agent.core"]


def test_verbose_writes_to_stderr(model_path, capfd, caplog, monkeypatch):
    monkeypatch.setattr(_logging.logger, "handlers", list(_logging.logger.handlers))
    caplog.set_level(logging.WARNING, "luup_agent")
    with Model.from_local(model_path, verbose=True, **SMALL):
        pass
    output, errors = capfd.readouterr()
    assert output == ""
    assert errors.startswith("luup_agent: ")
    assert errors.endswith("\n")


def test_two_models_at_once(model_path, model):
    with Model.from_local(model_path, **SMALL) as other:
        answers = [Agent(each, temperature=0).generate(CAPITAL) for each in (model, other)]
        assert answers[0] == answers[1]


def test_closing_twice_and_leaving_the_block(model_path):
    with Model.from_local(model_path, **SMALL) as model:
        assert not model.closed
        model.close()
        assert model.closed
    model.close()


def test_a_model_that_is_subclassed(model_path):
    class Mine(Model):
        pass

    with Mine.from_local(model_path, **SMALL) as mine:
        assert type(mine) is Mine
        assert "Paris" in Agent(mine, temperature=0).generate(CAPITAL)


def test_a_name_of_the_catalog_is_told_what_to_write_instead():
    hint = r"there is no file smollm2; use catalog\.resolve\('smollm2'\) to get its path"
    with pytest.raises(ModelNotFoundError, match=hint):
        Model.from_local("smollm2")
    with pytest.raises(ModelNotFoundError, match=r"there is no file other$"):
        Model.from_local("other")
