"""An agent against a simple model of it: whatever runs do and how they end, all reports of them agree.

The machine asks an agent with a scripted model, whose calls succeed, fail, ask for a better call, are refused by the
library, wait for an approval, or end the run; the answers arrive, break off or are cancelled. The simple model is a
list of messages.
"""

import asyncio
import json
from typing import List, NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from luup_agent import (
    Agent,
    ApprovalRequiredError,
    HTTPError,
    MaxTurnsError,
    Message,
    ModelRetry,
    Tool,
    ToolRetryError,
)
from luup_agent.testing import FunctionModel, tool_call

OPEN = "Error: the run ended before this call was answered"
KINDS = {  # how a call ends: the call, and the result that the model reads
    "answers": (tool_call("double", n=2), "4"),
    "asks again": (tool_call("picky", n=3), "Error: Another number."),
    "fails": (tool_call("fails"), "Error: LookupError"),
    "ends the run": (tool_call("ends"), "Error: ZeroDivisionError"),
    "does not fit": (tool_call("double", n="two"), "Error: "),
    "is unknown": (tool_call("triple", n=1), 'Error: there is no tool "triple"'),
    "built in": (tool_call("todo_list"), "[]"),
}
IN_VAIN = ("asks again", "does not fit", "is unknown")


def double(n: int) -> int:
    return 2 * n


def picky(n: int) -> int:
    raise ModelRetry("Another number.")


async def fails() -> None:
    raise LookupError("a secret")


def ends() -> None:
    raise ZeroDivisionError


def guarded() -> str:
    return "done"


TOOLS = [double, picky, fails, Tool(ends, on_error="raise"), Tool(guarded, requires_approval=True)]


class Turn(NamedTuple):
    """A turn of the model: the kinds of its calls."""

    kinds: List[str]

    def calls(self):
        return [KINDS[kind][0] for kind in self.kinds]

    def results(self):
        return [KINDS[kind][1] for kind in self.kinds]


def in_vain(turn):
    """Return the tools whose calls in a turn fail."""
    return {KINDS[kind][0].name for kind in turn.kinds if kind in IN_VAIN}


def turn_that_ends(turns, retries, max_turns):
    """Return the index of the turn whose calls end the run, and the error; (None, None) if none does."""
    attempts = {}
    for index, turn in enumerate(turns):
        for name in in_vain(turn):
            attempts[name] = attempts.get(name, 0) + 1
        errors = [ToolRetryError] if any(count > retries for count in attempts.values()) else []
        errors += [ZeroDivisionError] if "ends the run" in turn.kinds else []
        if errors:
            return index, tuple(errors)
        if index + 1 >= max_turns:
            return index, (MaxTurnsError,)
    return None, None


def respond(agent, message, **options):
    return agent.run(message, **options)


def respond_async(agent, message, **options):
    return asyncio.run(agent.run_async(message, **options))


def last_event(agent, message, **options):
    return list(agent.stream_events(message, **options))[-1].response


def last_event_async(agent, message, **options):
    async def collect():
        return [event async for event in agent.stream_events_async(message, **options)][-1].response

    return asyncio.run(collect())


drivers = st.sampled_from([respond, respond_async, last_event, last_event_async])
turns_of_calls = st.lists(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=3).map(Turn), max_size=3)
keeping = st.sampled_from(["on_success", "on_error"])


