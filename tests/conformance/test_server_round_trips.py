"""Servers as they are: what a server wrote goes back to it in the form that it takes."""

import json

import pytest
from support.http_server import delta, hello, sending, status
from support.quirks import OSLO, body, call, calling, message, stream, tool_calls, weather

from luup_agent import Agent, HTTPError, Message, Model

SIGNATURE = {"google": {"thought_signature": "c2ln"}}
FIRST = calling(
    delta(reasoning_content="Hm, "),
    delta(reasoning_content="Oslo."),
    tool_calls({**call(0, "a", arguments=OSLO), "extra_content": SIGNATURE}),
)


def refusing(rule, *answers):
    """Return an answer that refuses requests by `rule`, a function of the messages; else it sends `answers` in turn."""
    left = list(answers)

    def answer(connection, request):
        problem = rule(request.json["messages"])
        if problem:
            problem = problem if isinstance(problem, dict) else {"error": {"message": problem}}
            status("400 Bad Request", json.dumps(problem).encode())(connection, request)
        else:
            chosen = left.pop(0) if len(left) > 1 else left[0]
            (sending(chosen) if isinstance(chosen, bytes) else chosen)(connection, request)

    return answer


def assistant(messages):
    return next((each for each in messages if each["role"] == "assistant"), {})


def wants_reasoning(messages):
    """DeepSeek and Kimi."""
    said = assistant(messages)
    if said and "reasoning_content" not in said:
        return "The reasoning_content in the thinking mode must be passed back to the API."
    return None


def wants_signature(messages):
    """Gemini."""
    calls = assistant(messages).get("tool_calls", [])
    if calls and calls[0].get("extra_content") != SIGNATURE:
        return "Function call is missing a thought_signature in functionCall parts."
    return None


def takes_nothing(messages):
    """Mistral."""
    for index, each in enumerate(messages):
        for name in set(each) - {"role", "content", "tool_calls", "tool_call_id"}:
            place = ["body", "messages", index, "assistant", name]
            return {"detail": [{"type": "extra_forbidden", "loc": place, "msg": "Extra inputs are not permitted"}]}
        for made in each.get("tool_calls", ()):
            for name in set(made) - {"id", "type", "function"}:
                place = ["body", "messages", index, "assistant", "tool_calls", 0, name]
                return {"detail": [{"type": "extra_forbidden", "loc": place, "msg": "Extra inputs are not permitted"}]}
    return None


def takes_no_reasoning(messages):
    """Groq and Cerebras."""
    if "reasoning_content" in assistant(messages):
        return "for 'role:assistant' must be satisfied[('messages.1' : property 'reasoning_content' is unsupported)]"
    return None


def takes_content(*forms):
    """Return a rule for the content beside calls: None, "" or absent."""

    def rule(messages):
        said = assistant(messages)
        if said.get("tool_calls") and said.get("content", "absent") not in forms:
            return "Invalid value for 'content': it is not what this server takes."
        return None

    return rule


RULES = {
    "deepseek": wants_reasoning,
    "gemini": wants_signature,
    "mistral": takes_nothing,
    "groq": takes_no_reasoning,
    "content-null": takes_content(None),
    "content-text": takes_content(""),
    "content-absent": takes_content("absent"),
}


@pytest.mark.parametrize("server", RULES)
def test_a_turn_after_calls_succeeds(both, ask, server):
    agent, served = ask(refusing(RULES[server], FIRST, hello("Done.")), tools=[weather])
    assert both.text(agent, "Hi") == "Done."
    asked = len(served.requests)
    assert both.text(agent, "And now?") == "Done."
    assert len(served.requests) == asked + 1  # what was found out is remembered


@pytest.mark.parametrize("server", RULES)
def test_a_history_that_was_kept_goes_back_as_well(both, ask, server):
    agent, _ = ask(FIRST, hello("Done."), tools=[weather])
    both.text(agent, "Hi")
    kept = [Message.from_dict("history", json.loads(json.dumps(each.to_dict()))) for each in agent.messages]
    assert kept == agent.messages
    later, _ = ask(refusing(RULES[server], hello("Done.")), tools=[weather])
    later.set_history([each.to_dict() for each in kept])
    assert both.text(later, "Hi") == "Done."


