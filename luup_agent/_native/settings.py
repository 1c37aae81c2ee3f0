"""The settings of agents and runs as the library's structures, filled from the table in `luup_agent.settings`."""

from __future__ import annotations

import json
from functools import partial
from typing import Any, Callable, List, Mapping, NamedTuple, Optional, Tuple

from luup_agent._luup_cffi import ffi, lib
from luup_agent._native.values import (
    INT32_MAX,
    Struct,
    encode_bool,
    encode_float,
    encode_int,
    encode_text,
    encode_timeout,
)
from luup_agent.errors import InvalidParamError
from luup_agent.media import Image, files_of
from luup_agent.settings import Native, Settings, native_settings

_LEVELS = ("low", "medium", "high")  # of `reasoning`
_NATIVE = native_settings()
_TYPES = {"sampling": ffi.typeof("luup_sampling_params *"), "run": ffi.typeof("luup_run_params *")}


class Encoded(NamedTuple):
    """Settings as the library's structures, all checked.

    Attributes:
        settings: The settings.
        sampling: A ``luup_sampling_params *``.
        run: A ``luup_run_params *`` that lacks its sampling and its request.
        keep: The texts that the structures point to.
    """

    settings: Settings
    sampling: Any
    run: Any
    keep: Tuple[Any, ...] = ()


class OutputRequest(NamedTuple):
    """The form of an answer.

    Attributes:
        kind: "schema", "pattern", "grammar" or "choices".
        text: The JSON schema, the regular expression, the grammar, or a JSON array of texts.
    """

    kind: str
    text: str


class RunRequest(NamedTuple):
    """The parameters of one run that are not settings.

    Attributes:
        message: The user's message; None answers the history.
        tools: A JSON array of tool definitions; None for the agent's own.
        output: What the answer has to be; None for plain text.
        choices: The answers to score, instead of generating one.
        system_prompt: In place of the agent's; "" for none, None for the agent's.
        history: A JSON array of messages in place of the agent's history; None for that.
        raw_prompt: Whether the message is the whole prompt, without the chat template.
    """

    message: Optional[str]
    tools: Optional[str] = None
    output: Optional[OutputRequest] = None
    choices: Tuple[str, ...] = ()
    system_prompt: Optional[str] = None
    history: Optional[str] = None
    raw_prompt: bool = False


Write = Callable[[Any, Any], Any]  # writes a value into a structure; returns the C objects that the structure points to


def _writer(name: str, native: Native) -> Write:
    if native.kind == "texts":
        return _write_stop
    if native.kind == "tool_choice":
        return _write_tool_choice
    if native.kind == "reasoning":
        return _write_reasoning
    if native.kind == "json":
        return _write_template_options
    if native.kind == "bias":
        return _write_logit_bias
    if native.kind == "adapter":
        return _write_adapter
    field, encode = native.field or name, _encoder(name, native)

    def write(params: Any, value: object) -> None:
        setattr(params, field, encode(value))

    return write


def _encoder(name: str, native: Native) -> Callable[[Any], Any]:
    if native.kind == "float":
        return partial(encode_float, name)
    if native.kind == "bool":
        return partial(encode_bool, name)
    if native.kind == "seconds":
        return encode_timeout
    if native.kind == "keep_history":
        return encode_keep_history
    low = -INT32_MAX - 1 if native.low is None else native.low
    high = INT32_MAX if native.high is None else native.high
    encode = partial(encode_int, name, low=low, high=high)
    if native.none is None:
        return encode
    return lambda value: native.none if value is None else encode(value)


def encode_keep_history(value: object) -> bool:
    """Return whether the messages of a run that fails enter the history."""
    if value not in ("on_success", "on_error"):
        raise InvalidParamError(f"keep_history must be 'on_success' or 'on_error', not {value!r}")
    return value == "on_error"


