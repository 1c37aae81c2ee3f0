"""Questions of MCP servers, as events of an answer, and the replies of clients."""

import json
import threading

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytest.importorskip("mcp")

from support.mcp_questions import make
from support.serving import read_events

from luup_agent import MCP, Agent
from luup_agent.testing import FunctionModel, tool_call

FORM = {"guests": 2, "room": "double"}


def answer(request):
    results = [message for message in request.messages if message.role == "tool"]
    return results[-1].content if results else [tool_call("book", city="Oslo")]


@pytest.fixture
def server(served):
    with MCP(make(), on_elicitation="user", timeout=120) as mcp:
        yield served({"hotel": Agent(FunctionModel(answer), toolsets=[mcp])})


def talk(server, replies, **body):
    """Ask, reply to each question, and return the events."""
    found, status = [], []
    request = {"messages": [{"role": "user", "content": "A room"}], "stream": True, **body}
    with server.client() as client, client.stream("POST", "/v1/chat/completions", json=request) as response:
        assert response.status_code == 200
        text = ""
        for piece in response.iter_text():
            text += piece
            *blocks, text = text.split("\n\n")
            for _, data in [event for block in blocks for event in read_events(block)]:
                event = None if data == "[DONE]" else (data["choices"][0]["delta"].get("luup") or None)
                if event:
                    found.append(event)
                if event and event["type"] == "question":
                    for reply in replies:
                        status.append(server.post(f"/v1/questions/{event['id']}", reply))
    return found, status


def test_a_reply_goes_to_the_server(server):
    events, status = talk(server, [{"action": "accept", "content": FORM}], questions=True)
    assert [event["type"] for event in events] == ["tool_call", "question", "question_end", "tool_result", "done"]
    question = events[1]
    assert (question["server"], question["url"]) == ("hotel", None)
    assert question["schema"]["required"] == ["guests", "room"]
    assert events[3]["content"] == "2 in a double room in Oslo, without breakfast, no note"
    assert [each.status_code for each in status] == [200]
    assert status[0].json() == {"id": question["id"], "object": "question.reply", "action": "accept"}


@pytest.mark.parametrize("action", ["decline", "cancel"])
def test_a_person_may_refuse(server, action):
    events, _ = talk(server, [{"action": action}], questions=True)
    assert action in events[3]["content"].lower()


def test_wrong_replies_leave_the_question_open(server):
    wrong = [{"action": "shrug"}, {"action": "accept", "content": [1]}, {"action": "accept", "more": 1}, {}]
    right = {"action": "accept", "content": FORM}
    events, status = talk(server, [*wrong, right, right], questions=True)
    assert [each.status_code for each in status] == [400, 400, 400, 400, 200, 404]
    assert "action" in status[0].json()["error"]["message"]
    assert events[3]["content"].startswith("2 in a double room")


def test_clients_that_do_not_ask_for_questions_get_none(server):
    events, _ = talk(server, [])
    assert [event["type"] for event in events] == ["tool_call", "tool_result", "done"]
    assert "cancel" in events[1]["content"].lower()
    assert server.post("/v1/questions/question_1", {"action": "cancel"}).status_code == 404


def test_two_clients_get_their_own_questions(server):
    results = {}

    def one(name, guests):
        replies = [{"action": "accept", "content": {**FORM, "guests": guests}}]
        results[name] = talk(server, replies, questions=True)[0][3]["content"][0]

    threads = [threading.Thread(target=one, args=each) for each in (("a", 1), ("b", 2), ("c", 3))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results == {"a": "1", "b": "2", "c": "3"}


def test_a_client_that_goes_away_ends_its_question(server):
    request = {"messages": [{"role": "user", "content": "A room"}], "stream": True, "questions": True}
    with server.client() as client, client.stream("POST", "/v1/chat/completions", json=request) as response:
        for line in response.iter_lines():
            if '"question"' in line:
                event = json.loads(line[6:])["choices"][0]["delta"]["luup"]
                break
    for _ in range(300):
        if server.post(f"/v1/questions/{event['id']}", {"action": "shrug"}).status_code == 400:
            reply = server.post(f"/v1/questions/{event['id']}", {"action": "accept", "content": FORM})
            if reply.status_code == 404:
                return
    raise AssertionError("the question still waits")
