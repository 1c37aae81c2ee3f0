"""The body of a request to ``/v1/chat/completions``."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, NamedTuple, NoReturn, Optional, Tuple, Union

from luup_agent._server.failures import RequestError
from luup_agent._server.fields import Fields, kind_of
from luup_agent.errors import InvalidParamError, InvalidSchemaError
from luup_agent.messages import Message
from luup_agent.outputs import JSONSchema
from luup_agent.tools import AnyTool, Tool

MAX_CHOICES = 16
MAX_TOOLS = 1024  # of a run
_SEEDS = 2**32 - 1  # one more than the greatest seed

# Fields that do not change the answer of this server.
HARMLESS = (
    "user",
    "metadata",
    "store",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "prediction",
)
REFUSED = {
    "functions": "is OpenAI's old name; use tools",
    "function_call": "is OpenAI's old name; use tool_choice",
    "audio": "is not supported: the models write text only",
    "web_search_options": "is not supported: the server searches nothing; offer a tool that does",
    "verbosity": "is not supported; say in the system message how long answers should be",
}
_EFFORTS: Dict[str, Union[bool, str]] = {
    "none": False,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
}


class ChatTask(NamedTuple):
    """The task in a request.

    Attributes:
        model: The name of the model; None for the first one.
        messages: The conversation.
        options: Settings of the run.
        tools: Tools that the client runs.
        output: The form of the answer; None for the one of the model.
        stream: Whether the answer is streamed.
        include_usage: Whether a stream ends with the token counts.
        choices: The number of answers.
        approvals: Decisions on calls of an agent's tools that wait for an approval, by the ids of the calls.
        names_length: Whether the request limits the length of the answer.
        questions: Whether the client shows questions of MCP servers, and sends the replies.
    """

    model: Optional[str]
    messages: List[Message]
    options: Dict[str, Any]
    tools: Tuple[AnyTool, ...]
    output: Optional[JSONSchema]
    stream: bool
    include_usage: bool
    choices: int
    approvals: Dict[str, Union[bool, str]]
    names_length: bool = True
    questions: bool = False


def read_chat(fields: Fields, max_tokens: Optional[int]) -> ChatTask:
    """Return the task in a request's body.

    Args:
        fields: The body.
        max_tokens: The most tokens of an answer, and how many a request gets that asks for no number.

    Raises:
        RequestError: A field is wrong or not supported.
    """
    stream, include_usage = read_stream(fields)
    if fields.items("modalities") not in (None, ["text"]):
        raise fields.wrong("modalities", 'must be ["text"]', "invalid_value")
    options = read_sampling(fields)
    options["max_tokens"] = _max_tokens(fields, max_tokens)
    options.update(_read_logprobs(fields))
    tools, choice = _read_tools(fields)
    if choice is not None:
        options["tool_choice"] = choice
    if fields.has("parallel_tool_calls"):
        options["parallel_tool_calls"] = fields.flag("parallel_tool_calls")
    task = ChatTask(
        fields.text("model"),
        _read_messages(fields),
        options,
        tools,
        _read_format(fields),
        stream,
        include_usage,
        fields.whole("n", 1, MAX_CHOICES) or 1,
        _read_approvals(fields),
        fields.has("max_tokens") or fields.has("max_completion_tokens"),
        fields.flag("questions") and stream,
    )
    fields.finish(HARMLESS, REFUSED)
    return task


def read_stream(fields: Fields) -> Tuple[bool, bool]:
    """Return whether the answer is streamed, and whether the stream ends with the token counts."""
    stream = fields.flag("stream")
    stream_options = fields.fields("stream_options")
    include_usage = False
    if stream_options is not None:
        if not stream:
            raise fields.wrong("stream_options", "needs stream to be true", "invalid_value")
        include_usage = stream_options.flag("include_usage")
        stream_options.finish(("include_obfuscation",))
    return stream, include_usage


def read_sampling(fields: Fields) -> Dict[str, Any]:
    """Return the settings of the sampler in a request; only those that it has."""
    options: Dict[str, Any] = {}
    for name in ("temperature", "top_p", "min_p", "presence_penalty", "frequency_penalty", "repeat_penalty"):
        options[name] = fields.number(name)
    if fields.has("repetition_penalty"):  # the name that vLLM and TGI have
        options["repeat_penalty"] = fields.number("repetition_penalty")
    options["top_k"] = fields.whole("top_k", -1, 2**31 - 1)
    if options["top_k"] == -1:  # off, as vLLM writes it
        options["top_k"] = 0
    seed = fields.whole("seed")
    if seed is not None:
        options["seed"] = seed % _SEEDS
    stop = fields.value("stop")
    if isinstance(stop, list) and all(isinstance(each, str) for each in stop):
        options["stop"] = tuple(each for each in stop if each)
    elif isinstance(stop, str):
        options["stop"] = stop or None
    elif stop is not None:
        raise fields.wrong("stop", f"must be a text or a list of texts, not {kind_of(stop)}")
    biases = fields.mapping("logit_bias")
    if biases:
        options["logit_bias"] = {_token(name): bias for name, bias in biases.items()}
    effort = fields.text("reasoning_effort")
    if effort is not None:
        if effort not in _EFFORTS:
            raise fields.wrong("reasoning_effort", f"must be one of {', '.join(_EFFORTS)}, got {effort[:100]!r}")
        options["reasoning"] = _EFFORTS[effort]
    template_options = fields.mapping("chat_template_kwargs")
    if template_options:
        options["template_options"] = template_options
    return {name: value for name, value in options.items() if value is not None}


def _token(name: str) -> Union[int, str]:
    """Return the number of a token, as OpenAI's API names it, or its text."""
    return int(name) if name.isascii() and name.isdigit() and len(name) < 10 else name


