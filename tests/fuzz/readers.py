"""Fuzz the package's readers in Python with atheris.

Usage: python tests/fuzz/readers.py TARGET [LIBFUZZER OPTION…] [CORPUS…]

The typed errors that a reader documents are how it refuses input. Every other exception is a finding.
"""

import contextlib
import inspect
import json
import os
import sys
import tempfile

import atheris

from luup_agent import Agent, LuupError
from luup_agent._completions.cassette import Cassette, CassetteError
from luup_agent._completions.sse import Decoder
from luup_agent._run.partial_output import JsonPrefix
from luup_agent.testing import ScriptedModel


def events(data: bytes) -> None:
    """Decode a stream of server-sent events: where it is cut makes no difference."""
    provider = atheris.FuzzedDataProvider(data)
    size = provider.ConsumeIntInRange(1, 9)
    body = provider.ConsumeBytes(len(data))

    def decoded(step: int) -> object:
        decoder = Decoder(limit=1000)
        found = []
        try:
            for begin in range(0, len(body), step):
                found.extend(decoder.feed(body[begin : begin + step]))
            found.append(decoder.finish() or "")
        except LuupError as error:
            return type(error)
        return found

    assert decoded(len(body) or 1) == decoded(size)


def partial_json(data: bytes) -> None:
    """Read each beginning of a JSON text: what is complete in it is JSON too."""
    text = data.decode("utf-8", "replace")
    try:
        json.loads(text)
        valid = True
    except (ValueError, RecursionError):
        valid = False
    prefix = JsonPrefix()
    for char in text:
        prefix.feed(char)
        document = prefix.document()
        if valid and document:
            json.loads(document)


def history(data: bytes) -> None:
    """Give an agent an untrusted history; what it takes, another agent takes too."""
    try:
        values = json.loads(data)
    except (ValueError, RecursionError):
        return
    agent = Agent(ScriptedModel(["ok"]))
    try:
        agent.set_history(values)
    except LuupError:
        return
    other = Agent(ScriptedModel(["ok"]))
    other.set_history(agent.get_history())
    assert other.get_history() == agent.get_history()


def _path(data: bytes) -> str:
    path = os.path.join(tempfile.gettempdir(), f"luup-readers-{os.getpid()}")
    with open(path, "wb") as file:
        file.write(data)
    return path


def cassette(data: bytes) -> None:
    """Read the file of a cassette."""
    with contextlib.suppress(CassetteError):
        Cassette.read(_path(data))


def saved_agent_in_python(data: bytes) -> None:
    """Load the file of a saved agent, and use it."""
    try:
        agent = Agent.load(_path(data), ScriptedModel(["ok"]))
    except LuupError:
        return
    agent.run("Hello")


TARGETS = {each.__name__: each for each in (events, partial_json, history, cassette, saved_agent_in_python)}


def _count_coverage() -> None:
    """Instrument the package's functions; instrument_imports() skips an editable install, which has its own loader."""
    for name, module in list(sys.modules.items()):
        if not name.startswith("luup_agent"):
            continue
        for holder in [module, *(each for _, each in inspect.getmembers(module, inspect.isclass))]:
            for function in vars(holder).values():
                if inspect.isfunction(function) and function.__module__ == name:
                    atheris.instrument_func(function)


if __name__ == "__main__":
    _count_coverage()
    target = TARGETS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()
