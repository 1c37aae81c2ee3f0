"""The KV state beside a database of conversations: another process prefills its new tokens alone."""

import hashlib
import json
import logging
import os
import stat
import sys

import pytest

from luup_agent import Agent, InvalidParamError, Model, SQLiteSessions
from luup_agent.testing import ScriptedModel

SYSTEM = "You are a helpful assistant. " + "You know that the sea is wide, and that boats are made of wood. " * 40

PROGRAM = """
import json, sys
from luup_agent import Agent, Model, SQLiteSessions

path, database, system, message = sys.argv[1:]
with Model.from_local(path, threads=1) as model, SQLiteSessions(database) as sessions:
    response = sessions.open("ada", Agent(model, system, temperature=0, max_tokens=24)).run(message)
    usage = response.usage
    print(json.dumps([response.text, usage.prompt_tokens, usage.cached_tokens]))
"""


def test_another_process_prefills_its_new_tokens_alone(tmp_path, model_path, model, child):
    agent = Agent(model, SYSTEM, temperature=0, max_tokens=24)
    with SQLiteSessions(tmp_path / "expected.db", warm_bytes=0) as cold:
        session = cold.open("ada", agent)
        expected = [session.generate(text) for text in ("My cat is called Tom.", "What is my cat called?")]
    told = []
    for message in ("My cat is called Tom.", "What is my cat called?"):
        ended = child(PROGRAM, model_path, tmp_path / "chats.db", SYSTEM, message)
        assert ended.returncode == 0, ended.stderr
        told.append(json.loads(ended.stdout))
    assert [text for text, _, _ in told] == expected
    (_, first, first_cached), (_, second, second_cached) = told
    assert first > 600
    assert first_cached == 0
    assert second_cached >= first
    assert second - second_cached < 24
    assert not (tmp_path / "expected.db-kv").exists()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "chats.db"


@pytest.fixture
def agent(tiny_model):
    return Agent(tiny_model, "word " * 300, temperature=0, max_tokens=4)


def files(path):
    return sorted(path.with_name(path.name + "-kv").glob("*.kv"))


def talk(path, agent, name="ada", message="Hello there.", **options):
    with SQLiteSessions(path, **options) as sessions:
        return sessions.open(name, agent).run(message)


def cached(tiny_path, path, system="word " * 300, name="ada"):
    """Return how many tokens of the next prompt of a conversation are known to a model that has just been loaded."""
    with Model.from_local(tiny_path, threads=1) as other:
        return talk(path, Agent(other, system, temperature=0, max_tokens=4), name, "Go on.").usage.cached_tokens


def test_in_every_way_to_run(path, agent, tiny_path, api):
    with SQLiteSessions(path) as sessions:
        api.response(sessions.open("ada", agent), "Hello there.")
    with Model.from_local(tiny_path, threads=1) as other, SQLiteSessions(path) as sessions:
        again = sessions.open("ada", Agent(other, "word " * 300, temperature=0, max_tokens=4))
        assert api.response(again, "Go on.").usage.cached_tokens > 300


def test_with_tools_of_a_run(path, tiny_path):
    def add(a: int, b: int) -> int:
        """Adds two numbers."""
        return a + b

    used = []
    for _ in range(2):
        with Model.from_local(tiny_path, threads=1) as model, SQLiteSessions(path) as sessions:
            session = sessions.open("ada", Agent(model, temperature=0, max_tokens=4))
            used.append(session.run("Hello. " + "word " * 300, tools=[add], tool_choice="none").usage)
    assert used[1].cached_tokens > 300


@pytest.mark.skipif(sys.platform == "win32", reason="modes of POSIX")
def test_the_files_are_private(path, agent):
    talk(path, agent)
    (file,) = files(path)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert b"Hello there" not in file.read_bytes()


