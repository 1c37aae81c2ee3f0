"""Conversations that the server keeps: `/v1/sessions`."""

import os
import stat
import threading

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from support import pictures

from luup_agent import Agent, Image, InvalidParamError, SQLiteSessions, StorageError
from luup_agent.server import create_app
from luup_agent.testing import FunctionModel, ScriptedModel

from .test_bad_requests import error_of


def user(name, text, parent=None, **more):
    return {
        "entry": {"id": name, "parent": parent, "role": "user", "text": text},
        "messages": [said("user", text)],
        **more,
    }


def answer(name, text, parent, **more):
    entry = {"id": name, "parent": parent, "role": "assistant", "parts": [{"type": "text", "text": text}]}
    return {"entry": entry, "messages": [said("assistant", text)], **more}


def said(role, text):
    return {"role": role, "content": text}


@pytest.fixture
def sessions():
    with SQLiteSessions(":memory:") as opened:
        yield opened


@pytest.fixture
def client(served, sessions):
    with served({"m": ScriptedModel([])}, sessions=sessions).client() as connected:
        yield connected


def put(client, session, body, status=200):
    response = client.post(f"/v1/sessions/{session}/entries", json=body)
    assert response.status_code == status, response.text
    return response.json()


@pytest.fixture
def talk(client):
    """A conversation of two questions, of which the first has been edited."""
    put(client, "a", user("u1", "Red apples?", new=True, title="Fruit"), 201)
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 1}}
    put(client, "a", answer("a1", "Yes.", "u1", usage=usage))
    put(client, "a", user("u2", "And pears?", "a1"))
    put(client, "a", user("u3", "Green apples?"))
    put(client, "a", answer("a3", "Also.", "u3"))
    return client


def ids(client, **query):
    return [each["id"] for each in client.get("/v1/sessions", params=query).json()["data"]]


def test_a_conversation_is_a_tree(talk):
    shown = talk.get("/v1/sessions/a").json()
    assert (shown["object"], shown["title"], shown["messages"]) == ("session", "Fruit", 5)
    assert [(each["id"], each["parent"], each["role"]) for each in shown["entries"]] == [
        ("u1", None, "user"),
        ("a1", "u1", "assistant"),
        ("u2", "a1", "user"),
        ("u3", None, "user"),
        ("a3", "u3", "assistant"),
    ]
    assert shown["entries"][1]["messages"] == [said("assistant", "Yes.")]
    assert shown["entries"][1]["parts"] == [{"type": "text", "text": "Yes."}]
    assert (shown["usage"]["prompt_tokens"], shown["usage"]["cached_tokens"]) == (5, 1)


def test_a_program_goes_on_with_the_newest_branch(talk, sessions):
    model = ScriptedModel(["A program's answer."])
    session = sessions.open("a", Agent(model))
    assert [each.content for each in session.messages] == ["Green apples?", "Also."]
    session.generate("And plums?")
    assert [each.content for each in model.requests[-1].messages] == ["Green apples?", "Also.", "And plums?"]
    *_, asked, answered = talk.get("/v1/sessions/a").json()["entries"]
    assert (asked["parent"], asked["messages"]) == ("a3", [said("user", "And plums?")])
    assert (answered["parent"], answered["messages"][0]["content"]) == (asked["id"], "A program's answer.")
    put(talk, "a", user("u9", "More?", answered["id"]))
    put(talk, "a", user("u10", "Back to red ones?", "a1"))
    assert [each.content for each in sessions.open("a", Agent(model)).messages] == [
        "Red apples?",
        "Yes.",
        "Back to red ones?",
    ]
    assert len(sessions.messages("a")) == 9  # nothing is lost


def test_a_conversation_of_a_program_is_shown(client, sessions):
    agent = Agent(ScriptedModel(["One.", "Two."]))
    session = sessions.open("p", agent)
    session.generate("First")
    session.generate("Second")
    shown = client.get("/v1/sessions/p").json()["entries"]
    assert [(each["role"], each["messages"][0]["content"]) for each in shown] == [
        ("user", "First"),
        ("assistant", "One."),
        ("user", "Second"),
        ("assistant", "Two."),
    ]
    assert [each["parent"] for each in shown] == [None, *(each["id"] for each in shown[:-1])]


