"""Agents that are saved to files, and go on from there, warm where they can."""

import logging
import shutil
import struct

import pytest

from luup_agent import Agent, BusyError, InvalidParamError, Model, StorageError

SYSTEM = "You are a careful assistant. You answer in plain English and never use more words than are needed. " * 4


@pytest.fixture
def agent(tiny_model):
    agent = Agent(tiny_model, SYSTEM, temperature=0, max_tokens=8, seed=3, stop=["never comes"], retries=4)
    agent.run("My name is Ada.")
    return agent


@pytest.fixture
def saved(agent, tmp_path):
    path = tmp_path / "ada.agent"
    agent.save(path)
    return path


def is_warm(agent):
    before = len(agent._prompt_tokens(None))
    return agent.run("What is my name?").usage.cached_tokens >= before - 16


def test_another_process_goes_on_without_a_prefill(agent, saved, tiny_path):
    expected = agent.run("What is my name?")
    with Model.from_local(tiny_path, threads=1) as other:
        loaded = Agent.load(saved, other)
        answer = loaded.run("What is my name?")
        assert answer.usage.cached_tokens == expected.usage.cached_tokens > 100
        assert answer.text == expected.text
        assert other.stats().tokens_prefilled < 60


def test_all_that_was_said_and_set_comes_back(agent, saved, tiny_model):
    loaded = Agent.load(saved, tiny_model)
    assert loaded.get_history() == agent.get_history()
    assert loaded.system_prompt == SYSTEM
    assert loaded._parts.settings._replace(tools=()) == agent._parts.settings._replace(stop=["never comes"], tools=())
    assert loaded.run("Go on.").usage.completion_tokens <= 8
    assert len(agent.messages) == 3


def test_settings_and_tools_may_be_others(saved, tiny_model):
    def add(a: int, b: int) -> int:
        """Adds two numbers."""
        return a + b

    loaded = Agent.load(saved, tiny_model, max_tokens=2, tools=[add])
    assert set(loaded.tools) == {"add"}
    assert loaded.run("Go on.", tool_choice="none").usage.completion_tokens <= 2
    with pytest.raises(InvalidParamError, match="temperature"):
        Agent.load(saved, tiny_model, temperature=-1)
    with pytest.raises(TypeError, match=r"load\(\) got an unexpected keyword argument 'temprature'"):
        Agent.load(saved, tiny_model, temprature=1)


def test_an_agent_that_left_the_context_is_saved_from_ram(tiny_path, tmp_path):
    with Model.from_local(tiny_path, threads=1, context_size=1024) as narrow:
        agents = [Agent(narrow, temperature=0, max_tokens=4) for _ in range(12)]
        for number, agent in enumerate(agents):
            agent.run(f"Number {number} " + f"word{number} " * 60)
        assert narrow.stats().sequences_in_ram > 0
        agents[0].save(tmp_path / "first")
        assert is_warm(Agent.load(tmp_path / "first", narrow))


def test_what_is_saved_is_of_the_conversation_that_it_has_now(tiny_path, tmp_path):
    with Model.from_local(tiny_path, threads=1, context_size=1024) as narrow:
        agent = Agent(narrow, temperature=0, max_tokens=4)
        agent.run("An older conversation. " + "words " * 90)
        for number in range(12):
            Agent(narrow, temperature=0, max_tokens=4).run(f"Number {number} " + f"word{number} " * 60)
        agent.clear_history()
        agent.run("A newer conversation. " + "others " * 60)
        agent.save(tmp_path / "newer")
        assert is_warm(Agent.load(tmp_path / "newer", narrow))
        assert is_warm(agent)


def test_an_agent_that_never_ran_is_saved(tiny_model, tmp_path):
    Agent(tiny_model, "Be brief.").save(tmp_path / "new")
    loaded = Agent.load(tmp_path / "new", tiny_model)
    assert loaded.messages[0].content == "Be brief."
    loaded.run("Hello", max_tokens=1)


