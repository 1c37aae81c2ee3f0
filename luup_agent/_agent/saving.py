"""Agents in files."""

from __future__ import annotations

import json
import os
from typing import Any, Dict, Mapping, NamedTuple, Optional, Tuple, Union

from luup_agent import _native
from luup_agent._files import shorten_path
from luup_agent._json import read_json
from luup_agent.errors import InvalidParamError, StorageError
from luup_agent.limits import LoopGuard, UsageLimits, check_limits
from luup_agent.messages import Message
from luup_agent.outputs import Output, output_of
from luup_agent.settings import Settings

_LIMITS = {"usage_limits": UsageLimits, "loop_guard": LoopGuard}  # settings that have fields
_NOT_SAVED = ("tools", "toolsets", "deps", "approve", "on_event", "process_history")  # objects of this process


class SavedAgent(NamedTuple):
    """The values of an agent that a file holds beside its history."""

    system_prompt: Optional[str]
    settings: Settings
    enable_tool_calling: bool
    enable_builtin_tools: bool
    output_type: Any = None


def save(native: _native.NativeAgent, path: Union[str, os.PathLike[str]], agent: SavedAgent) -> None:
    """Write the values of an agent, its history and its part of the context to a file."""
    settings = {name: value for name, value in agent.settings._asdict().items() if name not in _NOT_SAVED}
    if agent.settings.logit_bias is not None:  # JSON has no numbers as names
        settings["logit_bias"] = [list(each) for each in agent.settings.logit_bias.items()]
    for name in _LIMITS:
        settings[name] = None if settings[name] is None else settings[name]._values()
    values = {**agent._asdict(), "settings": settings, "output_type": _write_output(agent.output_type)}
    native.save(path, json.dumps(values))


def _write_output(output_type: Any) -> Optional[Dict[str, str]]:
    if output_type is None:
        return None
    if isinstance(output_type, Output):
        return {"kind": output_type.kind, "text": output_type.text}
    return {"kind": "type", "text": getattr(output_type, "__name__", repr(output_type))}


def _read_output(saved: Any) -> Any:
    """Return the saved `output_type`; a str names a Python type, which is not saved."""
    if saved is None:
        return None
    kind, text = saved["kind"], saved["text"]
    if not isinstance(text, str):
        raise TypeError("the text of its output_type is not a str")
    return text if kind == "type" else output_of(kind, text)


def load(
    model: _native.NativeModel, path: Union[str, os.PathLike[str]], options: Mapping[str, Any], output_type: Any = None
) -> Tuple[_native.NativeAgent, SavedAgent]:
    """Return the core's agent from a file, and the values saved with it.

    Args:
        model: The model to answer with.
        path: The file.
        options: Settings in place of the saved ones.
        output_type: In place of the saved one, unless it is None.

    Raises:
        StorageError: The file was not saved by `save`.
        InvalidParamError: An option is wrong, the model lacks the agent's adapter and no other was given, or the
            agent's `output_type` is a Python type and was not given.
    """
    native, text = _native.NativeAgent.load(model, path)
    try:
        saved = _read(text)
        _native.encode_settings(saved.settings)
        _native.check_settings(model, saved.settings._replace(adapter=None))  # this model may lack the adapter
        for message in native.get_history():
            Message.from_dict("a message", message)
    except (ValueError, TypeError, KeyError) as error:  # InvalidParamError and others are ValueErrors
        reason = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise StorageError(f"{shorten_path(str(os.fspath(path)))} was not saved by Agent.save: {reason}") from None
    if output_type is None and isinstance(saved.output_type, str):
        raise InvalidParamError(
            f"output_type: the saved agent answers with {saved.output_type}, a Python type, which is not saved: give "
            "output_type= to load, the same type, another one, or str for text"
        )
    saved = saved if output_type is None else saved._replace(output_type=output_type)
    if options or saved.settings.adapter is not None:
        settings = saved.settings.override("load", options)
        check_limits(settings.usage_limits, settings.loop_guard)
        _native.check_settings(model, settings)
        saved = saved._replace(settings=settings)
    return native, saved


def _read(text: str) -> SavedAgent:
    """Return the values in the JSON text of a file.

    Raises:
        ValueError: A value is wrong.
        TypeError: A value has another type.
        KeyError: A value is missing.
    """
    values: Dict[str, Any] = read_json("the saved agent", text)
    system_prompt, settings = values["system_prompt"], values["settings"]
    if system_prompt is not None:
        _native.encode_text("system_prompt", system_prompt)
    if not isinstance(settings, dict):
        raise TypeError(f"its settings must be an object, not {type(settings).__name__}")
    objects = [name for name in _NOT_SAVED if name in settings]
    if objects:
        raise ValueError(f"its settings have {', '.join(objects)}, which are not saved")
    if not isinstance(settings.get("adapter"), (str, dict, type(None))):
        raise TypeError(f"its adapter must be a name or an object, not {type(settings['adapter']).__name__}")
    if settings.get("logit_bias") is not None:
        settings["logit_bias"] = dict(settings["logit_bias"])
    for name, kind in _LIMITS.items():
        if settings.get(name) is not None:
            settings[name] = kind(**settings[name])
    return SavedAgent(
        system_prompt,
        Settings(**settings),
        _native.encode_bool("enable_tool_calling", values["enable_tool_calling"]),
        _native.encode_bool("enable_builtin_tools", values.get("enable_builtin_tools", True)),
        _read_output(values.get("output_type")),
    )
