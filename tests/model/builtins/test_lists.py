"""To-do lists and notes as the program sees them, in memory and in files."""

import json
import os
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from luup_agent import Agent, InvalidParamError, Note, StorageError, Todo, ToolNotFoundError


@pytest.fixture(params=["memory", "file"])
def path(request, tmp_path):
    return None if request.param == "memory" else tmp_path / "kept.json"


def test_a_task_goes_its_way(agent, path):
    agent.enable_builtin_todo(path)
    before = datetime.now(timezone.utc) - timedelta(milliseconds=1)
    milk = agent.todos.add("Buy milk")
    assert milk == Todo(id=1, text="Buy milk", done=False, created_at=milk.created_at, completed_at=None)
    assert before <= milk.created_at <= datetime.now(timezone.utc)
    assert milk.created_at.utcoffset() == timedelta(0)
    bread = agent.todos.add("Brot kaufen: Körner, 🍞")
    assert [todo.id for todo in agent.todos.list()] == [1, 2]
    done = agent.todos.complete(milk.id)
    assert done.done
    assert done.completed_at >= milk.created_at
    assert agent.todos.complete(milk.id) == done  # once is enough
    assert agent.todos.list() == [done, bread]
    assert agent.todos.delete(2) == bread
    assert agent.todos.list() == [done]


def test_ids_grow_and_never_come_back(agent, path):
    agent.enable_builtin_todo(path)
    for _ in range(3):
        agent.todos.add("x")
    for number in (3, 1, 2):
        agent.todos.delete(number)
    assert agent.todos.list() == []
    assert agent.todos.add("y").id == 4


def test_a_note_goes_its_way(agent, path):
    agent.enable_builtin_notes(path)
    note = agent.notes.create("The key is under the mat.", tags=["home", "keys"])
    assert note == Note(
        id=1,
        content="The key is under the mat.",
        tags=("home", "keys"),
        created_at=note.created_at,
        updated_at=note.created_at,
    )
    assert agent.notes.read(1) == note
    moved = agent.notes.update(1, content="The key is in the shed.")
    assert (moved.content, moved.tags) == ("The key is in the shed.", note.tags)
    assert moved.updated_at >= moved.created_at == note.created_at
    assert agent.notes.update(1, tags=[]).tags == ()
    assert agent.notes.delete(1).content == "The key is in the shed."
    assert agent.notes.list() == []


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("milk", [1]),
        ("MILK", [1]),
        ("shop milk", [1]),
        ("milk tram", []),
        ("straße", [2]),
        ("STRAßE", [2]),
        ("ΟΔΟΣ", [3]),
        ("οδος", [3]),
        ("ЭТАЖ", [4]),
        ("crème", [5]),
        ("CRE\u0300ME", [5]),  # an accent of its own
        ("CREME brulee zoe", [5]),
        ("μόσκβα", []),
        ("한", [7]),
        ("하", []),
        ("日本", [6]),
        ("o", [1, 2, 3, 5]),  # Shopping, Tokyo, tomorrow, Zoë
    ],
)
def test_a_search_knows_no_case(agent, path, query, found):
    agent.enable_builtin_notes(path)
    agent.notes.create("Milk and bread", tags=["Shopping"])
    agent.notes.create("Die lange Straße nach Tokyo")
    agent.notes.create("Ελληνική Οδός, tomorrow", tags=["οδοσ"])
    agent.notes.create("Второй этаж")
    agent.notes.create("Crème brûlée for Zoë")
    agent.notes.create("日本語")
    agent.notes.create("한국어")
    assert [note.id for note in agent.notes.search(query)] == found


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda a: a.todos.complete(7), "no item with the id 7 in the todos"),
        (lambda a: a.todos.delete(-1), "id -1"),
        (lambda a: a.todos.delete(2**63), "id must be .*9223372036854775808"),
        (lambda a: a.todos.delete("1"), "id must be an int, not str"),
        (lambda a: a.todos.delete(True), "id must be an int, not bool"),
        (lambda a: a.todos.add(""), "todo_add: /text: .*1 char"),
        (lambda a: a.todos.add("é" * 2001), "text has 4002 bytes"),
        (lambda a: a.todos.add(5), "text must be a str"),
        (lambda a: a.todos.add("a\ud800"), "lone surrogate"),
        (lambda a: a.todos.add("a\0"), "NUL"),
        (lambda a: a.notes.read(7), "no item with the id 7 in the notes"),
        (lambda a: a.notes.create(""), "note_create: /content: .*1 char"),
        (lambda a: a.notes.create("x" * 16001), "content has 16001 bytes"),
        (lambda a: a.notes.create("x", tags="tag"), "tags must be a list"),
        (lambda a: a.notes.create("x", tags=["a", 5]), r"tags\[1\] must be a str"),
        (lambda a: a.notes.create("x", tags=[""]), "note_create: /tags/0: .*1 char"),
        (lambda a: a.notes.create("x", tags=["t"] * 33), "33 tags"),
        (lambda a: a.notes.update(1), "content and tags are both missing"),
        (lambda a: a.notes.search(" \n"), "query has no words"),
    ],
)
def test_bad_calls_are_refused_and_change_nothing(agent, path, call, problem):
    agent.enable_builtin_todo(path)
    agent.enable_builtin_notes(None if path is None else path.with_name("notes.json"))
    with pytest.raises(InvalidParamError, match=problem):
        call(agent)
    assert agent.todos.list() == []
    assert agent.notes.list() == []


