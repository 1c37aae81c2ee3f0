"""The command line's parser."""

from __future__ import annotations

import argparse
import difflib
import sys
import textwrap
from typing import Any, List, Optional, Sequence

from luup_agent import Agent, Model, __version__, llama_version
from luup_agent._server import command
from luup_agent.cli import actions, bench, chat, completion, output
from luup_agent.cli.options import (
    AGENT_OPTIONS,
    MODEL_OPTIONS,
    OTHER_NAMES,
    SERVED_OPTIONS,
    SYSTEM_PROMPT,
    add_options,
    known_names,
)


class _Formatter(argparse.HelpFormatter):
    """Aligns the longest command with the others, and keeps names with hyphens whole: people copy them."""

    def add_argument(self, action: argparse.Action) -> None:
        super().add_argument(action)
        if isinstance(action, argparse._SubParsersAction):
            self._action_max_length += self._indent_increment  # argparse forgets that commands are indented

    def _split_lines(self, text: str, width: int) -> List[str]:
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        words = " ".join(text.split())
        return textwrap.fill(words, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)


class _Parser(argparse.ArgumentParser):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"formatter_class": _Formatter, **options})

    def _print_message(self, message: str, file: Any = None) -> None:
        """Write a message; argparse itself hides that a help text can't be written."""
        if message and file is sys.stdout:
            file.write(message)
        elif message:
            output.write_note(message)


