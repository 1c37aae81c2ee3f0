"""Files with flipped bytes and other JSON values: they are read, or refused by the error that the docs name."""

import contextlib
import json

import pytest
from support.damage import damaged_bytes, dumped, other_values
from support.saved_agent import fingerprint, read_header, with_header

from luup_agent import Agent, InvalidParamError, LuupError, StorageError, UnsupportedError, _verified
from luup_agent.testing import CassetteError, RecordedModel, Reply, ScriptedModel, tool_call

MODEL = ScriptedModel(["ok"] * 100_000)


# ---------------------------------------------------------------------------------------------------------------------
# Saved agents
# ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path):
    """The file of an agent with every kind of message."""
    agent = Agent(MODEL, "Be brief.", temperature=0.5, stop=["end"], seed=7, timeout=60)
    agent.set_history(
        [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What is 5 + 3?"},
            {
                "role": "assistant",
                "content": "",
                "reasoning_content": "A tool knows.",
                "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "add", "arguments": '{"a": 5, "b": 3}'}}
                ],
            },
            {"role": "tool", "tool_call_id": "a", "name": "add", "content": "8"},
            {"role": "assistant", "content": "It is 8."},
        ]
    )
    path = tmp_path / "ada.agent"
    agent.save(path)
    return path


def use(path):
    """Load an agent, and use what the file held."""
    agent = Agent.load(path, MODEL)
    assert len(agent.get_history()) == len(agent.messages)
    with contextlib.suppress(LuupError):  # such as a call that waits, or a tool that the agent lacks
        agent.fork().run("Go on.", timeout=60)


def check_saved(path, content):
    path.write_bytes(content)
    try:
        use(path)
    except StorageError:
        return False
    except UnsupportedError as error:  # the file names an adapter, which this model can't have
        if "adapter" not in str(error):
            raise
        return False
    return True


def test_the_checksum_is_the_cores(saved):
    content = saved.read_bytes()
    assert with_header(content, content[16:].split(b'"key"')[0].decode() + "}") != content
    size = int.from_bytes(content[8:16], "little")
    assert fingerprint(content[16 : 16 + size]).to_bytes(8, "little") == content[16 + size : 24 + size]
    assert check_saved(saved, with_header(content, json.dumps(read_header(content))))


def test_saved_agents_with_damaged_bytes(saved):
    content = saved.read_bytes()
    for damaged in damaged_bytes(content):
        check_saved(saved, damaged)


def test_saved_agents_with_other_values(saved):
    content = saved.read_bytes()
    header = read_header(content)
    results = [check_saved(saved, with_header(content, dumped(each))) for each in other_values(header)]
    assert results.count(False) > 100


def test_saved_agents_with_other_settings(saved):
    content = saved.read_bytes()
    header = read_header(content)
    results = []
    for extra in other_values(json.loads(header["extra"])):
        changed = dumped({**header, "extra": dumped(extra)})
        results.append(check_saved(saved, with_header(content, changed)))
    assert results.count(False) > 300
    assert results.count(True) > 20


@pytest.mark.parametrize("name", ["tools", "deps", "approve"])
def test_objects_of_a_process_do_not_come_from_a_file(saved, name):
    content = saved.read_bytes()
    header = read_header(content)
    extra = json.loads(header["extra"])
    extra["settings"][name] = "text"
    saved.write_bytes(with_header(content, json.dumps({**header, "extra": json.dumps(extra)})))
    with pytest.raises(StorageError, match=name):
        Agent.load(saved, MODEL)


def test_a_wrong_option_stays_the_callers_mistake(saved):
    with pytest.raises(InvalidParamError, match="temperature"):
        Agent.load(saved, MODEL, temperature=-1)


# ---------------------------------------------------------------------------------------------------------------------
# Cassettes
# ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def cassette(tmp_path):
    """A cassette of an answer, a call, and an error."""
    path = tmp_path / "tape.json"
    replies = [tool_call("add", a=5, b=3), Reply("It is 8.", reasoning="5 + 3"), LuupError("busy"), "ü 🦊"]
    play(RecordedModel(path, ScriptedModel(replies)))
    return path


def play(model):
    agent = Agent(model, temperature=0)

    @agent.tool
    def add(a: int, b: int) -> int:
        """Adds two numbers."""
        return a + b

    for question in ("What is 5 + 3?", "Again?", "And again?"):
        with contextlib.suppress(LuupError):
            agent.generate(question, timeout=60)
    model.close()


def check_cassette(path, content):
    path.write_bytes(content)
    try:
        play(RecordedModel(path))
    except CassetteError:
        return False
    return True


