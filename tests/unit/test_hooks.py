"""Hooks of a run: its events, the history that its model sees, its system prompt; on every kind of scripted model."""

import asyncio
import logging
import threading

import pytest

from luup_agent import (
    Agent,
    BusyError,
    HTTPError,
    InvalidParamError,
    Message,
    RunContext,
    SQLiteSessions,
    Tool,
)
from luup_agent.testing import FunctionModel, ScriptedModel, tool_call


def seeing(seen, *replies):
    """Return a model that notes the messages of each request as (role, text)."""
    rest = list(replies)

    def answer(request):
        seen.append([(message.role, message.content) for message in request.messages])
        return rest.pop(0) if rest else "ok"

    return FunctionModel(answer)


def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


# ---------------------------------------------------------------------------------------------------------------------
# on_event
# ---------------------------------------------------------------------------------------------------------------------


def kinds(events):
    return [event.type for event in events if event.type != "progress"]


@pytest.mark.parametrize("method", ["text", "pieces", "response", "events"])
def test_every_method_reports_its_events(script, api, method):
    events = []
    agent = script.agent(tool_call("add", a=1, b=2), "It is 3.", tools=[add], on_event=events.append)
    result = getattr(api, method)(agent, "What is 1 + 2?")
    assert kinds(events)[:2] == ["tool_call", "tool_result"]
    assert kinds(events)[-1] == "done"
    assert events[-1].response.text == "It is 3."
    assert "".join(event.text for event in events if event.type == "text") == "It is 3."
    if method == "events":
        assert result == events


def test_a_run_may_have_its_own(script, api):
    of_agent, of_run = [], []
    agent = script.agent("a", "b", on_event=of_agent.append)
    api.text(agent, "x", on_event=of_run.append)
    assert (of_agent, kinds(of_run)[-1]) == ([], "done")
    api.text(agent, "y", on_event=None)
    assert of_agent == []


def test_partial_results_are_events(api):
    events = []
    agent = Agent(ScriptedModel(['{"a": 1, "b": 2}']))
    api.response(agent, "x", output_type=dict, on_event=events.append)
    assert "partial" in kinds(events)


def test_a_hook_gets_an_event_before_the_reader(api):
    order = []
    agent = Agent(ScriptedModel(["a"]), on_event=lambda event: order.append(("hook", event.type)))
    api.each_event(agent, "x", lambda event: order.append(("reader", event.type)))
    done = [who for who, kind in order if kind == "done"]
    assert done == ["hook", "reader"]


def test_an_exception_is_logged_and_the_run_goes_on(api, caplog):
    def fail(event):
        raise RuntimeError("broken hook")

    agent = Agent(ScriptedModel([tool_call("add", a=1, b=2), "3"]), tools=[add], on_event=fail)
    with caplog.at_level(logging.WARNING, "luup_agent"):
        assert api.text(agent, "x") == "3"
    assert len(agent.messages) == 4
    assert "on_event failed for an event of type 'tool_call'" in caplog.text
    assert "RuntimeError: broken hook" in caplog.text


def test_an_interrupt_ends_the_run(api):
    def stop(event):
        raise KeyboardInterrupt

    agent = Agent(ScriptedModel([tool_call("add", a=1, b=2), "3", "4"]), tools=[add])
    with pytest.raises(KeyboardInterrupt):
        api.text(agent, "x", on_event=stop)
    assert agent.messages == []
    assert api.text(agent, "y") == "3"


def test_an_asynchronous_hook(async_api):
    events = []

    async def note(event):
        await asyncio.sleep(0)
        events.append(event)

    agent = Agent(ScriptedModel([tool_call("add", a=1, b=2), "3"]), tools=[add], on_event=note)
    assert async_api.events(agent, "x") == events
    assert kinds(events)[-1] == "done"


def test_an_asynchronous_hook_needs_an_asynchronous_run():
    async def note(event):
        raise AssertionError("never called")

    agent = Agent(ScriptedModel(["a"]), on_event=note)
    with pytest.raises(InvalidParamError, match="on_event must not be asynchronous in a synchronous run"):
        agent.generate("x")
    agent = Agent(ScriptedModel(["a"]), on_event=lambda event: note(event))
    with pytest.raises(InvalidParamError, match="on_event must not be asynchronous"):
        agent.generate("x")


def test_a_failed_run_reports_what_came_before(api):
    events = []
    agent = Agent(ScriptedModel([tool_call("add", a=1, b=2), HTTPError("down")]), tools=[add], on_event=events.append)
    with pytest.raises(HTTPError):
        api.text(agent, "x")
    assert kinds(events) == ["tool_call", "tool_result"]