def _write_stop(params: Any, stop: object) -> Any:
    if stop is None:
        stop = ()
    if isinstance(stop, str):
        stop = (stop,)
    if not isinstance(stop, (list, tuple)):
        raise InvalidParamError(f"stop must be a str, a list or a tuple of str, not {type(stop).__name__}")
    texts = [ffi.new("char[]", encode_text(f"stop[{index}]", text)) for index, text in enumerate(stop)]
    array = ffi.new("const char *[]", texts)
    params.stop, params.n_stop = array if texts else ffi.NULL, len(texts)
    return texts, array


def _write_reasoning(params: Any, reasoning: object) -> Any:
    level, tokens = "", -1
    if isinstance(reasoning, bool):
        level = "on" if reasoning else "off"
    elif isinstance(reasoning, str) and reasoning in _LEVELS:
        level = reasoning
    elif isinstance(reasoning, int) and 0 <= reasoning <= INT32_MAX:
        level, tokens = "on" if reasoning else "off", int(reasoning)
    elif reasoning is not None:
        raise InvalidParamError(
            'reasoning must be True, False, "low", "medium", "high", a number of tokens from 0 to '
            f"{INT32_MAX}, or None for the chat template's own, not {_shown(reasoning)}"
        )
    text = ffi.new("char[]", level.encode("ascii")) if level else ffi.NULL
    params.reasoning, params.max_reasoning_tokens = text, tokens
    return text


def _write_template_options(params: Any, options: object) -> Any:
    text = ffi.NULL
    if options is not None:
        if not isinstance(options, Mapping):
            raise InvalidParamError(f"template_options must be a dict, not {type(options).__name__}")
        values = [_option(name, value) for name, value in options.items()]
        text = ffi.new("char[]", ("{" + ",".join(values) + "}").encode("ascii"))
    params.template_options = text
    return text


def _option(name: object, value: object) -> str:
    """Return an argument of the chat template as a member of a JSON object."""
    if not isinstance(name, str):
        raise InvalidParamError(f"template_options must have names that are str, not {_shown(name)}")
    encode_text("a name in template_options", name)
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidParamError(f"template_options[{name!r}] must be a JSON value: {error}") from None
    return f"{json.dumps(name)}: {text}"


def _write_logit_bias(params: Any, biases: object) -> Any:
    if biases is None:
        biases = {}
    if not isinstance(biases, Mapping):
        raise InvalidParamError(f"logit_bias must be a dict, not {type(biases).__name__}")
    array = ffi.new("luup_logit_bias[]", len(biases))
    texts: List[Any] = []
    for entry, (key, value) in zip(array, biases.items()):
        entry.bias = encode_float(f"logit_bias[{_shown(key)}]", value)
        if isinstance(key, str):
            if not key:
                raise InvalidParamError(
                    "logit_bias must not have an empty text: give one that is a token, or its number"
                )
            texts.append(ffi.new("char[]", encode_text("a text in logit_bias", key)))
            entry.text = texts[-1]
        elif isinstance(key, int) and not isinstance(key, bool) and 0 <= key <= INT32_MAX:
            entry.token = key
        else:
            raise InvalidParamError(f"logit_bias must have numbers of tokens or texts, not {_shown(key)}")
    params.logit_bias, params.n_logit_bias = array if biases else ffi.NULL, len(biases)
    return array, texts


def _write_adapter(params: Any, adapter: object) -> Any:
    scales = {} if adapter is None else {adapter: 1.0} if isinstance(adapter, str) else adapter
    if not isinstance(scales, Mapping):
        raise InvalidParamError(f"adapter must be a name, or a dict of names and scales, not {type(adapter).__name__}")
    array, texts = ffi.new("luup_adapter[]", len(scales)), []
    for entry, (name, scale) in zip(array, scales.items()):
        texts.append(ffi.new("char[]", encode_text("a name in adapter", name)))
        entry.name, entry.scale = texts[-1], encode_float(f"adapter[{_shown(name)}]", scale)
    params.adapters, params.n_adapters = array if scales else ffi.NULL, len(scales)
    return array, texts


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _write_tool_choice(params: Any, choice: object) -> Any:
    text = ffi.NULL if choice == "auto" else ffi.new("char[]", encode_text("tool_choice", choice))
    params.tool_choice = text
    return text