def test_cassettes_with_damaged_bytes(cassette):
    for damaged in damaged_bytes(cassette.read_bytes(), count=150):
        check_cassette(cassette, damaged)


def test_cassettes_with_other_values(cassette):
    value = json.loads(cassette.read_bytes())
    value["exchanges"] = [each for each in value["exchanges"] if "error" in each] + value["exchanges"][1:2]
    results = [check_cassette(cassette, dumped(each).encode("ascii")) for each in other_values(value, 300)]
    assert results.count(False) > 30


@pytest.mark.parametrize("kind", ["check_error", "make_error", "annotations", "Exception", "__doc__", "InferenceError"])
def test_the_class_of_a_recorded_error_is_one_of_ours(cassette, kind):
    value = json.loads(cassette.read_bytes())
    error = {"type": kind, "message": "busy"}
    value["exchanges"] = [{**each, "chunks": [], "error": error} for each in value["exchanges"]]
    cassette.write_text(json.dumps(value))
    agent = Agent(RecordedModel(cassette), temperature=0)
    with pytest.raises((LuupError, CassetteError)):
        agent.generate("What is 5 + 3?")


# ---------------------------------------------------------------------------------------------------------------------
# Other files
# ---------------------------------------------------------------------------------------------------------------------


def test_records_of_checked_files(tmp_path, monkeypatch):
    file, record = tmp_path / "model", tmp_path / "checked.json"
    file.write_bytes(b"weights")
    other = "0" * 64
    digest = _verified._hash(str(file))[1]
    assert _verified.has_sha256(str(file), digest, str(record))
    content = record.read_bytes()
    value = json.loads(content)
    for damaged in [*damaged_bytes(content, count=100), *(dumped(each).encode() for each in other_values(value))]:
        record.write_bytes(damaged)
        monkeypatch.setattr(_verified, "_checked", {})
        assert _verified.has_sha256(str(file), digest, str(record))
        monkeypatch.setattr(_verified, "_checked", {})
        assert not _verified.has_sha256(str(file), other, str(record))


@pytest.mark.parametrize("kind", ["todo", "notes"])
def test_files_of_built_in_tools(kind, tmp_path):
    path = tmp_path / f"{kind}.json"
    agent = Agent(MODEL)
    (agent.enable_builtin_todo if kind == "todo" else agent.enable_builtin_notes)(path)
    if kind == "todo":
        agent.todos.add("Buy milk")
        agent.todos.complete(agent.todos.add("Call Ada").id)
        uses = [agent.todos.list, lambda: agent.todos.complete(1), lambda: agent.todos.delete(2)]
    else:
        agent.notes.create("Ada likes tea.", tags=["people"])
        agent.notes.create("The key is under the mat.")
        uses = [
            agent.notes.list,
            lambda: agent.notes.read(1),
            lambda: agent.notes.search("tea"),
            lambda: agent.notes.update(1, tags=["x"]),
            lambda: agent.notes.delete(2),
        ]
    content = path.read_bytes()
    value = json.loads(content)
    refused = 0
    for damaged in [*damaged_bytes(content, count=50), *(dumped(each).encode() for each in other_values(value, 150))]:
        for each in uses:
            path.write_bytes(damaged)
            try:
                each()
            except StorageError:
                refused += 1
            except InvalidParamError:  # there is no such entry any more
                assert each is not uses[0]
    assert refused > 100


@pytest.mark.parametrize(
    "date", ["2024-02-30T00:00:00Z", "0000-01-01T00:00:00Z", "", "tomorrow", "99999999999999999999"]
)
@pytest.mark.parametrize(
    ("kind", "field"), [("todos", "created_at"), ("todos", "completed_at"), ("notes", "updated_at")]
)
def test_a_date_that_does_not_exist(kind, field, date, tmp_path):
    path = tmp_path / "kept.json"
    agent = Agent(MODEL)
    if kind == "todos":
        agent.enable_builtin_todo(path)
        agent.todos.add("Buy milk")
        uses = [agent.todos.list, lambda: agent.todos.complete(1), lambda: agent.todos.add("Buy tea")]
    else:
        agent.enable_builtin_notes(path)
        agent.notes.create("Milk")
        uses = [agent.notes.list, lambda: agent.notes.update(1, content="Tea"), lambda: agent.notes.delete(1)]
    value = json.loads(path.read_text())
    value[kind][0][field] = date
    damaged = json.dumps(value)
    path.write_text(damaged)
    for use in uses:
        with pytest.raises(StorageError, match=field):
            use()
        assert path.read_text() == damaged