def test_a_failing_tool_reports_its_result_before_the_error(api):
    def boom() -> str:
        """Fails."""
        raise ZeroDivisionError

    events = []
    agent = Agent(ScriptedModel([tool_call("boom")]), tools=[Tool(boom, on_error="raise")], on_event=events.append)
    with pytest.raises(ZeroDivisionError):
        api.text(agent, "x")
    assert kinds(events) == ["tool_call", "tool_result"]


# ---------------------------------------------------------------------------------------------------------------------
# process_history
# ---------------------------------------------------------------------------------------------------------------------


def test_the_model_sees_what_the_function_returns(api):
    seen = []
    agent = Agent(seeing(seen), "Be brief.", process_history=lambda messages: messages[-2:])
    for text in "abc":
        api.text(agent, text)
    assert seen[-1] == [("system", "Be brief."), ("user", "b"), ("assistant", "ok"), ("user", "c")]
    assert [message.content for message in agent.messages] == ["Be brief.", "a", "ok", "b", "ok", "c", "ok"]


def test_each_kind_of_model_sees_it(script, api):
    agent = script.agent("a", "b", process_history=lambda messages: [{"role": "user", "content": "earlier"}])
    api.text(agent, "x")
    response = api.response(agent, "y")
    assert response.usage.prompt_tokens > 0
    assert [message.content for message in agent.messages] == ["x", "a", "y", "b"]


def test_several_functions_one_after_another_with_the_context(api):
    seen, contexts = [], []

    def redact(messages):
        return [
            message.model_copy(update={"content": message.content.replace("secret", "***")}) for message in messages
        ]

    def sign(ctx: RunContext[str], messages):
        contexts.append((ctx.deps, [message.content for message in ctx.messages], ctx.agent))
        return [*messages, Message(role="user", content=f"for {ctx.deps}"), Message(role="assistant", content="Yes.")]

    agent = Agent(seeing(seen), process_history=[redact, sign], deps="Ada")
    agent.add_message("user", "my secret")
    agent.add_message("assistant", "a secret indeed")
    api.text(agent, "go")
    assert [text for _, text in seen[0]] == ["my ***", "a *** indeed", "for Ada", "Yes.", "go"]
    assert contexts == [("Ada", ["go"], agent)]
    assert agent.messages[0].content == "my secret"


def test_it_holds_for_all_turns_of_the_run(api):
    seen = []
    agent = Agent(seeing(seen, tool_call("add", a=1, b=2), "3"), tools=[add], process_history=lambda messages: [])
    agent.add_message("user", "old")
    agent.add_message("assistant", "older")
    api.text(agent, "x")
    assert [role for role, _ in seen[1]] == ["user", "assistant", "tool"]
    assert [message.content for message in agent.messages] == ["old", "older", "x", "", "3", "3"]


def test_an_asynchronous_function(async_api):
    seen = []

    async def last(messages):
        await asyncio.sleep(0)
        return messages[2:]

    agent = Agent(seeing(seen), process_history=last)
    async_api.text(agent, "a")
    async_api.text(agent, "b")
    assert [text for _, text in seen[1]] == ["b"]
    with pytest.raises(InvalidParamError, match="process_history must not be asynchronous in a synchronous run"):
        agent.generate("c")


def with_calls(model, **options):
    agent = Agent(model, tools=[add], **options)
    agent.run("What is 1 + 2?")
    return agent


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (lambda messages: messages[2:], "result of the call .* missing before it; keep or drop a call and its results"),
        (lambda messages: [m for m in messages if m.role != "tool"], "has no result before messages"),
        (lambda messages: messages[:2], "calls that wait for their results must stay as they are"),
        (lambda messages: "text", "process_history must return a list of messages, not str"),
        (lambda messages: None, "process_history must return a list of messages, not NoneType"),
        (lambda messages: [5], r"the result of process_history, messages\[0\] must be a Message or a dict, not int"),
        (lambda messages: [{"role": "boss", "content": ""}], r"the result of process_history, messages\[0\]"),
        (lambda messages: [{"role": "system", "content": "x"}], r"history\[0\] is a system message"),
    ],
)
def test_what_no_model_can_read_is_a_typed_error(api, function, problem):
    agent = with_calls(ScriptedModel([tool_call("add", a=1, b=2), "3", "fine"]))
    before = agent.messages
    with pytest.raises(InvalidParamError, match=problem):
        api.text(agent, "x", process_history=function)
    assert agent.messages == before
    assert api.text(agent, "y") == "fine"


