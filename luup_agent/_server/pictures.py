"""The pictures and sounds of a request: whether the model reads them, and those that have to be fetched."""

from __future__ import annotations

import asyncio
from typing import Any, List

from luup_agent._fetching import fetch
from luup_agent._server.chat_request import ChatTask
from luup_agent._server.config import Config, Served
from luup_agent._server.failures import RequestError
from luup_agent.errors import HTTPError, InvalidParamError
from luup_agent.media import MOST_BYTES, Image
from luup_agent.messages import Message

_FETCH_SECONDS = 60.0  # for a whole picture: one that drips in would hold a thread that others wait for
_ELSEWHERE = ("remote", "fallback")  # kinds of models that may be on other servers, which say what they refuse


async def read_pictures(task: ChatTask, served: Served, config: Config) -> ChatTask:
    """Return the task with the bytes of all pictures in it.

    Raises:
        RequestError: The model reads none, an address is not allowed, or a picture can't be fetched.
    """
    if not any(message.parts for message in task.messages):
        return task
    messages: List[Message] = []
    for index, message in enumerate(task.messages):
        place = f"messages[{index}].content"
        _check_model(message, served, place)
        parts = [await _with_bytes(part, config, place) for part in message.parts]
        messages.append(Message(role="user", content="", parts=tuple(parts)) if parts else message)
    return task._replace(messages=messages)


def _check_model(message: Message, served: Served, place: str) -> None:
    model = served.value.model if served.kind == "agent" else served.value
    info = model.get_info()
    if info.backend in _ELSEWHERE or info.architecture in _ELSEWHERE:
        return
    for part in message.parts:
        if isinstance(part, str):
            continue
        can, what = (info.sees, "pictures") if isinstance(part, Image) else (info.hears, "sounds")
        if not can:
            problem = (
                f"{place} has {what}, which {served.name!r} can't read: it was loaded without a projector (mmproj)"
            )
            raise RequestError(400, problem, "unsupported_content", place)


async def _with_bytes(part: Any, config: Config, place: str) -> Any:
    if not isinstance(part, Image) or not part.url:
        return part
    if not config.image_urls:
        problem = f"{place} has the address of a picture, which this server does not fetch: send it as a data URL"
        raise RequestError(400, problem, "unsupported_content", place)
    try:
        return await asyncio.get_running_loop().run_in_executor(None, _fetched, part.url)
    except (InvalidParamError, HTTPError) as error:
        raise RequestError(400, f"{place}: {error}", "invalid_image_url", place) from None


def _fetched(url: str) -> Image:
    return Image(fetch(url, allow_private=False, timeout=30.0, most=MOST_BYTES, total=_FETCH_SECONDS))