def test_an_answer_that_grows(talk, sessions):
    entry = {"id": "a4", "parent": "a3", "role": "assistant", "parts": ["so far"]}
    put(talk, "a", {"entry": entry})
    put(talk, "a", {"entry": {**entry, "parts": ["so far and more"]}})
    call = {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    }
    put(talk, "a", {"entry": {**entry, "parts": ["a call"]}, "messages": [call]})
    result = {"role": "tool", "tool_call_id": "c", "content": "found"}
    put(talk, "a", {"entry": {**entry, "parts": ["all"]}, "messages": [result, said("assistant", "End.")]})
    *_, last = talk.get("/v1/sessions/a").json()["entries"]
    assert (last["id"], last["parts"]) == ("a4", ["all"])
    assert [each["role"] for each in last["messages"]] == ["assistant", "tool", "assistant"]
    assert [each.content for each in sessions.open("a", Agent(ScriptedModel([]))).messages][-1] == "End."


def test_the_list_and_the_search(talk):
    put(talk, "b", user("u1", "Which trains go to Oslo?", new=True, title="Oslo by train"), 201)
    assert ids(talk) == ["b", "a"]
    assert ids(talk, limit=1) == ["b"]
    assert talk.get("/v1/sessions?limit=1").json()["has_more"]
    assert ids(talk, limit=1, offset=1) == ["a"]
    assert ids(talk, search="pears") == ["a"]
    assert ids(talk, search="oslo train") == ["b"]
    assert ids(talk, search="FRUIT") == ["a"]
    assert ids(talk, search="nothing") == []
    assert ids(talk, search="!?") == []


def test_a_new_title(talk):
    assert talk.patch("/v1/sessions/a", json={"title": "Äpfel <b>"}).json()["title"] == "Äpfel <b>"
    assert talk.get("/v1/sessions/a").json()["title"] == "Äpfel <b>"
    assert talk.patch("/v1/sessions/a", json={"title": None}).json()["title"] is None


def test_a_branch_of_its_own(talk):
    made = talk.post("/v1/sessions/a/branch", json={"id": "b", "entry": "u2"})
    assert made.status_code == 201
    assert (made.json()["parent"], made.json()["branched_at"], made.json()["title"]) == ("a", 3, "Fruit")
    assert [each["id"] for each in talk.get("/v1/sessions/b").json()["entries"]] == ["u1", "a1", "u2"]
    later = talk.post("/v1/sessions/a/branch", json={}).json()
    assert (later["messages"], later["branched_at"]) == (2, 0)
    put(talk, "b", answer("a9", "Them too.", "u2"))
    assert talk.get("/v1/sessions/a").json()["messages"] == 5


def test_a_deleted_one(talk):
    assert talk.delete("/v1/sessions/a").json() == {"id": "a", "object": "session.deleted", "deleted": True}
    assert error_of(talk.get("/v1/sessions/a"), 404)["code"] == "session_not_found"
    assert error_of(talk.delete("/v1/sessions/a"), 404)["code"] == "session_not_found"
    error_of(talk.patch("/v1/sessions/a", json={"title": "x"}), 404)
    response = talk.post("/v1/sessions/a/entries", json=answer("a4", "Late.", None))
    assert error_of(response, 404)["code"] == "session_not_found"
    assert ids(talk) == []


def test_many_write_at_once(client, sessions):
    put(client, "a", user("u0", "Start", new=True), 201)

    def write(number):
        for step in range(5):
            put(client, "a", user(f"u{number}-{step}", f"{number} {step}", "u0"))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    shown = client.get("/v1/sessions/a").json()["entries"]
    assert {each["id"] for each in shown} == {"u0", *(f"u{n}-{s}" for n in range(6) for s in range(5))}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "entry"),
        ({"entry": []}, "entry"),
        ({"entry": {"role": "user"}}, "entry.id"),
        ({"entry": {"id": "", "role": "user"}}, "entry.id"),
        ({"entry": {"id": "a/b", "role": "user"}}, "entry.id"),
        ({"entry": {"id": "x", "parent": 5, "role": "user"}}, "entry.parent"),
        ({"entry": {"id": "x", "role": "system"}}, "entry.role"),
        ({**user("x", "Hi"), "messages": "Hi"}, "messages"),
        ({**user("x", "Hi"), "mood": "good"}, "mood"),
        ({**user("x", "Hi"), "title": 5}, "title"),
        ({**user("x", "Hi"), "title": "x" * 1001}, "title"),
        ({**user("x", "Hi"), "usage": {"prompt_tokens": -1}}, "usage.prompt_tokens"),
        ({**user("x", "Hi"), "new": "yes"}, "new"),
    ],
)
def test_wrong_fields(talk, body, param):
    assert error_of(talk.post("/v1/sessions/a/entries", json=body))["param"] == param
    assert talk.get("/v1/sessions/a").json()["messages"] == 5


