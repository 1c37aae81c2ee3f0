"""Agents: the handle."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Optional, Tuple

from luup_agent._luup_cffi import ffi, lib
from luup_agent._native.diagnostics import check, drain_logs
from luup_agent._native.handles import new_cell, take_string, take_tokens
from luup_agent._native.models import NativeModel
from luup_agent._native.settings import RunRequest, run_params, sampling_params
from luup_agent._native.values import (
    encode_bool,
    encode_float,
    encode_optional_path,
    encode_path,
    encode_text,
    new_output,
    to_dict,
)
from luup_agent.sampling import Settings


class NativeAgent:
    """A ``luup_agent``."""

    def __init__(self, model: NativeModel, system_prompt: Optional[str], settings: Settings, history: bool) -> None:
        """Makes the agent; `settings` are what its runs use unless told otherwise."""
        run_params(settings, settings, RunRequest(None))  # a wrong one is told now, not by the first run
        params = ffi.new("luup_agent_params *")
        lib.luup_agent_default_params(params)
        sampling = sampling_params(settings)
        params.sampling = sampling.pointer
        params.enable_history = encode_bool("enable_history", history)
        prompt = ffi.NULL
        if system_prompt is not None:
            prompt = ffi.new("char[]", encode_text("system_prompt", system_prompt))
        params.system_prompt = prompt
        self._cell = new_cell("luup_agent", lib.luup_agent_destroy)
        check(lib.luup_agent_create(model.handle, params, self._cell))
        self.handle = self._cell[0]
        self.settings: Optional[Settings] = settings
        self.responders = model.responders

    def fork(self, model: Optional[NativeModel] = None) -> NativeAgent:
        """Another agent with the settings, the tools and the history of this one; `model`: what it answers with."""
        fork = object.__new__(NativeAgent)
        fork._cell = new_cell("luup_agent", lib.luup_agent_destroy)
        check(lib.luup_agent_fork(self.handle, ffi.NULL if model is None else model.handle, fork._cell))
        fork.handle = fork._cell[0]
        fork.settings = self.settings
        fork.responders = self.responders if model is None else model.responders
        return fork

    def save(self, path: object, extra: str) -> None:
        """Saves the agent, and `extra`, to a file."""
        check(lib.luup_agent_save(self.handle, encode_path("path", path), encode_text("extra", extra)))

    @classmethod
    def load(cls, model: NativeModel, path: object) -> Tuple[NativeAgent, str]:
        """An agent from a file, whose runs must bring all of their settings; and what was saved with it."""
        agent = object.__new__(cls)
        agent._cell = new_cell("luup_agent", lib.luup_agent_destroy)
        c_path = encode_path("path", path)
        extra = take_string(lambda text: lib.luup_agent_load(model.handle, c_path, ffi.NULL, agent._cell, text))
        drain_logs()
        agent.handle = agent._cell[0]
        agent.settings = None
        agent.responders = model.responders
        return agent, extra

    def add_message(self, role: object, content: object) -> None:
        """Appends a message to the history."""
        check(lib.luup_agent_add_message(self.handle, encode_text("role", role), encode_text("content", content)))

    def clear_history(self) -> None:
        """Empties the history."""
        check(lib.luup_agent_clear_history(self.handle))

    def get_history(self) -> List[Dict[str, Any]]:
        """The history as OpenAI chat messages, without the system prompt."""
        history: List[Dict[str, Any]] = json.loads(
            take_string(lambda text: lib.luup_agent_get_history(self.handle, text))
        )
        return history

    def set_history(self, messages: List[Dict[str, Any]]) -> None:
        """Replaces the history."""
        check(lib.luup_agent_set_history(self.handle, json.dumps(messages).encode("ascii")))

    def register_tool(self, name: str, description: str, parameters: str) -> None:
        """Gives the agent's later runs a tool; `parameters` is the text of a JSON schema."""
        params = ffi.new("luup_tool_params *")
        lib.luup_tool_default_params(params)
        texts = [ffi.new("char[]", encode_text("tool", text)) for text in (name, description, parameters)]
        params.name, params.description, params.parameters = texts
        check(lib.luup_agent_register_tool(self.handle, params))

    def unregister_tool(self, name: str) -> None:
        """Takes a tool away from the agent's later runs."""
        check(lib.luup_agent_unregister_tool(self.handle, encode_text("name", name)))

    def enable_todo(self, path: object) -> None:
        """Gives the agent's later runs the built-in to-do list; in memory if `path` is None."""
        check(lib.luup_agent_enable_builtin_todo(self.handle, encode_optional_path(path)))

    def enable_notes(self, path: object) -> None:
        """Gives the agent's later runs the built-in notes; in memory if `path` is None."""
        check(lib.luup_agent_enable_builtin_notes(self.handle, encode_optional_path(path)))

    def enable_summarization(
        self, threshold: object = None, keep: object = None, by_host: bool = False, tool: object = False
    ) -> None:
        """Turns summarization on, or changes how it is done; None stands for the library's defaults."""
        params = ffi.new("luup_summarization_params *")
        lib.luup_summarization_default_params(params)
        if threshold is not None:
            params.threshold = encode_float("threshold", threshold)
        if keep is not None:
            params.keep = encode_float("keep", keep)
        params.by_host = by_host
        params.tool = encode_bool("tool", tool)
        check(lib.luup_agent_enable_builtin_summarization(self.handle, params))

    def call_builtin(self, name: str, arguments: Dict[str, Any]) -> Any:
        """What a built-in tool gives, as JSON values. The GIL is free meanwhile."""
        c_name, c_arguments = name.encode("ascii"), json.dumps(arguments).encode("ascii")
        result = take_string(lambda text: lib.luup_agent_call_builtin(self.handle, c_name, c_arguments, text))
        drain_logs()
        return json.loads(result)

    def context(self) -> Dict[str, int]:
        """The fields of ``luup_context_usage``."""
        usage = new_output("luup_context_usage")
        check(lib.luup_agent_get_context(self.handle, usage))
        return to_dict(usage)

    def prompt_tokens(self, message: Optional[str]) -> List[int]:
        """The tokens that a run of `message` would prefill."""
        c_message = ffi.NULL if message is None else encode_text("message", message)
        return take_tokens(
            lambda buffer, capacity, n: lib.luup_agent_get_prompt(self.handle, c_message, buffer, capacity, n), 1024
        )


def check_settings(model: NativeModel, settings: Settings) -> None:
    """Raises what an agent of these settings would raise when it is made."""
    NativeAgent(model, None, settings, True)
