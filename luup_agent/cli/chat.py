"""The command ``luup-agent chat``: the model, the tools and the form of the answers that its arguments name."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from typing import Any, Dict, Iterator, Tuple

from luup_agent import Agent, Model
from luup_agent.cli import converse, loading, media, once, options, output, python_values, schema_text, source
from luup_agent.cli.conversation import Conversation, with_system
from luup_agent.cli.keyboard import Keyboard
from luup_agent.errors import InvalidParamError


def run(arguments: argparse.Namespace) -> int:
    """Answer one message, the lines of stdin, or what the user types.

    Raises:
        LuupError: An argument is wrong, the model can't be loaded, or the only run failed.
    """
    if arguments.json and arguments.message is None and output.is_terminal(sys.stdin):
        raise InvalidParamError("--json needs a MESSAGE, or messages on stdin")
    message = source.message_of(arguments.message)
    files = media.read_files(arguments.image, arguments.audio)
    output_type = schema_text.read(arguments.schema) if arguments.schema is not None else None
    talks = message is None and output.is_terminal(sys.stdin)
    keyboard = Keyboard()
    with contextlib.ExitStack() as stack:
        with keyboard.quiet() if talks else contextlib.nullcontext():  # what is typed is the first message
            agent, settings = stack.enter_context(_open(arguments))
        is_typed = output_type is not None or agent.output_type is not None
        form = "json" if arguments.json else "value" if is_typed else "text"
        view = converse.make_view(keyboard, arguments.verbose, form, arguments.plain)
        if talks:
            conversation = Conversation(agent, settings, output_type)
            conversation.attached += files
            reader = converse.make_reader(keyboard, view, conversation, arguments.plain)
            view.note(converse.headline(agent.model))
            converse.converse(conversation, view, reader, arguments.yes)
        else:
            messages = media.with_files([message] if message is not None else source.lines_of(sys.stdin), files)
            once.answer_all(agent, messages, view, settings, output_type, arguments.yes)
    return output.EXIT_OK


@contextlib.contextmanager
def _open(arguments: argparse.Namespace) -> Iterator[Tuple[Agent[Any, Any], Dict[str, Any]]]:
    """Yield the agent of a command line, and the options that each of its runs gets."""
    tools, toolsets = python_values.tools_of(arguments.tool)
    settings = options.given(arguments, options.AGENT_OPTIONS)
    system = options.SYSTEM_PROMPT if arguments.system is None else arguments.system
    value = _value_in_python(arguments)
    if isinstance(value, Agent):
        agent: Agent[Any, Any] = value if arguments.system is None else with_system(value, arguments.system)
        given = {name: each for name, each in (("tools", tools), ("toolsets", toolsets)) if each}
        yield agent, {**settings, **given}
        return
    files, scales = loading.adapters_of(arguments.adapter)
    if scales:
        settings["adapter"] = scales
    with _model(arguments, files) if value is None else contextlib.nullcontext(value) as model:
        yield Agent(model, system, tools=tools, toolsets=toolsets, **settings), {}


def _value_in_python(arguments: argparse.Namespace) -> Any:
    """Return the agent or the model if the command line names one in Python code; else None."""
    name = arguments.model
    if arguments.base_url is not None or not python_values.is_python(name) or os.path.exists(name):
        return None
    _refuse_loading_options(arguments, f"{name} is in Python")
    return python_values.agent_or_model(name)


def _model(arguments: argparse.Namespace, adapters: Dict[str, str]) -> Model:
    loading_options = options.given(arguments, options.MODEL_OPTIONS)
    if adapters:
        loading_options["adapters"] = adapters
    if arguments.base_url is None:
        return loading.load(arguments.model, {**loading_options, "verbose": arguments.verbose > 1})
    _refuse_loading_options(arguments, "the model of --base-url is on its server")
    return Model.from_remote(arguments.base_url, arguments.model, api_key=os.environ.get("LUUP_API_KEY") or None)


def _refuse_loading_options(arguments: argparse.Namespace, reason: str) -> None:
    for name in [*options.given(arguments, options.MODEL_OPTIONS), *(["adapter"] if arguments.adapter else [])]:
        raise InvalidParamError(f"--{name.replace('_', '-')} is for models that this program loads, and {reason}")