def _max_tokens(fields: Fields, limit: Optional[int]) -> Optional[int]:
    old, new = fields.whole("max_tokens", 1, 2**31 - 1), fields.whole("max_completion_tokens", 1, 2**31 - 1)
    if old is not None and new is not None and old != new:
        raise fields.wrong(
            "max_tokens", "must not differ from max_completion_tokens; give one of them", "invalid_value"
        )
    asked = new if old is None else old
    if asked is None or limit is None:
        return limit if asked is None else asked
    return min(asked, limit)


def _read_logprobs(fields: Fields) -> Dict[str, Any]:
    wanted, top = fields.flag("logprobs"), fields.whole("top_logprobs", 0, 20)
    if top and not wanted:
        raise fields.wrong("top_logprobs", "needs logprobs to be true", "invalid_value")
    return {"logprobs": True, "top_logprobs": top or 0} if wanted else {}


def _read_messages(fields: Fields) -> List[Message]:
    messages = fields.items("messages")
    if not messages:
        raise fields.missing("messages") if messages is None else fields.wrong("messages", "is empty", "invalid_value")
    found: List[Message] = []
    for index, values in enumerate(messages):
        name = f"messages[{index}]"
        if not isinstance(values, dict):
            raise RequestError(400, f"{name} must be a JSON object, not {kind_of(values)}", "invalid_type", name)
        known = dict(values)
        if known.get("role") != "tool":
            known.pop("name", None)  # of a participant, which no chat template shows
        if known.get("role") == "assistant":
            known.pop("luup", None)  # of an earlier answer of this server
        if isinstance(known.get("content"), list):
            _check_parts(name, known["content"])
        try:
            found.append(Message.from_dict(name, known))
        except InvalidParamError as error:
            raise RequestError(400, str(error), "invalid_value", name) from None
    last = found[-1]
    if last.role == "system" or (last.role == "assistant" and not last.tool_calls):
        problem = (
            f"messages must end with a message of the role user or tool, but the last one is of the role {last.role}: "
            "this server does not continue the text of an answer"
        )
        raise RequestError(400, problem, "invalid_value", "messages")
    return found


def _check_parts(name: str, parts: List[Any]) -> None:
    for index, part in enumerate(parts):
        kind = part.get("type") if isinstance(part, dict) else None
        if isinstance(kind, str) and kind not in ("text", "image_url", "input_audio"):
            place = f"{name}.content[{index}]"
            problem = (
                f"{place} is of type {kind[:50]!r}, but this server takes text, pictures (image_url) and sounds "
                "(input_audio) only"
            )
            raise RequestError(400, problem, "unsupported_content", place)


def _read_approvals(fields: Fields) -> Dict[str, Union[bool, str]]:
    approvals = fields.mapping("approvals") or {}
    for call_id, decision in approvals.items():
        if not isinstance(decision, (bool, str)):
            raise fields.wrong("approvals", f"must have true, false or a reason for {call_id[:100]!r}", "invalid_type")
    return approvals


# -- tools -------------------------------------------------------------------------------------------------------------


def _for_the_client(**_arguments: Any) -> NoReturn:
    """Stand for a tool of the client: its calls wait for an approval, which never comes here."""
    raise AssertionError("a tool of the client was called on the server")


