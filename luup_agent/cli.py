"""The command ``luup-agent``: chat with a model, serve it, download and list models, and check the installation."""

from __future__ import annotations

import argparse
import contextlib
import inspect
import io
import logging
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterator, List, Optional, Sequence, TextIO, Tuple, Type, Union

from luup_agent import Agent, Model, __version__, catalog, doctor, hub, llama_version
from luup_agent._hub import report
from luup_agent._server import command
from luup_agent.errors import LuupError

if TYPE_CHECKING:
    from luup_agent.messages import AgentResponse

__all__ = ["main"]

Option = Tuple[Union[Type[int], Type[float], Type[str]], str, str]

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells count
EXIT_BROKEN_PIPE = 141  # 128 + SIGPIPE

# Small models answer better with this plain prompt than with the persona in their chat template.
SYSTEM_PROMPT = "You are a helpful assistant."

HELP = """\
/clear  start a new conversation
/exit   leave, like Ctrl-D
/help   show this help
Ctrl-C  stop the answer
Everything else that you type is a message to the model."""

OTHER_NAMES = "hf:owner/repo:Q4_K_M, ollama:qwen3:4b or lmstudio:publisher/model"

# Options of `chat` that are passed on under the same names if given: type, metavar and help.
AGENT_OPTIONS: Dict[str, Option] = {
    "temperature": (float, "X", "randomness; 0 for the likeliest tokens only"),
    "top_p": (float, "X", "sample from the likeliest tokens whose probabilities sum up to X; 1 for all"),
    "top_k": (int, "N", "sample from the N likeliest tokens; 0 for all"),
    "min_p": (float, "X", "drop tokens less likely than X times the likeliest; 0 for none"),
    "repeat_penalty": (float, "X", "penalize repeated tokens; 1 for no penalty"),
    "seed": (int, "N", "seed of the sampler, for reproducible answers"),
    "max_tokens": (int, "N", "length limit of an answer; -1 for none"),
    "stop": (str, "TEXT", "end the answer before TEXT; repeatable"),
}
MODEL_OPTIONS: Dict[str, Option] = {
    "context_size": (int, "N", "tokens for prompt, history and answer (default: as trained, at most 8192)"),
    "gpu_layers": (int, "N", "layers to put on the GPU; -1 for all if there is one"),
    "threads": (int, "N", "CPU threads; 0 for as many as the process may use"),
    "cache_type": (str, "TYPE", "type of the KV cache, such as q8_0 for about half of the memory"),
    "keep_alive": (float, "SECONDS", "free the memory after so long without a message; the next one loads the model"),
}
SERVED_OPTIONS = {**MODEL_OPTIONS, **command.MODEL_OPTIONS}


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the command.

    Args:
        argv: The arguments without the program's name; `sys.argv[1:]` by default.

    Returns:
        The exit code: 0 for success, 1 after an error message on stderr, 130 after Ctrl-C.

    Raises:
        SystemExit: With code 2 for an invalid command line, with 0 after ``--help`` and ``--version``.

    Example:
        >>> main(["chat", "smollm2", "Hi", "--max-tokens", "8"])  # doctest: +SKIP
        Hello! How can I help you
        0
    """
    arguments = _parse(argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # "?" for a character that the terminal's encoding lacks
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
        return code
    except LuupError as error:
        _note(f"luup-agent: {error}")
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone
        _drop_output()
        return EXIT_BROKEN_PIPE
    except OSError as error:  # such as a full disk
        _drop_output()
        with contextlib.suppress(OSError):
            _note(f"luup-agent: the output can't be written: {error.strerror or error}")
        return EXIT_FAILED


def _drop_output() -> None:
    """Drop the rest of stdout, or Python would report the error again when it closes stdout."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parse(argv: Optional[Sequence[str]]) -> argparse.Namespace:
    """Parse the arguments. MESSAGE may follow options, where argparse does not look for an optional argument."""
    parser = _parser()
    arguments, rest = parser.parse_known_args(argv)
    if len(rest) == 1 and not rest[0].startswith("-") and getattr(arguments, "message", "") is None:
        arguments.message = rest[0]
    elif rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return arguments