@pytest.mark.parametrize(
    "body",
    [
        user("x", "Hi", "missing"),
        {**user("x", "Hi"), "messages": [said("king", "Hi")]},
        {**user("x", "Hi"), "messages": [said("system", "Hi")]},
        user("a3", "Hi"),  # has another parent
    ],
)
def test_wrong_values(talk, body):
    assert error_of(talk.post("/v1/sessions/a/entries", json=body))["code"] == "invalid_value"
    assert talk.get("/v1/sessions/a").json()["messages"] == 5


def test_other_wrong_requests(talk):
    assert (
        error_of(talk.post("/v1/sessions/a/entries", json=user("u", "Hi", new=True)), 409)["code"] == "session_conflict"
    )
    for query in ({"limit": "0"}, {"limit": "x"}, {"limit": "1001"}, {"offset": "-1"}, {"limit": "9" * 5000}):
        assert error_of(talk.get("/v1/sessions", params=query))["param"] == next(iter(query))
    error_of(talk.post("/v1/sessions/a/branch", json={"entry": "missing"}))
    error_of(talk.post("/v1/sessions/a/branch", json={"id": "a"}), 409)
    error_of(talk.get(f"/v1/sessions/{'x' * 201}"))
    error_of(talk.get("/v1/sessions/"))
    error_of(talk.put("/v1/sessions/a", json={}), 405)
    content = b'{"entry": ' + b"[" * 5000
    response = talk.post("/v1/sessions/a/entries", content=content, headers={"content-type": "application/json"})
    assert error_of(response)["code"] == "invalid_json"


def test_pictures_stay_with_the_entry(client):
    picture = Image(pictures.png()).to_dict()
    body = user("u1", "Look", new=True)
    body["entry"]["pictures"] = [picture["image_url"]["url"]]
    body["messages"][0]["content"] = [{"type": "text", "text": "Look"}, picture]
    put(client, "a", body, 201)
    [entry] = client.get("/v1/sessions/a").json()["entries"]
    assert entry["pictures"] == [picture["image_url"]["url"]]
    assert entry["messages"][0]["content"] == [{"type": "text", "text": "Look"}, picture]
    alone = user("u2", "", "u1")
    alone["messages"][0]["content"] = [picture]
    put(client, "a", alone)
    assert client.get("/v1/sessions/a").json()["messages"] == 2


def test_the_checks_of_all_endpoints(served, sessions):
    with served({"m": ScriptedModel([])}, sessions=sessions, api_key="sk-1").client() as client:
        assert client.get("/v1/sessions").status_code == 401
        assert client.delete("/v1/sessions/a", headers={"authorization": "Bearer sk-2"}).status_code == 401
        right = {"authorization": "Bearer sk-1"}
        assert client.get("/v1/sessions", headers={**right, "origin": "https://evil.example"}).status_code == 403
        assert client.get("/v1/sessions", headers={**right, "host": "evil.example"}).status_code == 403
        assert client.get("/v1/sessions", headers=right).status_code == 200


def test_a_server_that_keeps_nothing(echo):
    with echo.client() as client:
        assert client.get("/v1/sessions").status_code == 404
        assert client.get("/v1/models").json()["luup"] == {"sessions": False}


def test_the_file_belongs_to_its_owner_alone(served, tmp_path):
    path = tmp_path / "folder" / "kept.db"
    first = served({"m": ScriptedModel([])}, sessions=path)
    with first.client() as client:
        put(client, "a", user("u1", "Hi", new=True, title="Hi"), 201)
        assert client.get("/v1/models").json()["luup"] == {"sessions": True}
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with served({"m": ScriptedModel([])}, sessions=str(path)).client() as client:  # another process may use it too
        assert ids(client) == ["a"]


def test_what_can_not_keep_conversations(tmp_path):
    model = FunctionModel(lambda request: "ok")
    with pytest.raises(InvalidParamError, match="sessions must be"):
        create_app(model, sessions=5)
    (tmp_path / "other").write_text("not a database")
    with pytest.raises(StorageError, match="not a database"):
        create_app(model, sessions=tmp_path / "other")
