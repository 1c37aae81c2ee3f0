"""Questions of MCP servers to the person at the chat page: events of an answer, and what the person replies."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, AsyncGenerator, Dict, NamedTuple, Optional, Union

from luup_agent._server.failures import RequestError
from luup_agent._server.fields import Fields

if TYPE_CHECKING:
    from luup_agent._mcp.questions import Question, UserAnswer
    from luup_agent._run.async_run import AsyncEventStream

_ACTIONS = ("accept", "decline", "cancel")


class Asked(NamedTuple):
    """An event: a question, or its end. Attributes: `id` names it; `question` is None at the end."""

    id: str
    question: Optional[Question]
    type: str = "question"

    def details(self) -> Dict[str, Any]:
        """Return the fields for the client."""
        question = self.question
        if question is None:
            return {"type": "question_end", "id": self.id}
        values = {"type": self.type, "id": self.id, "server": question.server, "message": question.message}
        return {**values, "schema": question.schema, "url": question.url}


class OpenQuestions:
    """The questions of all answers that wait for a reply, by their ids, which can't be guessed."""

    def __init__(self) -> None:
        self._open: Dict[str, Future[UserAnswer]] = {}

    def reply(self, name: str, fields: Fields) -> Dict[str, Any]:
        """Pass a reply on, and return what to answer.

        Raises:
            RequestError: There is no such question, or a field is wrong.
        """
        action, content = fields.text("action"), fields.mapping("content")
        if action not in _ACTIONS:
            raise fields.wrong("action", f"must be one of {', '.join(_ACTIONS)}, got {action!r}", "invalid_value")
        fields.finish()
        waiting = self._open.pop(name, None)
        if waiting is None or not waiting.set_running_or_notify_cancel():
            raise RequestError(404, "this question no longer waits for a reply", "not_found")
        accepted: UserAnswer = True if content is None else content
        waiting.set_result(accepted if action == "accept" else False if action == "decline" else None)
        return {"id": name, "object": "question.reply", "action": action}

    @contextlib.contextmanager
    def waiting(self, name: str) -> Any:
        """Wait for the reply to a question in this block."""
        future: Future[UserAnswer] = Future()
        self._open[name] = future
        try:
            yield future
        finally:
            self._open.pop(name, None)
            future.cancel()


class AnswerQuestions:
    """The questions of one answer."""

    def __init__(self, all_open: OpenQuestions) -> None:
        """Ask in the stream of an answer; call it in the server's event loop."""
        self._all = all_open
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[Asked] = asyncio.Queue()

    async def ask(self, question: Question) -> UserAnswer:
        """Ask, in the event loop of any thread, and wait for the reply."""
        name = f"question_{uuid.uuid4().hex}"
        with self._all.waiting(name) as future:
            self._post(Asked(name, question))
            try:
                answer: UserAnswer = await asyncio.wrap_future(future)
                return answer
            finally:
                self._post(Asked(name, None))

    def _post(self, event: Asked) -> None:
        with contextlib.suppress(RuntimeError):  # the server's loop has ended
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)

    async def among(self, stream: AsyncEventStream[Any]) -> AsyncGenerator[Union[Any, Asked], None]:
        """Yield the events of a run, and the questions as they come."""
        events = asyncio.ensure_future(stream.__anext__())
        questions = asyncio.ensure_future(self._events.get())
        try:
            while True:
                await asyncio.wait({events, questions}, return_when=asyncio.FIRST_COMPLETED)
                if questions.done():
                    yield questions.result()
                    questions = asyncio.ensure_future(self._events.get())
                    continue
                try:
                    event = events.result()
                except StopAsyncIteration:
                    return
                yield event
                events = asyncio.ensure_future(stream.__anext__())
        finally:
            for task in (events, questions):
                task.cancel()
            await asyncio.gather(events, questions, return_exceptions=True)
            await stream.aclose()