def test_a_file_is_written_again_when_the_conversation_has_grown_by_an_eighth(path, agent):
    with SQLiteSessions(path) as sessions:
        session = sessions.open("ada", agent)
        session.run("Hello there.")
        (file,) = files(path)
        first = file.stat().st_size
        session.run("Go on.")
        assert file.stat().st_size == first
        session.run("More. " * 60)
        assert file.stat().st_size > first * 1.1


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "of something else"])
def test_a_damaged_file_is_ignored_and_made_again(path, agent, tiny_path, damage, caplog):
    talk(path, agent)
    (file,) = files(path)
    content = bytearray(file.read_bytes())
    if damage == "changed":
        content[-1000] ^= 1
    parts = {"cut": content[:-1000], "changed": content, "empty": b"", "of something else": b"x" * 5000}
    file.write_bytes(parts[damage])
    with caplog.at_level(logging.INFO, "luup_agent"):
        assert cached(tiny_path, path) == 0
    assert "the KV state of the session 'ada' is not used" in caplog.text
    assert cached(tiny_path, path) > 300


def test_the_state_of_other_words_is_of_no_use(path, agent, tiny_path):
    talk(path, agent)
    with SQLiteSessions(path) as sessions:
        sessions.delete("ada")
    assert files(path) == []
    talk(path, agent)
    assert cached(tiny_path, path, "others " * 300) < 30


def test_one_file_for_each_model(path, agent, model):
    talk(path, agent)
    talk(path, Agent(model, "Be brief.", temperature=0, max_tokens=4), message="And you?")
    assert len(files(path)) == 2


def test_the_bytes_are_bounded(path, agent):
    talk(path, agent)
    (file,) = files(path)
    size = file.stat().st_size
    for number in range(4):
        talk(path, agent, f"other {number}", warm_bytes=3 * size + size // 2)
        os.utime(file)  # "ada" is in use
    assert len(files(path)) == 3
    assert file in files(path)
    assert sum(each.stat().st_size for each in files(path)) <= 3 * size + size // 2
    talk(path, agent, "too large", warm_bytes=size // 2)
    assert hashlib.sha256(b"too large").hexdigest()[:32] not in "".join(map(str, files(path)))


def test_changes_of_conversations(path, agent, tiny_path):
    talk(path, agent)
    with SQLiteSessions(path) as sessions:
        sessions.branch("ada", "eve")
        sessions.rename("ada", "bob")
    assert len(files(path)) == 2
    assert cached(tiny_path, path, name="eve") > 300
    assert cached(tiny_path, path, name="bob") > 300
    with SQLiteSessions(path) as sessions:
        sessions.delete("eve")
        sessions.delete("bob")
    assert files(path) == []


@pytest.mark.skipif(sys.platform == "win32", reason="modes of POSIX")
@pytest.mark.parametrize("kind", ["link", "open", "file"])
def test_a_folder_that_others_can_write_to_is_not_used(path, agent, kind, caplog):
    folder = path.with_name(path.name + "-kv")
    if kind == "link":
        (path.parent / "elsewhere").mkdir(mode=0o700)
        folder.symlink_to(path.parent / "elsewhere")
    elif kind == "open":
        folder.mkdir()
        folder.chmod(0o777)
    else:
        folder.write_text("mine")
    talk(path, agent)
    assert "no KV states are kept" in caplog.text
    assert kind == "file" or list(folder.iterdir()) == []


def test_what_keeps_nothing(path, agent, tmp_path):
    talk(path, agent, warm_bytes=0)
    talk(":memory:", agent)
    talk(tmp_path / "scripted.db", Agent(ScriptedModel(["Hi."])))
    assert [each for each in tmp_path.iterdir() if each.name.endswith("-kv")] == []
    for wrong in (-1, 1.5, True, "1 GB"):
        with pytest.raises(InvalidParamError, match="warm_bytes must be an int"):
            SQLiteSessions(path, warm_bytes=wrong)


def test_a_summary_and_a_conversation_that_another_process_goes_on_with(path, tiny_path):
    with Model.from_local(tiny_path, threads=1, context_size=1024) as narrow:
        agent = Agent(narrow, temperature=0, max_tokens=4)
        with SQLiteSessions(path) as here, SQLiteSessions(path) as there:
            first, second = here.open("ada", agent), there.open("ada", agent)
            summarized = 0
            for number in range(6):
                session = second if number % 2 else first
                summarized += session.run(f"Number {number}. " + "word " * 180).summary is not None
            assert summarized
            assert len(files(path)) == 1
