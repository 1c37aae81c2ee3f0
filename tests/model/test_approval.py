"""Calls that need an approval: asked for at once, or stored and resumed, also in another process."""

import json

import pytest
from support.tool_calls import add, calling, results

from luup_agent import ApprovalRequiredError, InvalidParamError, Tool, ToolNotFoundError, ToolResult


@pytest.fixture
def done():
    """The list of what the dangerous tool has done."""
    return []


@pytest.fixture
def guarded(greedy, done):
    """Makes an agent whose history ends with pending calls, with and without the need of an approval."""

    def delete(path: str) -> str:
        """Deletes a file."""
        done.append(path)
        return f"{path} is gone"

    def make(*paths, **options):
        tools = [Tool(delete, requires_approval=True), add]
        agent = greedy(tools=tools, **{"max_tokens": 2, "tool_choice": "none", **options})
        return calling(agent, *[("delete", {"path": path}) for path in paths], ("add", {"a": 1}))

    return make


DENIED = ToolResult("Error: The user denied this call.", is_error=True)
REASON = ToolResult("Error: The user denied this call: not that one", is_error=True)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (True, ToolResult("a is gone")),
        (False, DENIED),
        ("not that one", REASON),
        (ToolResult("kept"), ToolResult("kept")),
    ],
)
def test_somebody_is_asked(api, guarded, done, answer, expected):
    asked = []

    def approve(call):
        asked.append((call.name, call.arguments))
        return answer

    response = api.response(guarded("a"), None, approve=approve)
    assert asked == [("delete", {"path": "a"})]
    assert results(response) == [expected, ToolResult("2")]
    assert done == (["a"] if answer is True else [])
    assert response.pending == []
    assert response.finish_reason != "tool_calls"


def test_an_agent_may_know_whom_to_ask(api, guarded):
    assert results(api.response(guarded("a", approve=lambda call: "not that one"), None))[0] == REASON


def test_somebody_is_asked_one_thing_at_a_time(async_api, guarded, done):
    import asyncio

    asking = []

    async def approve(call):
        asking.append(call.id)
        await asyncio.sleep(0.05)
        assert asking[-1] == call.id
        return call.arguments["path"] != "b"

    response = async_api.response(guarded("a", "b", "c"), None, approve=approve)
    assert asking == ["call_0", "call_1", "call_2"]
    assert results(response) == [ToolResult("a is gone"), DENIED, ToolResult("c is gone"), ToolResult("2")]
    assert done == ["a", "c"]


def test_a_wrong_answer_and_an_exception_end_the_run(api, guarded, done):
    def fail(call):
        raise LookupError("nobody is there")

    for approve, error in ((fail, LookupError), (lambda call: None, InvalidParamError)):
        agent = guarded("a")
        with pytest.raises(error, match="nobody|approval must be"):
            api.response(agent, None, approve=approve)
        assert len(agent.pending) == 2
    assert done == []


def test_a_synchronous_run_does_not_wait_for_a_coroutine(guarded):
    async def approve(call):
        return True

    with pytest.raises(InvalidParamError, match="approve must not be asynchronous"):
        guarded("a").run(None, approve=approve)


def test_without_somebody_to_ask_the_calls_wait(api, guarded, done):
    agent = guarded("a", "b")
    response = api.response(agent, None)
    assert response.finish_reason == "tool_calls"
    assert [call.arguments for call in response.pending] == [{"path": "a"}, {"path": "b"}]
    assert results(response) == [None, None, ToolResult("2")]
    assert agent.pending == response.pending
    assert done == []
    with pytest.raises(InvalidParamError):
        agent.generate("And now?")
    response = api.resume(agent, {"call_0": True})
    assert [call.id for call in response.pending] == ["call_1"]
    assert done == ["a"]
    response = api.resume(agent, {"call_1": "not that one"})
    assert response.pending == agent.pending == []
    assert response.finish_reason != "tool_calls"
    told = {message.tool_call_id: message.content for message in agent.messages if message.role == "tool"}
    assert told == {"call_0": "a is gone", "call_1": REASON.content, "call_2": "2"}
    assert done == ["a"]


def test_text_that_can_not_be_had_is_an_error_with_the_calls(api, guarded):
    for ask in (api.text, api.pieces):
        with pytest.raises(ApprovalRequiredError, match="delete, delete") as caught:
            ask(guarded("a", "b"), None)
        assert [call.id for call in caught.value.pending] == ["call_0", "call_1"]


def test_events_end_with_the_calls(api, guarded):
    done = api.events(guarded("a"), None)[-1]
    assert (done.type, done.finish_reason) == ("done", "tool_calls")
    assert [call.id for call in done.response.pending] == ["call_0"]


def test_results_from_elsewhere_answer_any_call(api, guarded, done):
    agent = guarded("a", "b")
    answers = {f"call_{n}": ToolResult(f"Error {n}", is_error=n == 1) for n in range(3)}
    response = api.resume(agent, answers)
    assert results(response) == list(answers.values())
    assert done == []


def test_resuming_may_ask_too(api, guarded, done):
    response = api.resume(guarded("a", "b"), {"call_0": False}, approve=lambda call: True)
    assert results(response)[:2] == [DENIED, ToolResult("b is gone")]
    assert done == ["b"]


def test_what_does_not_wait_can_not_be_approved(api, guarded, greedy):
    agent = guarded("a")
    with pytest.raises(InvalidParamError, match="no call 'call_7' waits"):
        api.resume(agent, {"call_7": True})
    with pytest.raises(InvalidParamError, match="approvals must be a dict"):
        api.resume(agent, ["call_0"])
    with pytest.raises(InvalidParamError, match="an approval must be"):
        api.resume(agent, {"call_0": 5})
    with pytest.raises(InvalidParamError, match="no call waits"):
        api.resume(greedy(), {})


def test_a_tool_that_is_gone_is_missed(api, guarded):
    agent = guarded("a")
    agent.remove_tool("delete")
    with pytest.raises(ToolNotFoundError, match="tools.*delete"):
        api.resume(agent, {"call_0": True})


def test_another_process_goes_on(child, guarded, model_path):
    agent = guarded("a")
    agent.run(None)
    source = """
        import json, sys
        from luup_agent import Agent, Model
        def delete(path: str) -> str:
            return path + " is gone"
        with Model.from_local(sys.argv[1], threads=1, context_size=1024) as model:
            agent = Agent(model, temperature=0, max_tokens=2, tools=[delete], tool_choice="none")
            agent.set_history(json.loads(sys.argv[2]))
            response = agent.resume({call.id: True for call in agent.pending})
            print(json.dumps([call.result.content for call in response.tool_calls]))
            print(json.dumps(agent.get_history()))
    """
    result = child(source, model_path, json.dumps(agent.get_history()))
    assert result.stderr == ""
    told, history = map(json.loads, result.stdout.splitlines())
    assert told == ["a is gone"]
    assert [message["role"] for message in history] == ["user", "assistant", "tool", "tool", "assistant"]
    agent.set_history(history)
    assert agent.pending == []