def test_what_is_not_switched_on_is_not_there(tiny_model):
    agent = Agent(tiny_model)
    with pytest.raises(ToolNotFoundError, match="enable_builtin_todo"):
        agent.todos.list()
    with pytest.raises(ToolNotFoundError, match="enable_builtin_notes"):
        agent.notes.list()
    strict = Agent(tiny_model, enable_builtin_tools=False)
    for switch in (strict.enable_builtin_todo, strict.enable_builtin_notes, strict.enable_builtin_summarization):
        with pytest.raises(InvalidParamError, match="enable_builtin_tools=False"):
            switch()
    with pytest.raises(InvalidParamError, match="enable_builtin_tools=False"):
        strict.summarization  # noqa: B018


def test_switching_on_twice_keeps_the_first(agent, tmp_path):
    agent.enable_builtin_todo()
    agent.todos.add("x")
    with pytest.raises(InvalidParamError, match='already has a tool "todo_add"'):
        agent.enable_builtin_todo(tmp_path / "other.json")
    assert [todo.text for todo in agent.todos.list()] == ["x"]


def test_a_tool_of_the_same_name_is_in_the_way(tiny_model):
    def note_read(number: int) -> str:
        """Reads."""
        return "mine"

    agent = Agent(tiny_model, tools=[note_read])
    with pytest.raises(InvalidParamError, match='already has a tool "note_read"'):
        agent.enable_builtin_notes()
    with pytest.raises(ToolNotFoundError):
        agent.notes  # noqa: B018
    assert set(agent.tools) == {"note_read"}


def test_agents_share_a_file_and_forks_a_list(tiny_model, tmp_path):
    one, other = Agent(tiny_model), Agent(tiny_model)
    for agent in (one, other):
        agent.enable_builtin_todo(tmp_path / "todo.json")
        agent.enable_builtin_notes()
    assert one.todos.add("a").id == 1
    assert other.todos.add("b").id == 2
    assert one.todos.list() == other.todos.list()
    one.notes.create("mine")
    assert other.notes.list() == []
    fork = one.fork()
    fork.notes.create("ours")
    assert [note.content for note in one.notes.list()] == ["mine", "ours"]


def test_a_relative_path_stays_where_it_was(agent, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    agent.enable_builtin_todo("todo.json")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    agent.todos.add("x")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["elsewhere", "todo.json", "todo.json.lock"]


def test_the_file_is_readable_json(agent, tmp_path):
    agent.enable_builtin_todo(tmp_path / "todo.json")
    agent.todos.add("Käse")
    content = json.loads((tmp_path / "todo.json").read_text(encoding="utf-8"))
    assert (content["version"], content["next_id"]) == (1, 2)
    assert content["todos"][0]["text"] == "Käse"
    assert content["todos"][0]["created_at"].endswith("Z")


@pytest.mark.parametrize("path", ["", 5, "a\0b", b"x"])
def test_what_is_no_path(agent, path):
    with pytest.raises(InvalidParamError, match="path"):
        agent.enable_builtin_todo(path)


words = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1, max_size=20)
actions = st.lists(
    st.one_of(
        st.tuples(st.just("add"), words),
        st.tuples(st.sampled_from(["complete", "delete"]), st.integers(1, 8)),
    ),
    max_size=12,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions)
def test_any_course_of_actions_is_kept(tiny_model, tmp_path_factory, course):
    path = tmp_path_factory.mktemp("course") / "todo.json"
    agent, expected, last = Agent(tiny_model), {}, 0
    agent.enable_builtin_todo(path)
    for action, value in course:
        if action == "add":
            last += 1
            assert agent.todos.add(value).id == last
            expected[last] = (value, False)
        elif value not in expected:
            with pytest.raises(InvalidParamError):
                getattr(agent.todos, action)(value)
        elif action == "complete":
            agent.todos.complete(value)
            expected[value] = (expected[value][0], True)
        else:
            agent.todos.delete(value)
            del expected[value]
    other = Agent(tiny_model)
    other.enable_builtin_todo(path)
    assert {todo.id: (todo.text, todo.done) for todo in other.todos.list()} == expected