def test_calls_and_their_results_may_go_together(api):
    seen = []
    agent = with_calls(seeing(seen, tool_call("add", a=1, b=2), "3"))
    api.text(agent, "x", process_history=lambda messages: [messages[0], messages[-1]])
    assert [role for role, _ in seen[-1]] == ["user", "assistant", "user"]


def test_pending_calls_must_stay(api):
    def agent():
        made = Agent(ScriptedModel([tool_call("delete"), "Done."]))
        made.tool(requires_approval=True)(delete)
        made.add_message("user", "old")
        made.add_message("assistant", "older")
        made.run("go")
        return made

    def delete() -> str:
        """Deletes all."""
        return "deleted"

    waiting = agent()
    approvals = {waiting.pending[0].id: True}
    with pytest.raises(InvalidParamError, match="calls that wait for their results must stay"):
        api.resume(waiting, approvals, process_history=lambda messages: messages[:2])
    response = api.resume(waiting, approvals, process_history=lambda messages: messages[2:])
    assert response.text == "Done."
    assert [message.content for message in waiting.messages] == ["old", "older", "go", "", "deleted", "Done."]


def test_a_summary_of_such_a_run_leaves_the_stored_history(api, tmp_path):
    agent = Agent(ScriptedModel(["a", "b", "c", "d"]), process_history=lambda messages: messages[:4])
    agent.enable_builtin_summarization(summarize=lambda messages: "SUMMARY")
    with SQLiteSessions(tmp_path / "chats.db") as sessions:
        session = sessions.open("ada", agent)
        for text in "xyz":
            api.text(session, text)
        session.agent.summarization.trigger()
        assert api.response(session, "last").summary == "SUMMARY"
        stored = [message.content for message in sessions.open("ada", agent).messages]
        assert stored == ["x", "a", "y", "b", "z", "c", "last", "d"]
        assert stored == [message.content for message in session.messages]


def test_without_a_history_it_gets_no_messages(api):
    seen = []
    agent = Agent(
        seeing(seen),
        enable_history=False,
        process_history=lambda messages: [*messages, Message(role="user", content="example")],
    )
    api.text(agent, "x")
    assert [text for _, text in seen[0]] == ["example", "x"]


# ---------------------------------------------------------------------------------------------------------------------
# system_prompt
# ---------------------------------------------------------------------------------------------------------------------


def test_a_function_makes_the_prompt_of_each_run(script, api):
    calls = []

    def prompt(ctx: RunContext[str]):
        calls.append((ctx.deps, [message.content for message in ctx.messages]))
        return f"You help {ctx.deps}, run {len(calls)}."

    agent = script.agent("a", "b", system_prompt=prompt, deps="Ada")
    assert agent.system_prompt is prompt
    assert agent.messages == []
    api.text(agent, "x")
    assert agent.messages[0].content == "You help Ada, run 1."
    api.text(agent, "y", deps="Bob")
    assert agent.messages[0] == Message(role="system", content="You help Bob, run 2.")
    assert calls == [("Ada", ["x"]), ("Bob", ["y"])]


def test_the_model_gets_the_prompt(api):
    seen, texts = [], ["one", None, "", "two"]
    agent = Agent(seeing(seen), lambda: texts[len(seen)])
    for message in "abcd":
        api.text(agent, message)
    assert [request[0] for request in seen] == [("system", "one"), ("user", "a"), ("user", "a"), ("system", "two")]


def test_an_asynchronous_prompt(async_api):
    seen = []

    async def prompt():
        await asyncio.sleep(0)
        return "made"

    agent = Agent(seeing(seen), prompt)
    async_api.text(agent, "x")
    assert seen[0][0] == ("system", "made")
    with pytest.raises(InvalidParamError, match="function system_prompt must not be asynchronous in a synchronous run"):
        agent.generate("y")


@pytest.mark.parametrize(("value", "text"), [(5, "must return a str or None, not int"), ("a\0", "NUL")])
def test_a_wrong_prompt_is_a_typed_error(api, value, text):
    agent = Agent(ScriptedModel(["a"]), lambda: value)
    with pytest.raises(InvalidParamError, match=text):
        api.text(agent, "x")
    agent.system_prompt = None
    assert api.text(agent, "x") == "a"


def test_an_exception_of_the_prompt_is_the_runs(api):
    def prompt():
        raise LookupError("no prompt")

    agent = Agent(ScriptedModel(["a"]), prompt)
    with pytest.raises(LookupError, match="no prompt"):
        api.text(agent, "x")
    assert agent.messages == []