class AgentMachine(RuleBasedStateMachine):
    """Rules that use an agent, and the list of messages that its history has to be."""

    @initialize(retries=st.integers(0, 2), max_turns=st.integers(1, 4), prompt=st.sampled_from([None, "Be brief."]))
    def begin(self, retries, max_turns, prompt):
        self.script = []
        self.limits = {"retries": retries, "max_turns": max_turns}
        model = FunctionModel(lambda request: self.script.pop(0)())
        self.agent = Agent(model, prompt, tools=TOOLS, **self.limits)
        self.agent.enable_builtin_todo()
        self.history = [] if prompt is None else [Message(role="system", content=prompt)]

    def ask(self, drive, turns, last, message="Go.", **options):
        self.script[:] = [*(lambda turn=turn: turn.calls() for turn in turns), last]
        return drive(self.agent, message, **options)

    def check(self, told, turns, complete):
        """Check what a response or an error reports about a run; the last turn may be incomplete."""
        made = [message for message in told.messages if message.tool_calls]
        assert told.messages[0] == Message(role="user", content="Go.")
        assert len(made) == len(turns)
        calls = iter(told.tool_calls)
        answers = iter([message for message in told.messages if message.role == "tool"])
        for turn, message in zip(turns, made):
            last = message is made[-1] and not complete
            for expected, wanted, written in zip(turn.calls(), turn.results(), message.tool_calls):
                call, answer = next(calls), next(answers)
                assert (call.id, call.name, call.arguments) == (
                    written.id,
                    expected.name,
                    json.loads(expected.arguments_json),
                )
                assert (answer.tool_call_id, answer.name) == (call.id, call.name)
                assert answer.content == (call.result.content if call.result is not None else OPEN)
                assert answer.content.startswith(wanted) or (last and call.result is None)
                assert call.result is None or call.result.is_error == wanted.startswith("Error")
        assert [*calls, *answers] == []
        assert told.usage.completion_tokens >= len(turns)

    @precondition(lambda self: not self.agent.pending)
    @rule(drive=drivers, turns=turns_of_calls, keep=keeping)
    def a_run_that_answers_if_its_calls_let_it(self, drive, turns, keep):
        index, errors = turn_that_ends(turns, **self.limits)
        if index is None:
            response = self.ask(drive, turns, lambda: "Done.", keep_history=keep)
            self.check(response, turns, complete=True)
            assert response.messages[-1] == Message(role="assistant", content="Done.")
            assert response.usage.turns == len(turns) + 1
            self.history += response.messages
            return
        with pytest.raises(errors) as caught:
            self.ask(drive, turns, lambda: "Done.", keep_history=keep)
        self.check(caught.value, turns[: index + 1], complete=errors == (MaxTurnsError,))
        assert caught.value.usage.turns == index + 1
        self.history += caught.value.messages if keep == "on_error" else []

    @precondition(lambda self: not self.agent.pending)
    @rule(drive=drivers, turns=turns_of_calls, keep=keeping)
    def a_server_that_fails(self, drive, turns, keep):
        def fail():
            raise HTTPError("busy")

        index, errors = turn_that_ends(turns, **self.limits)
        with pytest.raises(errors or HTTPError) as caught:
            self.ask(drive, turns, fail, keep_history=keep)
        told = caught.value
        self.check(told, turns if index is None else turns[: index + 1], complete=errors in (None, (MaxTurnsError,)))
        self.history += told.messages if keep == "on_error" else []

    @precondition(lambda self: not self.agent.pending)
    @rule(keep=keeping, asynchronous=st.booleans())
    def a_stream_that_is_closed(self, keep, asynchronous):
        self.script[:] = [lambda: [tool_call("double", n=2)], lambda: iter(["One ", "two ", "three."])]
        if self.limits["max_turns"] == 1:
            return

        async def first():
            stream = self.agent.generate_async("Go.", keep_history=keep)
            piece = await stream.__anext__()
            await stream.aclose()
            return piece

        if asynchronous:
            piece = asyncio.run(first())
        else:
            stream = self.agent.generate_stream("Go.", keep_history=keep)
            piece = next(stream)
            stream.close()
        added = self.agent.messages[len(self.history) :]
        if added or keep == "on_error":  # the answer may have been complete before the stream was closed
            assert [message.role for message in added] == ["user", "assistant", "tool", "assistant"]
            assert added[-1].content.startswith(piece)
            assert "One two three.".startswith(added[-1].content)
            self.history += added

    @precondition(lambda self: not self.agent.pending)
    @rule(drive=drivers)
    def a_call_that_waits(self, drive):
        response = self.ask(drive, [], lambda: [tool_call("guarded"), tool_call("double", n=2)])
        assert [call.result and call.result.content for call in response.tool_calls] == [None, "4"]
        assert response.pending == response.tool_calls[:1]
        assert [message.role for message in response.messages] == ["user", "assistant", "tool"]
        self.history += response.messages

    @precondition(lambda self: self.agent.pending)
    @rule(decision=st.sampled_from([True, False, "no"]), fails=st.booleans(), keep=keeping)
    def a_decision(self, decision, fails, keep):
        def last():
            if fails:
                raise HTTPError("busy")
            return "Done."

        (call,) = self.agent.pending
        self.script[:] = [last]
        try:
            told = self.agent.resume({call.id: decision}, keep_history=keep)
        except HTTPError as error:
            told = error
        result = "done" if decision is True else "Error: The user denied this call"
        assert told.messages[0].content.startswith(result)
        assert [made.id for made in told.tool_calls] == [call.id]
        assert told.tool_calls[0].result.content == told.messages[0].content
        assert len(told.messages) == (1 if fails else 2)
        self.history += told.messages if keep == "on_error" or not fails else []

    @precondition(lambda self: not self.agent.pending)
    @rule()
    def a_message_of_the_program(self):
        self.agent.add_message("user", "By the way.")
        self.history.append(Message(role="user", content="By the way."))

    @rule()
    def a_fork_goes_on(self):
        before, self.agent = self.agent, self.agent.fork()
        before.close()

    @rule()
    def the_history_is_read_and_set(self):
        self.agent.set_history(self.agent.get_history())

    @rule()
    def the_history_is_emptied(self):
        self.agent.clear_history()
        self.history = [message for message in self.history if message.role == "system"]

    @precondition(lambda self: self.agent.pending)
    @rule()
    def text_is_wanted_of_a_conversation_that_waits(self):
        with pytest.raises(ApprovalRequiredError) as caught:
            self.agent.generate(None)
        assert caught.value.messages == []
        assert [call.id for call in caught.value.tool_calls] == [call.id for call in self.agent.pending]

    @invariant()
    def the_history_is_the_list(self):
        if hasattr(self, "agent"):
            assert self.agent.messages == self.history
            assert self.agent.get_history() == [message.to_dict() for message in self.history]


AgentMachine.TestCase.settings = settings(stateful_step_count=15)
TestAgentMachine = AgentMachine.TestCase
