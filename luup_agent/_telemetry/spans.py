"""The watch that makes spans and metrics of a run.

Spans get their parents explicitly, because a run may go on in several threads and tasks: ``invoke_agent`` is a child of
the span that is current where the run begins, ``chat`` and ``execute_tool`` are its children. Only while a tool's
function runs, and while a request to a server begins, their spans are current.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import contextlib
import threading
import time
from typing import Any, Dict, Iterator, List, NamedTuple, Optional

from opentelemetry import context, metrics, trace

from luup_agent._completions.exchange import Responder
from luup_agent._run.perform import Outcome
from luup_agent._run.watch import CallWatch, Facts, Watch
from luup_agent._telemetry import content as contents
from luup_agent._telemetry.attributes import (
    error_type,
    model_name,
    name_of,
    provider_of,
    request_attributes,
    response_attributes,
)
from luup_agent.errors import LuupError
from luup_agent.messages import Message, ToolCall
from luup_agent.model import Model
from luup_agent.tools import AnyTool
from luup_agent.turns import Turn


class Instruments(NamedTuple):
    """The settings of the instrumentation.

    Attributes:
        tracer: Makes the spans.
        tokens: The histogram of token counts.
        duration: The histogram of the durations of requests.
        include_content: Whether spans get messages, arguments, results, and the texts of errors.
    """

    tracer: trace.Tracer
    tokens: metrics.Histogram
    duration: metrics.Histogram
    include_content: bool


class RunSpans(Watch):
    """The spans and metrics of one run."""

    def __init__(self, instruments: Instruments, facts: Facts) -> None:
        """Begin the span of the run."""
        self._with = instruments
        self._facts = facts
        self._lock = threading.Lock()
        self._chat: Optional[trace.Span] = None  # the request to a server under way
        self._chat_attributes: Dict[str, Any] = {}  # of that request, for the metrics
        self._calls: List[CallSpan] = []  # under way
        self._input = self._output = 0  # tokens
        self._model = facts.agent._parts.model
        self._history = facts.agent.messages if instruments.include_content else []
        output = None if facts.task.output is None else facts.task.output.type
        self._request = request_attributes(facts.task.settings, output)
        name = facts.agent.name
        attributes = {**self._attributes("invoke_agent", self._model, model_name(self._model)), **self._request}
        if name is not None:
            attributes["gen_ai.agent.name"] = name
        if instruments.include_content:
            attributes.update(self._contents())
        parent = context.get_current()
        title = "invoke_agent" if name is None else f"invoke_agent {name}"
        self._span = instruments.tracer.start_span(title, parent, attributes=attributes)
        self.context = trace.set_span_in_context(self._span, parent)

    def _attributes(self, operation: str, model: Model, name: str) -> Dict[str, Any]:
        return {"gen_ai.operation.name": operation, "gen_ai.request.model": name, **provider_of(model)}

    def _contents(self) -> Dict[str, Any]:
        prompt, message = self._facts.system_prompt, self._facts.task.message
        asked = [] if message is None else [Message(role="user", content=message)]
        found = {"gen_ai.input.messages": contents.messages_json(asked)}
        if prompt:
            found["gen_ai.system_instructions"] = contents.instructions_json(prompt)
        return found

    @contextlib.contextmanager
    def requesting(self, responder: Responder, index: int) -> Iterator[None]:
        """Begin the span of a request to a server: what the HTTP client makes becomes its child."""
        model = self._model._parts[index] if self._model._parts else self._model
        self._chat = self._begin_chat(model, model_name(model), time.time_ns())
        token = context.attach(trace.set_span_in_context(self._chat, self.context))
        try:
            yield
        finally:
            context.detach(token)

    def _begin_chat(self, model: Model, name: str, start: int) -> trace.Span:
        self._chat_attributes = self._attributes("chat", model, name)
        attributes = {**self._chat_attributes, **self._request}
        if self._with.include_content:
            attributes.update(self._chat_contents())
        return self._with.tracer.start_span(
            f"chat {name}",
            self.context,
            kind=trace.SpanKind.CLIENT if "server.address" in attributes else trace.SpanKind.INTERNAL,
            attributes=attributes,
            start_time=start,
        )

    def _chat_contents(self) -> Dict[str, Any]:
        found = self._contents()
        tools = self._facts.tools[0]
        if tools:
            found["gen_ai.tool.definitions"] = contents.tools_json(tools)
        messages = list(self._history)
        with contextlib.suppress(LuupError):  # another thread has closed the run
            messages += self._facts.messages()
        while messages and messages[-1].role == "assistant":  # the answer of this request is known already
            messages.pop()
        found["gen_ai.input.messages"] = contents.messages_json(m for m in messages if m.role != "system")
        return found

    def turn(self, turn: Turn) -> None:
        """End the span of a request, and count it."""
        start = int(turn.began_at * 1e9)
        chat, self._chat = self._chat, None
        if chat is None:  # a model in this process
            model = next((each for each in self._model._parts if each._remote is None), self._model)
            chat = self._begin_chat(model, name_of(turn.model), start)
        chat.set_attributes(response_attributes(turn))
        if self._with.include_content:
            chat.set_attribute("gen_ai.output.messages", contents.answer_json(turn))
        failed = {} if turn.error is None else {"error.type": turn.error_type or "_OTHER"}
        if failed:
            chat.set_attributes(failed)
            chat.set_status(trace.StatusCode.ERROR, turn.error if self._with.include_content else None)
        chat.end(start + int(turn.timings.total_seconds * 1e9))
        self._measure(turn, {**self._chat_attributes, **failed}, trace.set_span_in_context(chat, self.context))

    def _measure(self, turn: Turn, attributes: Dict[str, Any], where: context.Context) -> None:
        counts = {"input": turn.usage.prompt_tokens, "output": turn.usage.completion_tokens}
        self._input += counts["input"]
        self._output += counts["output"]
        self._with.duration.record(turn.timings.total_seconds, attributes, where)
        for kind, count in counts.items():
            if count:
                self._with.tokens.record(count, {**attributes, "gen_ai.token.type": kind}, where)

    def call(self, call: ToolCall, tool: AnyTool) -> CallSpan:
        """Return the span of a call, which begins with the tool's function."""
        return CallSpan(self, call, tool.description)

    def begin_call(self, call: ToolCall, description: Optional[str]) -> trace.Span:
        """Begin the span of a call."""
        attributes: Dict[str, Any] = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": call.name,
            "gen_ai.tool.call.id": call.id,
            "gen_ai.tool.type": "function",
        }
        if description:
            attributes["gen_ai.tool.description"] = description
        if self._with.include_content:
            attributes["gen_ai.tool.call.arguments"] = call.arguments_json
        return self._with.tracer.start_span(f"execute_tool {call.name}", self.context, attributes=attributes)

    def end_call(self, span: trace.Span, result: str, is_error: bool, kind: str) -> None:
        """End the span of a call. `kind` is the class of the error; "" if it is unknown."""
        if self._with.include_content:
            span.set_attribute("gen_ai.tool.call.result", result)
        if is_error:
            span.set_attribute("error.type", kind or "tool_error")
            span.set_status(trace.StatusCode.ERROR, result if self._with.include_content else None)
        span.end()

    def follow_call(self, call: CallSpan, is_open: bool) -> None:
        """Remember a call that has begun, or forget one that has ended."""
        with self._lock:
            if is_open:
                self._calls.append(call)
            elif call in self._calls:
                self._calls.remove(call)

    def answered(self, call: ToolCall, content: str, is_error: bool) -> None:
        """Make the span of a call that the library has answered itself; it has no duration."""
        self.end_call(self.begin_call(call, None), content, is_error, "")

    def end(self, error: Optional[BaseException]) -> None:
        """End the spans of the run, and those that it has left open."""
        with self._lock:
            left, self._calls = self._calls, []
        for call in left:
            call.close()
        chat, self._chat = self._chat, None
        if chat is not None:  # the server never answered, or the core asks again in another form
            chat.set_attributes(error_type(error))
            chat.set_status(trace.StatusCode.ERROR)
            chat.end()
        self._span.set_attributes(
            {"gen_ai.usage.input_tokens": self._input, "gen_ai.usage.output_tokens": self._output}
        )
        if error is not None:
            self._span.set_attributes(error_type(error))
            self._span.set_status(trace.StatusCode.ERROR, str(error) if self._with.include_content else None)
            if self._with.include_content:
                self._span.record_exception(error)
        elif self._with.include_content:
            answers = [message for message in self._facts.messages()[-1:] if message.role == "assistant"]
            self._span.set_attribute("gen_ai.output.messages", contents.messages_json(answers))
        self._span.end()