def _read_tools(fields: Fields) -> Tuple[Tuple[AnyTool, ...], Optional[str]]:
    """Return the client's tools and the choice among tools."""
    values = fields.items("tools") or []
    if len(values) > MAX_TOOLS:
        raise fields.wrong("tools", f"must have at most {MAX_TOOLS} tools, got {len(values)}", "invalid_value")
    tools = tuple(_read_tool(f"tools[{index}]", value) for index, value in enumerate(values))
    names = set()
    for index, tool in enumerate(tools):
        if tool.name in names:
            raise RequestError(
                400, f"tools[{index}] has the name of an earlier tool: {tool.name!r}", "invalid_value", "tools"
            )
        names.add(tool.name)
    choice = fields.value("tool_choice")
    if isinstance(choice, dict) and choice.get("type") == "allowed_tools":
        return _read_allowed(Fields(choice, "tool_choice"), tools)
    return tools, _read_choice(fields)


def _read_allowed(choice: Fields, tools: Tuple[AnyTool, ...]) -> Tuple[Tuple[AnyTool, ...], Optional[str]]:
    """Return those of the client's tools that this answer may use, and the choice among them."""
    choice.text("type")
    allowed = choice.fields("allowed_tools")
    if allowed is None:
        raise choice.missing("allowed_tools")
    mode, names = allowed.text("mode"), set()
    if mode not in ("auto", "required"):
        raise allowed.wrong("mode", f'must be "auto" or "required", got {mode!r}', "invalid_value")
    for each in allowed.items("tools") or []:
        function = each.get("function") if isinstance(each, dict) else None
        name = function.get("name") if isinstance(function, dict) else None
        if name not in {tool.name for tool in tools}:
            raise allowed.wrong("tools", f"must name functions of tools, got {str(each)[:100]}", "invalid_value")
        names.add(name)
    allowed.finish()
    choice.finish()
    return tuple(tool for tool in tools if tool.name in names), mode


def _read_tool(place: str, value: object) -> AnyTool:
    outer = Fields(value, place)
    if outer.text("type") != "function":
        raise outer.wrong("type", 'must be "function": other kinds of tools are not supported', "invalid_value")
    function = outer.fields("function")
    if function is None:
        raise outer.missing("function")
    name, description = function.text("name"), function.text("description")
    parameters = function.mapping("parameters")
    function.flag("strict")  # arguments always follow their schema
    if name is None:
        raise function.missing("name")
    function.finish()
    outer.finish()
    schema = parameters or {"type": "object", "properties": {}}
    try:
        return Tool(
            _for_the_client, name=name, description=description or "", parameters=schema, requires_approval=True
        )
    except InvalidSchemaError as error:
        raise RequestError(400, f"{place}: {error}", "invalid_schema", f"{place}.function.parameters") from None
    except InvalidParamError as error:
        raise RequestError(400, f"{place}: {error}", "invalid_value", f"{place}.function") from None


def _read_choice(fields: Fields) -> Optional[str]:
    choice = fields.value("tool_choice")
    if choice is None:
        return None
    if isinstance(choice, str) and choice in ("auto", "none", "required"):
        return choice
    if not isinstance(choice, dict):
        raise fields.wrong("tool_choice", 'must be "auto", "none", "required" or an object with the name of a function')
    function = choice.get("function")
    name = function.get("name") if isinstance(function, Mapping) else None
    if choice.get("type") != "function" or not isinstance(name, str):
        raise fields.wrong(
            "tool_choice", 'must be {"type": "function", "function": {"name": …}}; other kinds are not supported'
        )
    return name


def _read_format(fields: Fields) -> Optional[JSONSchema]:
    """Return the form that ``response_format`` asks for."""
    wanted = fields.fields("response_format")
    if wanted is None:
        return None
    kind = wanted.text("type")
    if kind == "text":
        wanted.finish()
        return None
    if kind == "json_object":
        wanted.finish()
        return JSONSchema({"type": "object"})
    if kind != "json_schema":
        raise wanted.wrong("type", 'must be "text", "json_object" or "json_schema"', "invalid_value")
    named = wanted.fields("json_schema")
    if named is None:
        raise wanted.missing("json_schema")
    schema = named.mapping("schema")
    if schema is None:
        raise named.missing("schema")
    for name in ("name", "description"):
        named.text(name)
    named.flag("strict")
    named.finish()
    wanted.finish()
    return JSONSchema(schema)
