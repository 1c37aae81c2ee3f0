"""`NativeAgent`, the handle of a ``luup_agent``."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Optional, Tuple

from luup_agent._luup_cffi import ffi, lib
from luup_agent._native.diagnostics import check, drain_logs
from luup_agent._native.handles import Owner, take_string, take_tokens
from luup_agent._native.models import NativeModel
from luup_agent._native.settings import Encoded, RunRequest, encode_settings, run_params
from luup_agent._native.values import (
    encode_bool,
    encode_float,
    encode_optional_path,
    encode_path,
    encode_text,
    new_output,
    to_dict,
)
from luup_agent.settings import Settings


class NativeAgent:
    """A ``luup_agent``.

    Attributes:
        settings: The settings of the agent's runs unless a run overrides them; None after `load`, where each run
            brings all of its settings.
        responders: The responders of its model, see `NativeModel`.
    """

    def __init__(self, model: NativeModel, system_prompt: Optional[str], settings: Settings, history: bool) -> None:
        """Create the agent; `settings` apply to its runs unless a run overrides them."""
        encoded = encode_settings(settings)
        params = ffi.new("luup_agent_params *")
        lib.luup_agent_default_params(params)
        params.sampling = encoded.sampling
        params.enable_history = encode_bool("enable_history", history)
        prompt = ffi.NULL
        if system_prompt is not None:
            prompt = ffi.new("char[]", encode_text("system_prompt", system_prompt))
        params.system_prompt = prompt
        self._owner = Owner("agent", lib.luup_agent_destroy)
        check(lib.luup_agent_create(model.handle, params, self._owner.cell))
        self.settings: Optional[Encoded] = encoded
        self.responders = model.responders

    @property
    def handle(self) -> Any:
        """The C pointer."""
        return self._owner.pointer

    def fork(self, model: Optional[NativeModel] = None) -> NativeAgent:
        """Return a copy with the same settings, tools and history; `model` replaces its model."""
        fork = object.__new__(NativeAgent)
        fork._owner = Owner("agent", lib.luup_agent_destroy)
        check(lib.luup_agent_fork(self.handle, ffi.NULL if model is None else model.handle, fork._owner.cell))
        fork.settings = self.settings
        fork.responders = self.responders if model is None else model.responders
        return fork

    def save(self, path: object, extra: str) -> None:
        """Save the agent and the text `extra` to a file."""
        check(lib.luup_agent_save(self.handle, encode_path("path", path), encode_text("extra", extra)))

    def save_state(self, path: object, least: int, most: int) -> int:
        """Save the KV state of the last run if it has `least` tokens and at most `most` bytes; return its tokens."""
        n_tokens = ffi.new("size_t *")
        check(lib.luup_agent_save_state(self.handle, encode_path("path", path), least, most, n_tokens))
        return int(n_tokens[0])

    def load_state(self, path: object) -> int:
        """Read a KV state for the next run; return its tokens, or 0 if it is another model's or has no room."""
        n_tokens = ffi.new("size_t *")
        check(lib.luup_agent_load_state(self.handle, encode_path("path", path), n_tokens))
        drain_logs()
        return int(n_tokens[0])

    @classmethod
    def load(cls, model: NativeModel, path: object) -> Tuple[NativeAgent, str]:
        """Return the agent in a file, and the text that was saved with it. Its runs must bring all their settings."""
        agent = object.__new__(cls)
        agent._owner = Owner("agent", lib.luup_agent_destroy)
        c_path = encode_path("path", path)
        extra = take_string(lambda text: lib.luup_agent_load(model.handle, c_path, ffi.NULL, agent._owner.cell, text))
        drain_logs()
        agent.settings = None
        agent.responders = model.responders
        return agent, extra

    def add_message(self, role: object, content: object) -> None:
        """Append a message to the history."""
        check(lib.luup_agent_add_message(self.handle, encode_text("role", role), encode_text("content", content)))

    def clear_history(self) -> None:
        """Clear the history."""
        check(lib.luup_agent_clear_history(self.handle))

    def get_history(self) -> List[Dict[str, Any]]:
        """Return the history as OpenAI chat messages, without the system prompt."""
        history: List[Dict[str, Any]] = json.loads(
            take_string(lambda text: lib.luup_agent_get_history(self.handle, text))
        )
        return history

    def set_history(self, messages: List[Dict[str, Any]]) -> None:
        """Replace the history."""
        check(lib.luup_agent_set_history(self.handle, json.dumps(messages).encode("ascii")))

    def set_system_prompt(self, system_prompt: Optional[str]) -> None:
        """Replace the system prompt of later runs."""
        text = ffi.NULL if system_prompt is None else encode_text("system_prompt", system_prompt)
        check(lib.luup_agent_set_system_prompt(self.handle, text))

    def register_tool(self, name: str, description: str, parameters: str) -> None:
        """Register a tool for later runs; `parameters` is the text of a JSON schema."""
        params = ffi.new("luup_tool_params *")
        lib.luup_tool_default_params(params)
        texts = [ffi.new("char[]", encode_text("tool", text)) for text in (name, description, parameters)]
        params.name, params.description, params.parameters = texts
        check(lib.luup_agent_register_tool(self.handle, params))

    def unregister_tool(self, name: str) -> None:
        """Remove a tool from later runs."""
        check(lib.luup_agent_unregister_tool(self.handle, encode_text("name", name)))

    def enable_todo(self, path: object) -> None:
        """Enable the built-in to-do list for later runs, kept in memory if `path` is None."""
        check(lib.luup_agent_enable_builtin_todo(self.handle, encode_optional_path(path)))

    def enable_notes(self, path: object) -> None:
        """Enable the built-in notes for later runs, kept in memory if `path` is None."""
        check(lib.luup_agent_enable_builtin_notes(self.handle, encode_optional_path(path)))

    def enable_summarization(
        self, threshold: object = None, keep: object = None, by_host: bool = False, tool: object = False
    ) -> None:
        """Enable summarization, or change its parameters; None means the library's default."""
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
        """Call a built-in tool and return its result as JSON values. Releases the GIL."""
        c_name, c_arguments = name.encode("ascii"), json.dumps(arguments).encode("ascii")
        result = take_string(lambda text: lib.luup_agent_call_builtin(self.handle, c_name, c_arguments, text))
        drain_logs()
        return json.loads(result)

    def context(self) -> Dict[str, int]:
        """Return the fields of ``luup_context_usage``."""
        usage = new_output("luup_context_usage")
        check(lib.luup_agent_get_context(self.handle, usage))
        return to_dict(usage)

    def prompt_tokens(self, message: Optional[str]) -> List[int]:
        """Return the prompt tokens of a run that answers `message`."""
        c_message = ffi.NULL if message is None else encode_text("message", message)
        return take_tokens(
            lambda buffer, capacity, n: lib.luup_agent_get_prompt(self.handle, c_message, buffer, capacity, n), 1024
        )

    def preview(self, settings: Settings, request: RunRequest) -> Tuple[str, List[int]]:
        """Return the text and the tokens of the first prompt of a run; no tokens if the text is a request's body."""
        params = run_params(settings, self.settings, request)
        c_message = ffi.NULL if request.message is None else encode_text("message", request.message)
        tokens: List[int] = []

        def call(text: Any) -> int:
            n_tokens = ffi.new("size_t *")
            buffer = ffi.new("int32_t[]", _PROMPT_TOKENS)
            while True:
                capacity = len(buffer)
                code: int = lib.luup_agent_preview_run(
                    self.handle, c_message, params.pointer, text, buffer, capacity, n_tokens
                )
                if code or n_tokens[0] <= capacity:
                    tokens.extend(ffi.unpack(buffer, n_tokens[0]) if n_tokens[0] and not code else ())
                    return code
                lib.luup_string_free(text[0])
                buffer = ffi.new("int32_t[]", n_tokens[0])

        return take_string(call), tokens


_PROMPT_TOKENS = 8192  # a longer prompt is rendered twice


def check_settings(model: NativeModel, settings: Settings) -> None:
    """Raise the error that creating an agent with these settings would raise."""
    NativeAgent(model, None, settings, True)


def check_grammar(model: NativeModel, grammar: str) -> None:
    """Check that the library can hold an answer of a model to a grammar.

    Raises:
        InvalidSchemaError: It can't; the message names the line and the rule.
    """
    check(lib.luup_grammar_check(model.handle, encode_text("grammar", grammar)))