def test_the_prompt_can_be_replaced(script, api):
    agent = script.agent("a", "b", "c", system_prompt="first")
    api.text(agent, "x")
    agent.system_prompt = "second"
    assert agent.system_prompt == "second"
    api.text(agent, "y")
    assert [message.content for message in agent.messages] == ["second", "x", "a", "y", "b"]
    agent.system_prompt = ""
    assert agent.system_prompt is None
    assert agent.messages[0].role == "user"
    agent.system_prompt = lambda: "third"
    api.text(agent, "z")
    assert agent.messages[0].content == "third"


@pytest.mark.parametrize("wrong", [5, b"x", ["x"]])
def test_what_is_not_a_prompt_is_refused(wrong):
    agent = Agent(ScriptedModel([]))
    with pytest.raises(InvalidParamError, match="system_prompt must be a str, a function or None"):
        agent.system_prompt = wrong
    with pytest.raises(InvalidParamError, match="system_prompt must be a str, a function or None"):
        Agent(ScriptedModel([]), wrong)


def test_a_run_keeps_its_prompt():
    entered, go = threading.Event(), threading.Event()

    def answer(request):
        entered.set()
        go.wait(60)
        return request.messages[0].content

    agent = Agent(FunctionModel(answer), "first")
    answers = []
    thread = threading.Thread(target=lambda: answers.append(agent.generate("x")))
    thread.start()
    entered.wait(60)
    for value in ("second", lambda: "second"):
        with pytest.raises(BusyError):
            agent.system_prompt = value
    assert agent.system_prompt == "first"
    go.set()
    thread.join()
    assert answers == ["first"]


def test_runs_side_by_side_have_prompts_of_their_own():
    agent = Agent(
        FunctionModel(lambda request: request.messages[0].content),
        lambda ctx: f"for {ctx.deps}",
        enable_history=False,
    )

    async def main():
        return await asyncio.gather(*(agent.generate_async("x", deps=n) for n in range(20)))

    assert asyncio.run(main()) == [f"for {n}" for n in range(20)]


def test_forks_and_overrides_keep_the_hooks(api):
    events = []
    agent = Agent(ScriptedModel(["a"]), lambda ctx: f"for {ctx.deps}", deps=1, on_event=events.append)
    fork = agent.fork()
    seen = []
    with fork.override(model=seeing(seen)):
        api.text(fork, "x")
    assert seen == [[("system", "for 1"), ("user", "x")]]
    assert events[-1].type == "done"
    fork.system_prompt = "own"
    assert callable(agent.system_prompt)


def test_a_saved_agent_has_the_last_prompt_and_no_hooks(tmp_path, api):
    path = tmp_path / "a.agent"
    agent = Agent(
        ScriptedModel(["a"]), lambda: "made", on_event=lambda event: None, process_history=lambda messages: messages
    )
    api.text(agent, "x")
    agent.save(path)
    loaded = Agent.load(path, ScriptedModel(["b"]))
    assert loaded.system_prompt == "made"
    assert api.text(loaded, "y") == "b"
    assert [message.content for message in loaded.messages] == ["made", "x", "a", "y", "b"]


def test_a_history_with_an_earlier_prompt_is_accepted():
    agent = Agent(ScriptedModel(["a", "b"]), lambda: "made")
    agent.generate("x")
    other = Agent(ScriptedModel(["c"]), lambda: "other")
    other.set_history(agent.get_history())
    assert other.generate("y") == "c"
    assert [message.content for message in other.messages] == ["other", "x", "a", "y", "c"]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"on_event": 5}, "on_event must be a function or None, not int"),
        ({"process_history": "x"}, "process_history must be a function, not str"),
        ({"process_history": [len, 5]}, r"process_history\[1\] must be a function, not int"),
    ],
)
def test_what_is_not_a_hook_is_refused(api, options, text):
    with pytest.raises(InvalidParamError, match=text):
        Agent(ScriptedModel([]), **options)
    with pytest.raises(InvalidParamError, match=text):
        api.text(Agent(ScriptedModel([])), "x", **options)


def test_hooks_of_an_agent_work_in_a_session(tmp_path, api):
    seen, events = [], []
    agent = Agent(seeing(seen), lambda: "made", process_history=lambda messages: messages[-2:], on_event=events.append)
    with SQLiteSessions(tmp_path / "chats.db") as sessions:
        session = sessions.open("ada", agent)
        for text in "abc":
            api.text(session, text)
        assert [text for _, text in seen[-1]] == ["made", "b", "ok", "c"]
        assert [message.content for message in sessions.messages("ada")] == ["a", "ok", "b", "ok", "c", "ok"]
        assert sum(event.type == "done" for event in events) == 3