def _parser() -> argparse.ArgumentParser:
    known = ", ".join(_known_names())
    parser = argparse.ArgumentParser(
        prog="luup-agent",
        description="AI agents on a local language model.",
        epilog='Try: luup-agent chat smollm2 "What is the capital of France?"',
    )
    parser.add_argument(
        "--version",
        action="version",
        version=f"luup-agent {__version__} (llama.cpp {llama_version()})",
        help="show the versions of luup-agent and llama.cpp and exit",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    chat = commands.add_parser(
        "chat",
        help="ask a model one question, or have a conversation",
        description="Answer MESSAGE on stdout. Without MESSAGE, start a conversation. If stdin is not a terminal, each "
        "of its lines is one message of the conversation.",
    )
    chat.set_defaults(run=_chat)
    chat.add_argument(
        "model", metavar="MODEL", help=f"path of a GGUF file, a name such as {OTHER_NAMES}, or one of: {known}"
    )
    chat.add_argument("message", metavar="MESSAGE", nargs="?", help="the message to answer")
    chat.add_argument(
        "--system",
        metavar="TEXT",
        default=SYSTEM_PROMPT,
        help=f'system prompt (default: "{SYSTEM_PROMPT}"); "" for the default of the model',
    )
    chat.add_argument(
        "--verbose",
        "-v",
        action="count",
        default=0,
        help="show speeds and the model's reasoning on stderr; twice for the library's log, too",
    )
    _add_options(chat.add_argument_group("sampling"), AGENT_OPTIONS, Agent.__init__)
    _add_options(chat.add_argument_group("loading"), MODEL_OPTIONS, Model.from_local)

    served = command.add_parser(commands, OTHER_NAMES, known)
    served.set_defaults(run=_serve)
    _add_options(served.add_argument_group("loading"), SERVED_OPTIONS, Model.from_local)

    download = commands.add_parser(
        "download",
        help="download a model by name",
        description="Download a model into the user's cache, unless it is already there, and print its path. "
        "Models on a hub go into its cache, which other programs share.",
    )
    download.set_defaults(run=_download)
    download.add_argument(
        "name",
        metavar="NAME",
        help=f"hf:owner/repo, hf:owner/repo:QUANTIZATION, hf:owner/repo/FILE, or one of: {known}",
    )

    models = commands.add_parser(
        "models",
        help="list the models on this machine, or delete one",
        description="List the models in the caches of this program, the hub, llama.cpp, Ollama and LM Studio.",
    )
    models.set_defaults(run=_models)
    models.add_argument("--json", action="store_true", help="print one JSON object")
    actions = models.add_subparsers(title="actions", metavar="ACTION")
    remove = actions.add_parser(
        "rm",
        help="delete a model that this program downloaded",
        description="Delete a model that this program downloaded into its own cache, and print its path. "
        "Models of other programs are not deleted.",
    )
    remove.set_defaults(run=_remove)
    remove.add_argument("name", metavar="NAME", help="its name, as the list shows it")

    mcp = commands.add_parser(
        "mcp",
        help="serve agents and tools as an MCP server",
        description="Serve agents and tools over stdin and stdout, for programs that speak MCP.",
    )
    mcp.set_defaults(run=_mcp)
    mcp.add_argument("served", metavar="APP", nargs="+", help="app.py:agent, or package.module:agent")

    examine = commands.add_parser(
        "doctor",
        help="check the installation",
        description="Show versions, CPU variant, devices and models. The exit code is 1 if there is a problem.",
    )
    examine.set_defaults(run=_doctor)
    examine.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def _add_options(group: argparse._ArgumentGroup, options: Dict[str, Option], function: Callable[..., object]) -> None:
    """Add options to a group; `function` has the parameters that they are passed to, whose defaults the help shows."""
    parameters = inspect.signature(function).parameters
    for name, (kind, metavar, text) in options.items():
        default = parameters[name].default
        group.add_argument(
            "--" + name.replace("_", "-"),
            action="append" if name == "stop" else "store",
            type=kind,
            metavar=metavar,
            help=text if default is None else f"{text} (default: {default})",
        )


def _note(text: str, end: str = "\n") -> None:
    """Write to stderr, after flushing stdout so that the order is kept."""
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    sys.stderr.write(text + end)
    sys.stderr.flush()


# ----------------------------------------------------------------------------------------------------------------------
# chat


def _chat(arguments: argparse.Namespace) -> int:
    given = {name: value for name, value in vars(arguments).items() if value is not None}
    agent_options: Dict[str, Any] = {name: given[name] for name in AGENT_OPTIONS if name in given}
    if agent_options.get("max_tokens") == -1:
        agent_options["max_tokens"] = None
    model_options: Dict[str, Any] = {name: given[name] for name in MODEL_OPTIONS if name in given}

    with _load(arguments.model, {**model_options, "verbose": arguments.verbose > 1}) as model:
        agent = Agent(model, arguments.system, **agent_options)
        if arguments.message is not None:
            _answer(agent, arguments.message, arguments.verbose)
        elif sys.stdin.isatty():
            _note(_headline(model))
            _converse(agent, arguments.verbose)
        else:
            for line in _messages_of(sys.stdin):
                _answer(agent, line, arguments.verbose)
    return EXIT_OK


def _load(name: str, options: Dict[str, Any]) -> Model:
    """Load a model by its name or path, and show the progress."""
    path = _obtain(name, catalog.resolve)
    with _StatusLine() as status:
        shown: Dict[str, Any] = {"on_progress": lambda fraction: status.show(f"loading {path.name}: {fraction:.0%}")}
        return Model.from_local(path, **shown, **options)


def _headline(model: Model) -> str:
    """Describe the loaded model in one line."""
    info = model.get_info()
    device = info.device if info.gpu_layers else f"CPU ({info.cpu_variant}, {info.threads} threads)"
    parameters = f"{info.parameters / 1e9:.1f}B" if info.parameters >= 1e9 else f"{info.parameters / 1e6:.0f}M"
    return (
        f"{Path(info.path).name}: {info.architecture} {parameters} {info.file_type}, {_megabytes(info.memory_weights)} "
        f"on {device}, context of {info.context_size} tokens\nType a message, /help for commands, or Ctrl-D to leave."
    )


def _messages_of(stream: TextIO) -> Iterator[str]:
    """Yield the lines of `stream` that are not blank."""
    if isinstance(stream, io.TextIOWrapper):
        # Bytes that are not UTF-8 become lone surrogates, which the agent refuses.
        stream.reconfigure(encoding="utf-8", errors="surrogateescape")
    for line in stream:
        if line.strip():
            yield line.strip()


def _converse(agent: Agent, verbose: int) -> None:
    """Read messages from the terminal and answer them until the user leaves."""
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  adds line editing to input()
    while True:
        try:
            line = input("> ").strip()
        except (EOFError, KeyboardInterrupt):
            _note("")
            return
        if line == "/exit":
            return
        if line == "/help":
            _note(HELP)
        elif line == "/clear":
            agent.clear_history()
            _note("Started a new conversation; the old one is forgotten.")
        elif line.startswith("/") and line[1:].isalpha():
            _note(f"There is no command {line}; type /help for a list.")
        elif line:
            try:
                _answer(agent, line, verbose)
            except KeyboardInterrupt:
                _note("[stopped: the message and its answer were removed from the conversation]")
            except LuupError as error:
                _note(f"luup-agent: {error}")


def _answer(agent: Agent, message: str, verbose: int) -> None:
    """Stream the answer to `message` to stdout."""
    begun = False
    events = agent.stream_events(message)
    try:
        for event in events:
            if event.type == "text":
                sys.stdout.write(event.text)
                sys.stdout.flush()
                begun = True
            elif event.type == "reasoning" and verbose:
                _note(event.text, end="")
            elif event.type == "done":
                sys.stdout.write("\n")
                _show_details(event.response, verbose)
    except (LuupError, KeyboardInterrupt):
        if begun:
            sys.stdout.write("\n")
            sys.stdout.flush()
        raise
    finally:
        events.close()


def _show_details(response: AgentResponse[str], verbose: int) -> None:
    """Write to stderr whether the answer was cut off, and with `verbose` its speeds."""
    sys.stdout.flush()
    if response.finish_reason == "length":
        _note(f"[cut off after {response.usage.completion_tokens} tokens; raise --max-tokens or --context-size]")
    if verbose:
        _note(_speeds(response))


def _speeds(response: AgentResponse[str]) -> str:
    """Return the token counts and speeds of a run in one line."""
    usage, timings = response.usage, response.timings
    return (
        f"[{usage.completion_tokens} tokens, {timings.decode_tokens_per_second:.1f} tokens/s; "
        f"prompt of {usage.prompt_tokens} tokens, {usage.cached_tokens} cached, "
        f"{timings.prefill_tokens_per_second:.1f} tokens/s; first token after {timings.time_to_first_token:.3f} s]"
    )


# ----------------------------------------------------------------------------------------------------------------------
# serve


def _serve(arguments: argparse.Namespace) -> int:
    command.run(arguments, list(SERVED_OPTIONS), _load)
    return EXIT_OK


# ----------------------------------------------------------------------------------------------------------------------
# download


def _download(arguments: argparse.Namespace) -> int:
    print(_obtain(arguments.name, catalog.download))
    return EXIT_OK


def _obtain(name: str, function: Callable[[str, catalog.OnProgress], Path]) -> Path:
    """Return the path of a model; show the progress of its download, and the messages of the hub."""
    with _StatusLine() as status:
        handler = _HubMessages(status)
        logger = logging.getLogger("luup_agent.hub")
        level, propagate = logger.level, logger.propagate
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
        try:
            return function(name, _DownloadProgress(name, status))
        finally:
            logger.removeHandler(handler)
            logger.setLevel(level)
            logger.propagate = propagate


class _HubMessages(logging.Handler):
    """Writes the messages about a download to stderr, above the line with its progress."""

    def __init__(self, status: _StatusLine) -> None:
        super().__init__(logging.INFO)
        self._status = status

    def emit(self, record: logging.LogRecord) -> None:
        self._status.clear()
        _note(f"luup-agent: {record.getMessage()}")


class _StatusLine:
    """A line on stderr that is updated in place and erased at the end. Writes only to a terminal."""

    def __init__(self) -> None:
        self._shown = 0
        self._text = ""
        self._terminal = sys.stderr.isatty()

    def __enter__(self) -> _StatusLine:
        return self

    def __exit__(self, *error: object) -> None:
        self.clear()

    def clear(self) -> None:
        if self._shown:
            sys.stderr.write("\r" + " " * self._shown + "\r")
            sys.stderr.flush()
            self._shown, self._text = 0, ""

    def show(self, text: str) -> None:
        if self._terminal and text != self._text:
            self._text = text
            sys.stderr.write("\r" + text.ljust(self._shown))
            sys.stderr.flush()
            self._shown = max(self._shown, len(text))


class _DownloadProgress:
    """Shows the progress of a download: a bar on a terminal, else one line at the start."""

    def __init__(self, name: str, status: _StatusLine) -> None:
        self._name = name
        self._status = status
        self._start: Optional[float] = None
        self._first = 0  # bytes that were there before

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if self._start is None:
            self._start, self._first = now, done
            if not sys.stderr.isatty() and done < total:
                resumed = f", of which {_megabytes(done)} are there" if done else ""
                _note(f"luup-agent: downloading {self._name} ({_megabytes(total)}{resumed})")
        width = 24
        filled = width * done // max(total, 1)
        rate = (done - self._first) / (now - self._start) if now > self._start else 0.0
        self._status.show(
            f"downloading {self._name} [{'#' * filled}{'.' * (width - filled)}] "
            f"{_megabytes(done)} of {_megabytes(total)}, {_megabytes(rate)}/s{_time_left(total - done, rate)}"
        )


def _time_left(rest: int, rate: float) -> str:
    """Return the time that `rest` bytes take, such as ", 1:23 left"; "" if it is not known."""
    if rest <= 0 or rate <= 0 or rest / rate > 99 * 3600:
        return ""
    seconds = round(rest / rate)
    hours, minutes = seconds // 3600, seconds // 60 % 60
    return f", {hours}:{minutes:02d}:{seconds % 60:02d} left" if hours else f", {minutes}:{seconds % 60:02d} left"


def _megabytes(size: float) -> str:
    return f"{size / 1e6:.0f} MB"


# ----------------------------------------------------------------------------------------------------------------------
# models


def _known_names() -> List[str]:
    return [*(model.name for model in catalog.available()), *(model.name for model in catalog.hub_models())]


def _models(arguments: argparse.Namespace) -> int:
    with _StatusLine() as status:
        status.show("looking for models")
        found = hub.local_models()
    if arguments.json:
        print(report.to_json(found.models, found.skipped))
    else:
        print(report.to_text(found.models, found.skipped, _known_names()))
    return EXIT_OK


def _remove(arguments: argparse.Namespace) -> int:
    for path in hub.remove(arguments.name):
        print(path)
    return EXIT_OK


# ----------------------------------------------------------------------------------------------------------------------
# mcp, doctor


def _mcp(arguments: argparse.Namespace) -> int:
    from luup_agent import mcp_server

    mcp_server.serve(arguments.served)
    return EXIT_OK


def _doctor(arguments: argparse.Namespace) -> int:
    report = doctor.examine()
    print(report.to_json() if arguments.json else report.to_text())
    return EXIT_FAILED if report.problems else EXIT_OK