def test_another_model_computes_it_again_and_says_so(saved, model, caplog):
    with caplog.at_level(logging.WARNING, "luup_agent"):
        loaded = Agent.load(saved, model)
    assert "prefill the whole conversation: it was saved with another model" in caplog.text
    assert len(loaded.messages) == 3
    assert loaded.run("Hello", max_tokens=1).usage.completion_tokens == 1


def test_another_template_computes_it_again(saved, tiny_path, caplog):
    template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:"
    with Model.from_local(tiny_path, threads=1, chat_template=template) as other, caplog.at_level(logging.WARNING):
        assert not is_warm(Agent.load(saved, other))
    assert "prefill the whole conversation" in caplog.text


def test_without_room_in_ram_it_is_computed_again(saved, tiny_path, caplog):
    with Model.from_local(tiny_path, threads=1, cache_ram=0) as other, caplog.at_level(logging.WARNING):
        assert not is_warm(Agent.load(saved, other))
    assert "no room for it in cache_ram" in caplog.text


def header_size(content):
    return 8 + 8 + struct.unpack("<Q", content[8:16])[0] + 8


@pytest.mark.parametrize("way", ["changed", "cut"])
def test_damage_behind_the_history_costs_only_the_prefill(way, saved, tiny_model, caplog):
    content = bytearray(saved.read_bytes())
    if way == "changed":
        content[-1000] ^= 1
    else:
        del content[-1000:]
    saved.write_bytes(content)
    with caplog.at_level(logging.WARNING, "luup_agent"):
        loaded = Agent.load(saved, tiny_model)
    assert f"the file was {way}" in caplog.text
    assert len(loaded.messages) == 3


def test_damage_to_the_history_is_an_error(saved, tiny_model):
    content = bytearray(saved.read_bytes())
    for at in [*range(40), *range(40, header_size(content), 37)]:
        damaged = bytearray(content)
        damaged[at] ^= 0x10
        saved.write_bytes(damaged)
        with pytest.raises(StorageError):
            Agent.load(saved, tiny_model)
    for length in (0, 4, 8, 12, 16, 40, header_size(content) - 1):
        saved.write_bytes(content[:length])
        with pytest.raises(StorageError):
            Agent.load(saved, tiny_model)


def test_files_that_are_none(tmp_path, tiny_model, model_path):
    for path in (tmp_path / "missing", tmp_path, model_path):
        with pytest.raises(StorageError, match=str(path.name)):
            Agent.load(path, tiny_model)
    with pytest.raises(InvalidParamError, match="path"):
        Agent.load(3, tiny_model)


def test_a_place_that_can_not_be_written_keeps_what_was_there(agent, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("kept")
    with pytest.raises(StorageError, match="folder"):
        agent.save(tmp_path / "folder")
    with pytest.raises(StorageError, match="missing"):
        agent.save(tmp_path / "missing" / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
    assert (tmp_path / "folder" / "file").read_text() == "kept"


def test_saving_again_replaces_the_file(agent, saved, tiny_model):
    copy = saved.with_name("copy")
    shutil.copy(str(saved), str(copy))
    agent.run("And I am 36.")
    agent.save(saved)
    assert len(Agent.load(saved, tiny_model).messages) == 5
    assert len(Agent.load(copy, tiny_model).messages) == 3


def test_an_agent_that_answers_is_not_saved(agent, tmp_path):
    stream = agent.generate_stream("Tell me more.", max_tokens=500)
    next(stream)
    with pytest.raises(BusyError):
        agent.save(tmp_path / "busy")
    stream.close()
    assert not (tmp_path / "busy").exists()


async def test_saving_does_not_disturb_others(agent, tiny_model, tmp_path):
    other = Agent(tiny_model, temperature=0, max_tokens=40)
    stream = other.generate_async("Count.")
    async for _ in stream:
        agent.save(tmp_path / "saved")
    assert is_warm(Agent.load(tmp_path / "saved", tiny_model))