def test_the_servers_own_fields_go_back(both, ask):
    details = [{"type": "reasoning.text", "text": "Hm", "index": 0}]
    first = calling(
        delta(reasoning="Hm", reasoning_details=details),
        tool_calls({**call(0, "a", arguments=OSLO), "extra_content": SIGNATURE}),
    )
    agent, server = ask(first, hello("Done."), tools=[weather])
    assert both.text(agent, "Hi") == "Done."
    said = assistant(server.requests[1].json["messages"])
    assert (said["reasoning"], said["reasoning_details"]) == ("Hm", details)
    assert "reasoning_content" not in said
    assert said["tool_calls"][0]["extra_content"] == SIGNATURE
    assert said["content"] is None
    assert agent.messages[1].extra == {"reasoning_details": details}
    assert agent.messages[1].tool_calls[0].extra == {"extra_content": SIGNATURE}


@pytest.mark.parametrize(
    ("details", "reasoning"),
    [
        ([{"type": "reasoning.text", "text": "Hm"}], "Hm"),
        ([{"type": "reasoning.summary", "summary": "Hm"}, {"type": "reasoning.encrypted", "data": "eHg="}], "Hm"),
        ([{"type": "reasoning.encrypted", "data": "eHg="}], None),
        ("odd", None),
    ],
)
def test_reasoning_that_is_in_the_details_alone(both, ask, details, reasoning):
    agent, _ = ask(stream(delta(reasoning_details=details), delta("stop", content="Hi")))
    assert both.text(agent, "Hi") == "Hi"
    assert agent.messages[-1].reasoning == reasoning


def test_the_reasoning_of_turns_without_calls_stays_here(both, ask):
    agent, server = ask(stream(delta(reasoning_content="Hm"), delta("stop", content="Hi")), hello())
    both.text(agent, "Hi")
    both.text(agent, "Again")
    assert assistant(server.requests[1].json["messages"]) == {"role": "assistant", "content": "Hi"}


@pytest.mark.parametrize(("fields", "sent"), [("all", True), ("none", False)])
def test_the_fields_can_be_chosen(both, ask, fields, sent):
    first = body(message(content="Hi", reasoning_content="Hm", thought_signature="c2ln"))
    agent, server = ask(first, hello(), message_fields=fields)
    both.text(agent, "Hi")
    both.text(agent, "Again")
    said = assistant(server.requests[1].json["messages"])
    assert ("reasoning_content" in said, "thought_signature" in said) == (sent, sent)


@pytest.mark.parametrize(("form", "content"), [("null", None), ("text", ""), ("absent", "absent")])
def test_the_content_beside_calls_can_be_chosen(both, ask, form, content):
    agent, server = ask(FIRST, hello("Done."), tools=[weather], empty_content=form)
    assert both.text(agent, "Hi") == "Done."
    assert assistant(server.requests[1].json["messages"]).get("content", "absent") == content


def test_a_choice_is_not_changed(both, ask):
    for rule, options in (
        (takes_nothing, {"message_fields": "all"}),
        (takes_content("absent"), {"empty_content": "text"}),
    ):
        agent, server = ask(refusing(rule, FIRST, hello()), tools=[weather], **options)
        with pytest.raises(HTTPError, match="status 400"):
            both.text(agent, "Hi")
        assert len(server.requests) == 2


def test_another_refusal_is_reported_at_once(both, ask):
    agent, server = ask(refusing(lambda messages: messages[1:] and "The credit is spent.", FIRST), tools=[weather])
    with pytest.raises(HTTPError, match="The credit is spent"):
        both.text(agent, "Hi")
    assert len(server.requests) == 2


def test_ids_of_several_turns_stay_apart(both, ask):
    again = calling(tool_calls(call(0, "call_0", arguments=OSLO)))
    agent, server = ask(again, again, hello("Done."), tools=[weather])
    assert both.text(agent, "Hi") == "Done."
    ids = [each["tool_call_id"] for each in server.requests[2].json["messages"] if each["role"] == "tool"]
    assert len(set(ids)) == 2
    assert ids[0] == "call_0"


@pytest.mark.parametrize("field", ["message_fields", "empty_content"])
def test_a_choice_that_does_not_exist_is_named(field):
    with pytest.raises(ValueError, match=f'{field} must be "auto"'):
        Agent(Model.from_remote("http://127.0.0.1:9/v1", "m", **{field: "maybe"}))