def parse(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """Parse the arguments. MESSAGE may follow options, where argparse does not look for an optional argument.

    Raises:
        SystemExit: With code 2 for an invalid command line, with 0 after ``--help`` and ``--version``.
    """
    arguments, rest = make_parser().parse_known_args(argv)
    # "-" is stdin, and the rest begins with "--" where the user ended the options.
    if len(rest) == 1 and (rest[0] == "-" or not rest[0].startswith("-")) and getattr(arguments, "message", "") is None:
        arguments.message = rest[0]
    elif rest:
        parser: argparse.ArgumentParser = arguments.parser
        parser.error(f"unrecognized arguments: {' '.join(rest)}{_suggestion(parser, rest)}")
    return arguments


def _suggestion(parser: argparse.ArgumentParser, rest: Sequence[str]) -> str:
    """Return a hint for the first unknown option, or for a message in several words."""
    known = list(parser._option_string_actions)
    for each in rest:
        if each.startswith("--"):
            close = difflib.get_close_matches(each.partition("=")[0], known, n=1)
            return f"; did you mean {close[0]}?" if close else ""
    if parser.prog.endswith(" chat") and not any(each.startswith("-") for each in rest):
        return "; put a message of several words in quotes"
    return ""


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of all commands."""
    parser = _Parser(
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
    known = ", ".join(known_names())
    _add_chat(commands, known)

    served = command.add_parser(commands, OTHER_NAMES, known)
    served.set_defaults(run=actions.serve, parser=served)
    add_options(served.add_argument_group("loading"), SERVED_OPTIONS, Model.from_local)

    _add_models(commands, known)

    mcp = commands.add_parser(
        "mcp",
        help="serve agents and tools as an MCP server",
        description="Serve agents and tools over stdin and stdout, for programs that speak MCP.",
    )
    mcp.set_defaults(run=actions.serve_mcp, parser=mcp)
    mcp.add_argument("served", metavar="APP", nargs="+", help="app.py:agent, or package.module:agent")

    _add_bench(commands, known)

    examine = commands.add_parser(
        "doctor",
        help="check the installation",
        description="Show versions, CPU variant, devices and models. The exit code is 1 if there is a problem.",
    )
    examine.set_defaults(run=actions.examine, parser=examine)
    examine.add_argument("--json", action="store_true", help="print one JSON object")

    script = commands.add_parser(
        "completion",
        help="print a completion script for a shell",
        description="Print a script that completes this command in a shell. "
        'For bash: eval "$(luup-agent completion bash)"; docs/TERMINAL.md has the places for other shells.',
    )
    script.set_defaults(run=lambda arguments: completion.run(arguments, make_parser()), parser=script)
    script.add_argument("shell", metavar="SHELL", choices=completion.SHELLS, help=", ".join(completion.SHELLS))
    return parser


def _add_chat(commands: Any, known: str) -> None:
    parser: argparse.ArgumentParser = commands.add_parser(
        "chat",
        help="ask a model one question, or have a conversation",
        description="Answer MESSAGE on stdout; with a pipe or a file as stdin, its text comes before MESSAGE, and the "
        "message - is stdin by itself. Without MESSAGE, start a conversation; if stdin is not a terminal, each of its "
        "lines is one message of the conversation.",
    )
    parser.set_defaults(run=chat.run, parser=parser)
    parser.add_argument(
        "model",
        metavar="MODEL",
        help=f"path of a GGUF file, a name such as {OTHER_NAMES}, one of: {known}; or an agent or a model in Python: "
        "app.py:agent, package.module:agent",
    )
    parser.add_argument("message", metavar="MESSAGE", nargs="?", help="the message to answer; - for the text of stdin")
    parser.add_argument(
        "--system", metavar="TEXT", help=f'system prompt (default: "{SYSTEM_PROMPT}"); "" for the default of the model'
    )
    parser.add_argument(
        "--verbose",
        "-v",
        action="count",
        default=0,
        help="show speeds and the model's reasoning on stderr; twice for the library's log, too",
    )
    parser.add_argument(
        "--image", metavar="FILE", action="append", default=[], help="picture for the first message; repeatable"
    )
    parser.add_argument(
        "--audio", metavar="FILE", action="append", default=[], help="sound for the first message; repeatable"
    )
    parser.add_argument("--plain", action="store_true", help="no colours, Markdown or line editor in a terminal")
    form = parser.add_argument_group("answers and tools")
    form.add_argument("--json", action="store_true", help="print one JSON object with the answer, calls and counts")
    form.add_argument(
        "--schema",
        metavar="SCHEMA",
        help='print JSON of this form: fields such as "name str, year int", a file with a JSON schema, or a Python '
        "type as app.py:Movie",
    )
    form.add_argument(
        "--tool",
        metavar="TOOL",
        action="append",
        default=[],
        help="let the model call this function: package.module:function or file.py:function; repeatable",
    )
    form.add_argument("--yes", "-y", action="store_true", help="allow all calls of tools that need an approval")
    remote = parser.add_argument_group("server")
    remote.add_argument(
        "--base-url",
        metavar="URL",
        help="ask MODEL of this OpenAI-compatible server, such as http://localhost:8000/v1; its key is LUUP_API_KEY in "
        "the environment, OPENAI_API_KEY for OpenAI itself",
    )
    add_options(parser.add_argument_group("sampling"), AGENT_OPTIONS, Agent.__init__)
    files = parser.add_argument_group("loading")
    add_options(files, MODEL_OPTIONS, Model.from_local)
    files.add_argument(
        "--adapter",
        metavar="FILE",
        action="append",
        default=[],
        help="LoRA adapter of the model, a GGUF file; FILE=0.5 for half of its strength; repeatable",
    )


def _add_models(commands: Any, known: str) -> None:
    download: argparse.ArgumentParser = commands.add_parser(
        "download",
        help="download a model by name",
        description="Download a model into the user's cache, unless it is already there, and print its path. "
        "Models on a hub go into its cache, which other programs share.",
    )
    download.set_defaults(run=actions.download, parser=download)
    download.add_argument(
        "name",
        metavar="NAME",
        help=f"hf:owner/repo, hf:owner/repo:QUANTIZATION, hf:owner/repo/FILE, or one of: {known}",
    )

    models: argparse.ArgumentParser = commands.add_parser(
        "models",
        help="list the models on this machine, or delete one",
        description="List the models in the caches of this program, the hub, llama.cpp, Ollama and LM Studio.",
    )
    models.set_defaults(run=actions.list_models, parser=models)
    models.add_argument("--json", action="store_true", help="print one JSON object")
    subcommands = models.add_subparsers(title="actions", metavar="ACTION")
    remove = subcommands.add_parser(
        "rm",
        help="delete a model that this program downloaded",
        description="Delete a model that this program downloaded into its own cache, and print its path. "
        "Models of other programs are not deleted.",
    )
    remove.set_defaults(run=actions.remove_model, parser=remove)
    remove.add_argument("name", metavar="NAME", help="its name, as the list shows it")

    clear = subcommands.add_parser(
        "clear-weights",
        help="delete the cache of weights",
        description="Delete the weights that are kept in the layout of this machine's kernels, and print their paths. "
        "They are made again when a model is loaded; `luup-agent doctor` shows their folder and size.",
    )
    clear.set_defaults(run=actions.clear_weights, parser=clear)


def _add_bench(commands: Any, known: str) -> None:
    parser: argparse.ArgumentParser = commands.add_parser(
        "bench",
        help="measure how fast a model is on this machine",
        description="Measure the load of a model, the prefill, decoding, and 1 to 16 agents at a time.",
    )
    parser.set_defaults(run=bench.run, parser=parser)
    parser.add_argument(
        "model",
        metavar="MODEL",
        nargs="?",
        default=bench.DEFAULT_MODEL,
        help=f"path of a GGUF file, a name such as {OTHER_NAMES}, or one of: {known} (default: %(default)s)",
    )
    parser.add_argument(
        "--prompt", metavar="N", type=int, default=512, help="tokens of the prompt (default: %(default)s)"
    )
    parser.add_argument(
        "--tokens", metavar="N", type=int, default=64, help="tokens of each answer (default: %(default)s)"
    )
    parser.add_argument(
        "--agents", metavar="N", type=int, default=16, help="the most agents at a time (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_options(parser.add_argument_group("loading"), MODEL_OPTIONS, Model.from_local)
