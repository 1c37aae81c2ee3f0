"""The routes of the server."""

from __future__ import annotations

from typing import Any, Awaitable, Callable, Dict, List, Mapping, Optional, Union

from luup_agent._server import page
from luup_agent._server.body import aside, read_fields
from luup_agent._server.chat_reply import ChatReply
from luup_agent._server.chat_request import ChatTask, read_chat
from luup_agent._server.config import Config, Served
from luup_agent._server.embedding import embed
from luup_agent._server.failures import RequestError, busy, failure_of, json_response
from luup_agent._server.fields import Fields
from luup_agent._server.guard import Guard
from luup_agent._server.metrics import CONTENT_TYPE, Counts, write_metrics
from luup_agent._server.pictures import read_pictures
from luup_agent._server.questions import AnswerQuestions, OpenQuestions
from luup_agent._server.responses_reply import ResponsesReply
from luup_agent._server.responses_request import to_chat
from luup_agent._server.start import Answer, answer_chat, answer_text
from luup_agent._server.stored import StoredConversations
from luup_agent._server.streaming import EventStream, until_gone
from luup_agent._server.text_reply import TextReply
from luup_agent._server.text_request import TextTask, read_text_task
from luup_agent._server.web import ClientDisconnect, Middleware, Response, Route, Starlette
from luup_agent._sessions.store import Sessions

Endpoint = Callable[[Any], Awaitable[Any]]
MakeAnswer = Callable[[int], Answer]
MakeReply = Callable[[List[Answer]], Union[ChatReply, ResponsesReply, TextReply]]


