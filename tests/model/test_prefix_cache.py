"""Prompt prefixes that are kept in a folder for the next process."""

import logging

import pytest

from luup_agent import Agent, InvalidParamError, Model, StorageError

SYSTEM = "You are a careful assistant. You answer in plain English and never use more words than are needed. " * 8


def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


@pytest.fixture
def load(tiny_path, tmp_path):
    opened = []

    def load(**options):
        options = {"threads": 1, "prefix_cache": tmp_path / "prefixes", **options}
        opened.append(Model.from_local(tiny_path, **options))
        return opened[-1]

    yield load
    for model in opened:
        model.close()


@pytest.fixture
def files(tmp_path):
    return lambda: sorted((tmp_path / "prefixes").iterdir())


def answer(model, message="Hello!", **options):
    return Agent(model, SYSTEM, temperature=0, max_tokens=12, prompt_lookup=False, **options).run(message)


def test_the_next_process_need_not_compute_it(load, files):
    with load() as first:
        expected = answer(first)
        assert first.stats().prefixes_loaded == 0
    assert len(files()) == 1
    second = load()
    warm = answer(second)
    assert warm.text == expected.text
    assert second.stats().prefixes_loaded == 1
    assert warm.usage.cached_tokens > 100
    assert warm.usage.prompt_tokens - warm.usage.cached_tokens < 30
    # Another agent has it from the first, and another message needs no file of its own.
    assert answer(second, "Something else, please.").usage.cached_tokens >= warm.usage.cached_tokens
    assert second.stats().prefixes_loaded == 1
    second.close()
    assert len(files()) == 1


def test_tools_and_system_prompts_have_files_of_their_own(load, files):
    with load() as first:
        answer(first)
        answer(first, tools=[add], tool_choice="none")
        Agent(first, "Another prompt. " * 40, max_tokens=1).run("Hello!")
        Agent(first, max_tokens=1).run("What is not shared is not kept. " * 30)
    assert len(files()) == 3
    second = load()
    assert answer(second, tools=[add], tool_choice="none").usage.cached_tokens > 100
    assert second.stats().prefixes_loaded == 1


def test_many_at_once_read_it_once(load):
    with load() as first:
        answer(first)
    second = load()
    streams = [Agent(second, SYSTEM, max_tokens=4).generate_stream(f"Number {i}") for i in range(8)]
    for stream in streams:
        list(stream)
    assert second.stats().prefixes_loaded == 1


@pytest.mark.parametrize("damage", ["cut", "changed", "other"])
def test_a_damaged_file_is_computed_again_and_replaced(load, files, damage, caplog):
    with load() as first:
        expected = answer(first)
    (file,) = files()
    whole = file.read_bytes()
    content = bytearray(whole)
    if damage == "cut":
        del content[-1000:]
    elif damage == "changed":
        content[-1000] ^= 1
    else:
        content[:] = b"not ours"
    file.write_bytes(content)
    with caplog.at_level(logging.WARNING, "luup_agent"), load() as second:
        assert answer(second).text == expected.text
        assert second.stats().prefixes_loaded == 0
    assert "the prefix will be computed again" in caplog.text
    assert file.read_bytes() == whole


def test_a_folder_that_can_not_be_written_costs_a_warning(load, tmp_path, files, caplog):
    with load() as first:
        answer(first)
    (file,) = files()
    file.unlink()
    file.mkdir()  # the name is taken by a folder
    (file / "kept").touch()
    with caplog.at_level(logging.WARNING, "luup_agent"), load() as second:
        answer(second)
    assert "prefix" in caplog.text
    assert files() == [file]


def test_what_is_no_folder_is_refused(load, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="prefix_cache"):
        load(prefix_cache=tmp_path / "file")
    with pytest.raises(InvalidParamError, match="prefix_cache"):
        load(prefix_cache=3)
