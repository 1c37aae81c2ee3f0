"""The state of a durable run, read from its records, and the follower that writes them."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Tuple

from luup_agent._durable.journal import Records
from luup_agent._run.following import Follower
from luup_agent.errors import InvalidParamError
from luup_agent.media import read_content, read_parts
from luup_agent.messages import AgentResponse, Event, Message, ToolCall, ToolResult, Usage

if TYPE_CHECKING:
    from luup_agent._run.run import Run

Record = Tuple[str, Dict[str, Any]]  # the kind and the values

INTERRUPTED = "Error: the process ended before this call was answered; it may have had its effect or not"


class Progress(NamedTuple):
    """The state of a run.

    Attributes:
        message: The user's message.
        history: The history before it.
        messages: What the run has added so far, `message` first.
        results: The results of its calls, by their ids.
        turns: The number of answers that called tools.
        usage: The tokens that processes have reported; those of a process that was killed are missing.
        end: The response without its output; None if the run has not ended.
    """

    message: str
    history: List[Message]
    messages: List[Message]
    results: Mapping[str, ToolResult]
    turns: int
    usage: Optional[Usage]
    end: Optional[Dict[str, Any]]

    @property
    def unanswered(self) -> List[ToolCall]:
        """The calls of the last turn without a result: they may have been begun."""
        for message in reversed(self.messages):
            if message.role == "assistant":
                return [call for call in message.tool_calls if call.id not in self.results]
        return []

    def tool_calls(self) -> List[ToolCall]:
        """Return all calls with their results, in the order of the model."""
        calls = [call for message in self.messages for call in message.tool_calls]
        return [call.model_copy(update={"result": self.results.get(call.id)}) for call in calls]


def read_progress(journal: Records) -> Progress:
    """Return the state of a run from its records.

    Raises:
        StorageError: They do not belong together.
    """
    try:
        return _read(journal.records)
    except (InvalidParamError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise journal.damaged(repr(error)) from None


def _read(records: List[Dict[str, Any]]) -> Progress:
    begin = records[0]
    given = begin["message"]
    message: str = read_content("message", read_parts("message", given)) if isinstance(given, list) else given
    turns: List[Message] = []
    results: Dict[str, ToolResult] = {}
    usage: Optional[Usage] = None
    end: Optional[Dict[str, Any]] = None
    for record in records[1:]:
        if record["kind"] == "turn":
            turns.append(Message.from_dict("a turn", record["message"]))
        elif record["kind"] == "result":
            results.setdefault(record["id"], ToolResult(record["content"], record["is_error"]))
        elif record["kind"] == "end":
            end = record["response"]
        if "usage" in record:
            counts = Usage(**record["usage"])
            usage = counts if usage is None else usage + counts
    messages = [Message(role="user", content=message)]
    for turn in turns:
        messages.append(turn)
        for call in turn.tool_calls:
            result = results.get(call.id)
            if result is not None:
                messages.append(Message(role="tool", content=result.content, tool_call_id=call.id, name=call.name))
    history = [Message.from_dict("history", each) for each in begin["history"]]
    return Progress(message, history, messages, results, len(turns), usage, end)


class Recorder(Follower):
    """Writes each turn with calls, each result and the end of a run, before the run goes on."""

    wants_events = True

    def __init__(self, run: Run, journal: Records) -> None:
        self._run = weakref.ref(run)
        self._journal = journal
        self._seen = 0  # messages of the run whose turns are written

    def take(self, event: Event[Any]) -> None:
        for kind, values in self._of_event(event):
            self._journal.write(kind, **values)

    async def take_async(self, event: Event[Any]) -> None:
        for kind, values in self._of_event(event):
            await self._journal.write_async(kind, **values)

    def end(self, run: Run) -> None:
        for kind, values in self._of_end(run):
            self._journal.write(kind, **values)

    async def end_async(self, run: Run) -> None:
        for kind, values in self._of_end(run):
            await self._journal.write_async(kind, **values)

    def failed(self, run: Run) -> None:
        usage = run.usage()
        if usage.turns and not self._journal.keeps_all_ends:
            self._journal.write("usage", usage=usage.model_dump())

    def _of_event(self, event: Event[Any]) -> Iterator[Record]:
        if event.type == "tool_call":
            yield from self._new_turns()
        elif event.type == "tool_result" and event.call_id not in self._ending():
            yield "result", {"id": event.call_id, "content": event.content, "is_error": event.is_error}

    def _ending(self) -> List[str]:
        """Return the calls whose exceptions have ended the run: it goes on with these calls."""
        run = self._run()
        return [] if run is None else run.calls.ending

    def _new_turns(self) -> Iterator[Record]:
        run = self._run()
        assert run is not None
        messages = run.native.messages()
        for message in messages[self._seen :]:
            if message["role"] == "assistant" and message.get("tool_calls"):
                yield "turn", {"message": message}
        self._seen = len(messages)

    def _of_end(self, run: Run) -> Iterator[Record]:
        """Yield the last records. The response has the usage of all processes."""
        usage, is_pending = run.usage(), run.native.finish_reason() == "tool_calls"
        earlier = read_progress(self._journal)
        total = usage if earlier.usage is None else earlier.usage + usage
        if not self._journal.keeps_all_ends:
            yield "usage", {"usage": usage.model_dump()}
            if is_pending:
                return
        response = complete(run.response(), earlier._replace(usage=total)).model_dump(mode="json", exclude={"output"})
        if not self._journal.keeps_all_ends:
            yield "end", {"response": response}
        else:  # in one record: a process that dies between two would add its usage again and again
            yield "pending" if is_pending else "end", {"response": response, "usage": usage.model_dump()}


def complete(response: AgentResponse[Any], progress: Progress) -> AgentResponse[Any]:
    """Return the response of a whole run, made of that of its last process."""
    answer = [message for message in response.messages[-1:] if message.role == "assistant" and not message.tool_calls]
    changes = {
        "messages": [*progress.messages, *answer],
        "tool_calls": progress.tool_calls(),
        "usage": response.usage if progress.usage is None else progress.usage,
    }
    return response.model_copy(update=changes)