_WRITERS: Tuple[Tuple[int, bool, Write], ...] = tuple(  # the setting's place, whether it is for sampling, how
    (Settings._fields.index(name), native.struct == "sampling", _writer(name, native))
    for name, native in _NATIVE.items()
)


def _library_defaults() -> Encoded:
    sampling, run = ffi.new(_TYPES["sampling"]), ffi.new(_TYPES["run"])
    lib.luup_sampling_default_params(sampling)
    lib.luup_run_default_params(run)
    return Encoded(Settings(), sampling, run)


DEFAULTS = _library_defaults()


def encode_settings(settings: Settings, base: Encoded = DEFAULTS) -> Encoded:
    """Return `settings` as structures: a copy of `base` in which the other values are replaced.

    Raises:
        InvalidParamError: A value is wrong; the message names the setting. The library checks most ranges later.
    """
    sampling = ffi.new(_TYPES["sampling"], base.sampling[0])
    run = ffi.new(_TYPES["run"], base.run[0])
    keep: List[Any] = [base.keep]
    before = base.settings
    for place, is_sampling, write in _WRITERS:
        value = settings[place]
        if value is not before[place]:  # not `!=`, for which 1 would pass for True
            keep.append(write(sampling if is_sampling else run, value))
    return Encoded(settings, sampling, run, tuple(keep))


def _write_media(params: Any, message: str) -> Any:
    """Write the pictures and sounds of a message; return the C objects that the structure points to."""
    files = files_of(message)
    if not files:
        return None
    array, kept = ffi.new("luup_media[]", len(files)), []
    for entry, (offset, part) in zip(array, files):
        entry.type = lib.LUUP_MEDIA_IMAGE if isinstance(part, Image) else lib.LUUP_MEDIA_AUDIO
        entry.offset = offset
        if isinstance(part, Image) and part.url:
            kept.append(ffi.new("char[]", encode_text("the URL of a picture", part.url)))
            entry.url = kept[-1]
        else:
            kept.append(ffi.from_buffer(part.data))
            entry.data, entry.data_size = kept[-1], len(part.data)
    params.media, params.n_media = array, len(files)
    return array, kept


def run_params(settings: Settings, agent: Optional[Encoded], request: RunRequest) -> Struct:
    """Return the ``luup_run_params`` of a run.

    Args:
        settings: The run's.
        agent: Those that the core's agent has; None if it was made without, and each run has to bring all of its own.
        request: The rest of the parameters.
    """
    encoded = agent
    if encoded is None or settings is not encoded.settings:
        encoded = encode_settings(settings, encoded or DEFAULTS)
    params = ffi.new(_TYPES["run"], encoded.run[0])
    keep: List[Any] = [encoded]
    if encoded is not agent:
        params.sampling = encoded.sampling

    def text(name: str, value: str) -> Any:
        keep.append(ffi.new("char[]", encode_text(name, value)))
        return keep[-1]

    if request.message is not None:
        keep.append(_write_media(params, request.message))
    if request.tools is not None:
        params.tools = text("tools", request.tools)
    if request.output is not None:
        field = f"output_{request.output.kind}"
        setattr(params, field, text(field, request.output.text))
        params.review_output = params.confidence = True
    if request.system_prompt is not None:
        params.system_prompt = text("system_prompt", request.system_prompt)
    if request.history is not None:
        params.history = text("history", request.history)
    params.raw_prompt = request.raw_prompt
    if request.choices:
        choices = ffi.new("const char *[]", [text("choices", choice) for choice in request.choices])
        keep.append(choices)
        params.choices = choices
        params.n_choices = len(request.choices)
    return Struct(params, tuple(keep))