class CallSpan(CallWatch):
    """The span of one call, which is current while the tool's function runs."""

    def __init__(self, run: RunSpans, call: ToolCall, description: Optional[str]) -> None:
        """Prepare the span; it begins with the function."""
        self._run = run
        self._call = call
        self._description = description
        self._span: Optional[trace.Span] = None
        self._token: Any = None
        self._lock = threading.Lock()  # the function and the run's timeout may end it at once

    def __enter__(self) -> None:
        """Begin the span, and make it current."""
        self._span = self._run.begin_call(self._call, self._description)
        self._run.follow_call(self, True)
        self._token = context.attach(trace.set_span_in_context(self._span, self._run.context))

    def __exit__(self, kind: Any, error: Optional[BaseException], traceback: Any) -> None:
        """Make the span current no longer."""
        if not isinstance(error, GeneratorExit):  # a task that was dropped is closed in another context
            context.detach(self._token)

    def end(self, outcome: Outcome) -> None:
        """End the span with an outcome."""
        with self._lock:
            span, self._span = self._span, None
        if span is not None:
            self._run.follow_call(self, False)
            self._run.end_call(span, outcome.content, outcome.is_error, outcome.kind)

    def close(self) -> None:
        """End the span of a call that the run does not wait for any more."""
        with self._lock:
            span, self._span = self._span, None
        if span is not None:
            self._run.end_call(span, "", True, "cancelled")