# ---------------------------------------------------------------------------------------------------------------------
# Files that can't be used
# ---------------------------------------------------------------------------------------------------------------------

GOOD = {
    "version": 1,
    "next_id": 2,
    "todos": [{"id": 1, "text": "x", "done": False, "created_at": "2026-01-02T03:04:05.678Z", "completed_at": None}],
}
DAMAGED = {
    "empty": b"",
    "cut": json.dumps(GOOD).encode()[:-20],
    "not JSON": b"\x00\xff not JSON",
    "not UTF-8": json.dumps(GOOD).encode().replace(b'"x"', b'"\xff"'),
    "a list": b"[]",
    "of notes": json.dumps({**GOOD, "todos": None, "notes": []}).encode(),
    "newer": json.dumps({**GOOD, "version": 2}).encode(),
    "no next id": json.dumps({**GOOD, "next_id": None}).encode(),
    "id too high": json.dumps({**GOOD, "next_id": 1}).encode(),
    "id twice": json.dumps({**GOOD, "todos": GOOD["todos"] * 2}).encode(),
    "no text": json.dumps({**GOOD, "todos": [{"id": 1, "done": False}]}).encode(),
    "wrong type": json.dumps({**GOOD, "todos": [{**GOOD["todos"][0], "done": "no"}]}).encode(),
    "deep": b"[" * 100_000,
}


def test_the_good_file_is_good(agent, tmp_path):
    (tmp_path / "todo.json").write_text(json.dumps(GOOD))
    agent.enable_builtin_todo(tmp_path / "todo.json")
    assert agent.todos.add("y").id == 2


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_file_is_told_of_and_kept(agent, tmp_path, damage):
    path = tmp_path / "todo.json"
    path.write_bytes(DAMAGED[damage])
    with pytest.raises(StorageError, match=r"todo\.json is damaged, and was not changed"):
        agent.enable_builtin_todo(path)
    with pytest.raises(ToolNotFoundError):
        agent.todos  # noqa: B018
    assert path.read_bytes() == DAMAGED[damage]

    path.unlink()
    agent.enable_builtin_todo(path)
    agent.todos.add("x")
    path.write_bytes(DAMAGED[damage])  # later
    for call in (lambda: agent.todos.add("y"), agent.todos.list, lambda: agent.todos.delete(1)):
        with pytest.raises(StorageError, match=r"todo\.json is damaged"):
            call()
    assert path.read_bytes() == DAMAGED[damage]


def test_places_that_can_not_be_used(agent, tmp_path):
    (tmp_path / "folder").mkdir()
    os.mkfifo(str(tmp_path / "pipe"))
    (tmp_path / "target.json").write_text(json.dumps(GOOD))
    (tmp_path / "link.json").symlink_to(tmp_path / "target.json")
    (tmp_path / "dangling.json").symlink_to(tmp_path / "nowhere")
    for name, problem in [
        ("folder", "folder"),
        ("pipe", "not a regular file"),
        ("link.json", "symbolic link"),
        ("dangling.json", "symbolic link"),
        ("missing/todo.json", "No such file"),
    ]:
        with pytest.raises(StorageError, match=problem):
            agent.enable_builtin_todo(tmp_path / name)
    assert json.loads((tmp_path / "target.json").read_text()) == GOOD
    assert not (tmp_path / "nowhere").exists()


def test_a_file_that_becomes_a_link_is_not_followed(agent, tmp_path):
    path, target = tmp_path / "todo.json", tmp_path / "target.json"
    agent.enable_builtin_todo(path)
    agent.todos.add("x")
    target.write_text("precious")
    for link in (path, tmp_path / "todo.json.lock"):
        kept = link.read_bytes()
        link.unlink()
        link.symlink_to(target)
        with pytest.raises(StorageError, match="symbolic link"):
            agent.todos.add("y")
        link.unlink()
        link.write_bytes(kept)
    (tmp_path / "todo.json.part").symlink_to(target)  # is replaced, not followed
    agent.todos.add("y")
    assert target.read_text() == "precious"
    assert [todo.text for todo in agent.todos.list()] == ["x", "y"]


def test_the_users_of_a_file_stay_the_same(agent, tmp_path):
    path = tmp_path / "todo.json"
    path.write_text(json.dumps(GOOD))
    path.chmod(0o600)
    agent.enable_builtin_todo(path)
    agent.todos.add("y")
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_closed_agent_says_so(agent):
    agent.enable_builtin_todo()
    todos = agent.todos
    todos.add("x")
    agent.close()
    with pytest.raises(Exception, match="the agent was closed"):
        agent.todos  # noqa: B018
    assert len(todos.list()) == 1  # an object that the caller already has still works