class Server:
    """The endpoints, and the state that they share."""

    def __init__(
        self, models: Mapping[str, Served], config: Config, with_page: bool, sessions: Optional[Sessions] = None
    ) -> None:
        self._models = models
        self._stored = None if sessions is None else StoredConversations(sessions, config)
        self._config = config
        self._counts = Counts()
        self._questions = OpenQuestions()
        self._with_page = with_page

    def app(self) -> Any:
        """Return the Starlette application."""
        routes = [
            self._route("/v1/chat/completions", self._chat, "POST"),
            self._route("/v1/responses", self._responses, "POST"),
            self._route("/v1/completions", self._completions, "POST"),
            self._route("/v1/questions/{id}", self._reply, "POST"),
            self._route("/v1/embeddings", self._embeddings, "POST"),
            self._route("/v1/models", self._list_models, "GET"),
            self._route("/v1/models/{name:path}", self._show_model, "GET"),
            self._route("/health", self._health, "GET"),
            self._route("/metrics", self._metrics, "GET"),
        ]
        if self._stored is not None:
            routes += [self._route(path, endpoint, method) for method, path, endpoint in self._stored.endpoints()]
        if self._with_page:
            routes += [Route(path, endpoint, methods=["GET"]) for path, endpoint in page.endpoints().items()]
        handlers: Dict[Any, Any] = {404: _not_found, 405: _wrong_method}
        return Starlette(
            routes=routes, middleware=[Middleware(Guard, config=self._config)], exception_handlers=handlers
        )

    def _route(self, path: str, endpoint: Endpoint, method: str) -> Any:
        async def handle(request: Any) -> Any:
            try:
                response = await endpoint(request)
            except ClientDisconnect:
                response = Response(b"", 499)  # there is no reader
            except Exception as error:
                response = failure_of(error).response()
            self._counts.requests[path, getattr(response, "status_code", 200)] += 1
            return response

        return Route(path, handle, methods=[method])

    # -- chat ----------------------------------------------------------------------------------------------------------

    async def _chat(self, request: Any) -> Any:
        fields = await read_fields(request, self._config)
        task = await aside(fields.size, read_chat, fields, self._config.max_tokens)
        served = self._find(task.model, ("model", "agent"))
        task = await read_pictures(task, served, self._config)

        def reply(answers: List[Answer]) -> ChatReply:
            return ChatReply(served.name, answers, served.kind == "agent", task.include_usage)

        def answer(index: int) -> Answer:
            made = answer_chat(served, task, index)
            if task.questions and served.kind == "agent":
                made.ask_with(AnswerQuestions(self._questions))
            return made

        return await self._respond(request, task, answer, reply)

    async def _reply(self, request: Any) -> Any:
        fields = await read_fields(request, self._config)
        return json_response(self._questions.reply(request.path_params["id"], fields))

    async def _responses(self, request: Any) -> Any:
        fields = await read_fields(request, self._config)
        task = await aside(fields.size, _read_responses, fields, self._config.max_tokens)
        served = self._find(task.model, ("model", "agent"))
        task = await read_pictures(task, served, self._config)

        def reply(answers: List[Answer]) -> ResponsesReply:
            return ResponsesReply(served.name, answers[0], fields.values)

        return await self._respond(request, task, lambda index: answer_chat(served, task, index), reply)

    async def _completions(self, request: Any) -> Any:
        fields = await read_fields(request, self._config)
        task = read_text_task(fields, self._config.max_tokens)
        served = self._find(task.model, ("model",))

        def reply(answers: List[Answer]) -> TextReply:
            return TextReply(served.name, answers, task)

        return await self._respond(request, task, lambda index: answer_text(served, task, index), reply)

    async def _respond(
        self, request: Any, task: Union[ChatTask, TextTask], make_answer: MakeAnswer, make_reply: MakeReply
    ) -> Any:
        """Return the response with the answers to a task, or the stream of them."""
        if self._counts.active + task.choices > self._config.max_runs:
            raise busy(self._config.max_runs)
        self._counts.active += task.choices
        answers: List[Answer] = []

        async def end() -> None:
            self._counts.active -= task.choices
            for answer in answers:
                await answer.close()

        try:
            for index in range(task.choices):
                answers.append(make_answer(index))
        except BaseException:
            await end()
            raise
        reply = make_reply(answers)
        if task.stream:
            return EventStream(reply.chunks(), end)
        try:
            completion = await until_gone(request.receive, reply.whole())
        finally:
            await end()
        return Response(b"", 499) if completion is None else json_response(completion)

    # -- the rest ------------------------------------------------------------------------------------------------------

    async def _embeddings(self, request: Any) -> Any:
        fields = await read_fields(request, self._config)
        served = self._find(fields.text("model"), ("embedder",))
        return json_response(await embed(served.name, served.value, fields))

    async def _list_models(self, request: Any) -> Any:
        data = [_describe(each) for each in self._models.values()]
        return json_response({"object": "list", "data": data, "luup": {"sessions": self._stored is not None}})

    async def _show_model(self, request: Any) -> Any:
        return json_response(_describe(self._find(request.path_params["name"], ("model", "agent", "embedder"))))

    async def _health(self, request: Any) -> Any:
        closed = [name for name, each in self._models.items() if each.closed]
        if closed:
            raise RequestError(
                503, f"these models are closed: {', '.join(closed)}", "model_closed", None, "server_error"
            )
        return json_response({"status": "ok"})

    async def _metrics(self, request: Any) -> Any:
        text = write_metrics(self._counts, self._models)
        return Response(text.encode(), 200, None, CONTENT_TYPE)

    def _find(self, name: Optional[str], kinds: Any) -> Served:
        """Return the model of this name, or the first one of these kinds.

        Raises:
            RequestError: There is none.
        """
        known = [each for each in self._models.values() if each.kind in kinds]
        found = known[:1] if name is None else [each for each in known if each.name == name]
        if found:
            return found[0]
        if name is not None and name in self._models:
            raise RequestError(
                400,
                f"{name!r} is of the kind {self._models[name].kind!r}, which this endpoint can't use",
                "wrong_model_kind",
                "model",
            )
        names = ", ".join(each.name for each in known) or "none"
        wanted = "no model" if name is None else f"no model {name[:200]!r}"
        raise RequestError(404, f"there is {wanted} for this endpoint; it has: {names}", "model_not_found", "model")


def _read_responses(fields: Fields, max_tokens: Optional[int]) -> ChatTask:
    return read_chat(Fields(to_chat(fields)), max_tokens)


def _describe(served: Served) -> Dict[str, Any]:
    values = {"id": served.name, "object": "model", "created": served.created, "owned_by": "luup-agent"}
    luup: Dict[str, Any] = {"kind": served.kind}
    if served.kind != "embedder":
        model = served.value.model if served.kind == "agent" else served.value
        luup["context_size"] = model.get_info().context_size
    if served.kind == "agent":
        luup["tools"] = sorted(served.value.tools)
    return {**values, "luup": luup}


async def _not_found(request: Any, error: Exception) -> Any:
    path = request.url.path[:200]
    return RequestError(404, f"there is no endpoint {path!r}", "not_found").response()


async def _wrong_method(request: Any, error: Exception) -> Any:
    allowed = dict(getattr(error, "headers", None) or {})
    message = f"{request.method[:20]} is not allowed at {request.url.path[:200]!r}"
    return RequestError(405, message, "method_not_allowed", headers=allowed).response()
