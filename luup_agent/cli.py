"""The command ``luup-agent``: chat with a model, download one, and examine the installation."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Iterator, Optional, Sequence, TextIO

from luup_agent import Agent, Model, __version__, catalog, doctor, llama_version
from luup_agent.errors import LuupError

if TYPE_CHECKING:
    from luup_agent.messages import AgentResponse

__all__ = ["main"]

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells count
EXIT_BROKEN_PIPE = 141  # 128 + SIGPIPE

# Small models answer better with a plain one than with the persona that their template gives them.
SYSTEM_PROMPT = "You are a helpful assistant."

HELP = """\
/clear  forget the conversation
/exit   leave (Ctrl-D too)
/help   show this
Ctrl-C stops an answer. The model sees everything else that you type."""

# Options of `chat` that are passed on under their own names when given.
MODEL_OPTIONS = ("context_size", "gpu_layers", "threads")
AGENT_OPTIONS = ("temperature", "top_p", "top_k", "min_p", "repeat_penalty", "seed", "max_tokens", "stop")


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Runs the command.

    Args:
        argv: The arguments without the program's name; `sys.argv[1:]` by default.

    Returns:
        The exit code: 0, 1 after a failure that was told on stderr, 130 after Ctrl-C.

    Raises:
        SystemExit: With code 2 for a wrong command line, with 0 after ``--help`` and ``--version``.

    Example:
        >>> main(["chat", "smollm2", "Hi", "--max-tokens", "8"])  # doctest: +SKIP
        Hello! How can I help you
        0
    """
    arguments = _parse(argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a letter shows "?" for it
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
        return code
    except LuupError as error:
        _tell(f"luup-agent: {error}")
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # What reads our output has gone. Python would complain once more when it closes stdout.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE


def _parse(argv: Optional[Sequence[str]]) -> argparse.Namespace:
    """The arguments. MESSAGE may stand behind options, where argparse does not look for an optional argument."""
    parser = _parser()
    arguments, rest = parser.parse_known_args(argv)
    if len(rest) == 1 and not rest[0].startswith("-") and getattr(arguments, "message", "") is None:
        arguments.message = rest[0]
    elif rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return arguments


def _parser() -> argparse.ArgumentParser:
    names = ", ".join(model.name for model in catalog.available())
    parser = argparse.ArgumentParser(prog="luup-agent", description="AI agents on a local language model.")
    parser.add_argument(
        "--version", action="version", version=f"luup-agent {__version__} (llama.cpp {llama_version()})"
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    chat = commands.add_parser(
        "chat",
        help="ask a model one question, or talk with it",
        description="Answers MESSAGE on stdout. Without MESSAGE, starts a conversation; if stdin is no terminal, each "
        "of its lines is one message of that conversation.",
    )
    chat.set_defaults(run=_chat)
    chat.add_argument("model", metavar="MODEL", help=f"path of a GGUF file, or a name: {names}")
    chat.add_argument("message", metavar="MESSAGE", nargs="?", help="what to ask")
    chat.add_argument(
        "--system",
        metavar="TEXT",
        default=SYSTEM_PROMPT,
        help=f'system prompt, "{SYSTEM_PROMPT}" if not given; an empty one leaves it to the model',
    )
    chat.add_argument(
        "--verbose",
        "-v",
        action="count",
        default=0,
        help="tell speeds and the model's thoughts on stderr; twice for the library's log too",
    )
    sampling = chat.add_argument_group("sampling")
    sampling.add_argument("--temperature", type=float, metavar="X", help="0 always takes the likeliest token")
    sampling.add_argument("--top-p", type=float, metavar="X", help="keep the likeliest tokens up to this probability")
    sampling.add_argument("--top-k", type=int, metavar="N", help="keep the N likeliest tokens; 0 keeps all")
    sampling.add_argument("--min-p", type=float, metavar="X", help="drop tokens less likely than X times the likeliest")
    sampling.add_argument("--repeat-penalty", type=float, metavar="X", help="make repetition unlikely; 1 does nothing")
    sampling.add_argument("--seed", type=int, metavar="N", help="makes the answer reproducible")
    sampling.add_argument("--max-tokens", type=int, metavar="N", help="length of an answer; -1 for no limit")
    sampling.add_argument("--stop", action="append", metavar="TEXT", help="end the answer before TEXT; may be repeated")
    load = chat.add_argument_group("loading")
    load.add_argument("--context-size", type=int, metavar="N", help="tokens of prompt, history and answer")
    load.add_argument(
        "--gpu-layers", type=int, metavar="N", help="layers to put on the GPU; -1 for all if there is one"
    )
    load.add_argument("--threads", type=int, metavar="N", help="CPU threads; 0 for as many as the machine grants")

    download = commands.add_parser(
        "download",
        help="download a model by name",
        description="Downloads a model into the user's cache if it is not there yet, and prints its path.",
    )
    download.set_defaults(run=_download)
    download.add_argument("name", metavar="NAME", help=f"one of: {names}")

    examine = commands.add_parser(
        "doctor",
        help="examine the installation",
        description="Tells versions, CPU variant, devices and models. The exit code is 1 if something is wrong.",
    )
    examine.set_defaults(run=_doctor)
    examine.add_argument("--json", action="store_true", help="as one JSON object")
    return parser


def _tell(text: str, end: str = "\n") -> None:
    """Writes to stderr, after what is already on its way to stdout."""
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

    with _StatusLine() as status:
        path = catalog.resolve(arguments.model, _DownloadProgress(arguments.model, status))
    with _StatusLine() as status:
        model = Model.from_local(
            path,
            verbose=arguments.verbose > 1,
            on_progress=lambda fraction: status.show(f"loading {path.name}: {fraction:.0%}"),
            **model_options,
        )
    with model:
        agent = Agent(model, arguments.system, **agent_options)
        if arguments.message is not None:
            _answer(agent, arguments.message, arguments.verbose)
        elif sys.stdin.isatty():
            _tell(_headline(model))
            _converse(agent, arguments.verbose)
        else:
            for line in _messages_of(sys.stdin):
                _answer(agent, line, arguments.verbose)
    return EXIT_OK


def _headline(model: Model) -> str:
    """What was loaded, in one line."""
    info = model.get_info()
    device = info.device if info.gpu_layers else f"CPU ({info.cpu_variant}, {info.threads} threads)"
    parameters = f"{info.parameters / 1e9:.1f}B" if info.parameters >= 1e9 else f"{info.parameters / 1e6:.0f}M"
    return (
        f"{Path(info.path).name}: {info.architecture} {parameters} {info.file_type}, {_megabytes(info.memory_weights)} "
        f"on {device}, context of {info.context_size} tokens. /help tells the commands."
    )


def _messages_of(stream: TextIO) -> Iterator[str]:
    """The lines of `stream` that are not blank."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(
            encoding="utf-8", errors="surrogateescape"
        )  # bytes that are no text are refused by the agent
    for line in stream:
        if line.strip():
            yield line.strip()


def _converse(agent: Agent, verbose: int) -> None:
    """Reads messages from the terminal and answers them until the user leaves."""
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  gives input() its line editing
    while True:
        try:
            line = input("> ").strip()
        except (EOFError, KeyboardInterrupt):
            _tell("")
            return
        if line == "/exit":
            return
        if line == "/help":
            _tell(HELP)
        elif line == "/clear":
            agent.clear_history()
            _tell("The conversation is forgotten.")
        elif line.startswith("/") and line[1:].isalpha():
            _tell(f"There is no command {line}; /help tells those that exist.")
        elif line:
            try:
                _answer(agent, line, verbose)
            except KeyboardInterrupt:
                _tell("[stopped: this message and its answer are not part of the conversation]")
            except LuupError as error:
                _tell(f"luup-agent: {error}")


def _answer(agent: Agent, message: str, verbose: int) -> None:
    """Streams the answer to `message` to stdout."""
    begun = False
    events = agent.stream_events(message)
    try:
        for event in events:
            if event.type == "text":
                sys.stdout.write(event.text)
                sys.stdout.flush()
                begun = True
            elif event.type == "reasoning" and verbose:
                _tell(event.text, end="")
            elif event.type == "done":
                sys.stdout.write("\n")
                _tell_about(event.response, verbose)
    except (LuupError, KeyboardInterrupt):
        if begun:
            sys.stdout.write("\n")
            sys.stdout.flush()
        raise
    finally:
        events.close()


def _tell_about(response: AgentResponse[str], verbose: int) -> None:
    """Tells what the answer itself does not show."""
    sys.stdout.flush()
    if response.finish_reason == "length":
        _tell(f"[cut after {response.usage.completion_tokens} tokens: --max-tokens and --context-size set the limit]")
    if verbose:
        _tell(_speeds(response))


def _speeds(response: AgentResponse[str]) -> str:
    """How long the parts of a run took, in one line."""
    usage, timings = response.usage, response.timings
    return (
        f"[{usage.completion_tokens} tokens, {timings.decode_tokens_per_second:.1f} tokens/s; "
        f"prompt of {usage.prompt_tokens} tokens, {usage.cached_tokens} of them cached, "
        f"{timings.prefill_tokens_per_second:.1f} tokens/s; first token after {timings.time_to_first_token:.3f} s]"
    )


# ----------------------------------------------------------------------------------------------------------------------
# download


def _download(arguments: argparse.Namespace) -> int:
    with _StatusLine() as status:
        path = catalog.download(arguments.name, _DownloadProgress(arguments.name, status))
    print(path)
    return EXIT_OK


class _StatusLine:
    """One line on stderr that is written over, and gone at the end. Without a terminal nothing is written."""

    def __init__(self) -> None:
        self._shown = 0
        self._text = ""
        self._terminal = sys.stderr.isatty()

    def __enter__(self) -> _StatusLine:
        return self

    def __exit__(self, *error: object) -> None:
        if self._shown:
            sys.stderr.write("\r" + " " * self._shown + "\r")
            sys.stderr.flush()

    def show(self, text: str) -> None:
        if self._terminal and text != self._text:
            self._text = text
            sys.stderr.write("\r" + text.ljust(self._shown))
            sys.stderr.flush()
            self._shown = max(self._shown, len(text))


class _DownloadProgress:
    """Shows the bytes of a download: a bar on a terminal, else one line at its start."""

    def __init__(self, name: str, status: _StatusLine) -> None:
        self._name = name
        self._status = status
        self._start = 0.0

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if not self._start:
            self._start = now
            if not sys.stderr.isatty():
                _tell(f"luup-agent: downloading {self._name} ({_megabytes(total)})")
        width = 24
        filled = width * done // max(total, 1)
        rate = done / (now - self._start) if now > self._start else 0.0
        self._status.show(
            f"downloading {self._name} [{'#' * filled}{'.' * (width - filled)}] "
            f"{_megabytes(done)} of {_megabytes(total)}, {_megabytes(rate)}/s"
        )


def _megabytes(size: float) -> str:
    return f"{size / 1e6:.0f} MB"


# ----------------------------------------------------------------------------------------------------------------------
# doctor


def _doctor(arguments: argparse.Namespace) -> int:
    report = doctor.examine()
    print(report.to_json() if arguments.json else report.to_text())
    return EXIT_FAILED if report.problems else EXIT_OK
