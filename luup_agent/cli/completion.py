"""The command ``luup-agent completion``: scripts that complete the command line in a shell, made from the parser."""

from __future__ import annotations

import argparse
import re
from typing import Any, Dict, List, NamedTuple

from luup_agent.cli import options, output

SHELLS = ("bash", "zsh", "fish")

_FILES = ("MODEL", "TARGET", "SCHEMA", "APP", "TOOL")  # arguments that may be files


class _Option(NamedTuple):
    names: List[str]
    takes_value: bool
    files: bool
    help: str


class _Word(NamedTuple):
    """A command with its options, and the words that may follow it."""

    help: str
    options: List[_Option]
    words: List[str]
    files: bool


def run(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Print the script for a shell."""
    print({"bash": _bash, "zsh": _zsh, "fish": _fish}[arguments.shell](_commands(parser)))
    return output.EXIT_OK


def _commands(parser: argparse.ArgumentParser) -> Dict[str, _Word]:
    (subparsers,) = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
    helps = {each.dest: each.help or "" for each in subparsers._choices_actions}
    return {name: _word(helps.get(name, ""), each) for name, each in subparsers.choices.items()}


def _word(text: str, parser: argparse.ArgumentParser) -> _Word:
    found: List[_Option] = []
    words: List[str] = []
    files = False
    for action in parser._actions:
        metavar: Any = action.metavar
        if action.option_strings:
            takes_value = action.nargs != 0
            about = (action.help or "") % {"default": action.default, "prog": parser.prog}
            found.append(_Option(list(action.option_strings), takes_value, metavar in _FILES, about))
        elif isinstance(action, argparse._SubParsersAction) or action.choices:
            words += list(action.choices or [])
        elif metavar in _FILES or metavar == "NAME":
            words += options.known_names()
            files = files or metavar in _FILES
    return _Word(text, found, words, files)


def _quote(text: str) -> str:
    """Return a text in single quotes for bash and zsh."""
    return "'" + text.replace("'", "'\\''") + "'"


def _first_clause(text: str) -> str:
    """Return the beginning of a help text: shells show one line."""
    return re.split(r"[;:(]", text)[0].strip().replace("\n", " ")[:80]


# ----------------------------------------------------------------------------------------------------------------------
# bash
# ----------------------------------------------------------------------------------------------------------------------

_BASH = """\
# bash completion for luup-agent. To use it now: eval "$(luup-agent completion bash)"
_luup_agent() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}} command=${{COMP_WORDS[1]}}
    local words= with_value= with_file= files=
    COMPREPLY=()
    if [ "$COMP_CWORD" = 1 ]; then
        COMPREPLY=($(compgen -W '{commands} --help --version' -- "$current"))
        return
    fi
    case $command in
{cases}
    esac
    case " $with_file " in *" $previous "*)
        compopt -o filenames 2>/dev/null
        COMPREPLY=($(compgen -f -- "$current"))
        return ;;
    esac
    case " $with_value " in *" $previous "*) return ;; esac
    if [[ $current == -* ]]; then
        COMPREPLY=($(compgen -W "$options" -- "$current"))
        return
    fi
    COMPREPLY=($(compgen -W "$words" -- "$current"))
    if [ -n "$files" ]; then
        compopt -o filenames 2>/dev/null
        COMPREPLY+=($(compgen -f -- "$current"))
    fi
}}
complete -F _luup_agent luup-agent"""


def _bash(commands: Dict[str, _Word]) -> str:
    cases = []
    for name, word in commands.items():
        values = " ".join(text for each in word.options if each.takes_value for text in each.names)
        files = " ".join(text for each in word.options if each.files for text in each.names)
        every = " ".join(text for each in word.options for text in each.names)
        cases.append(
            f"        {name})\n"
            f"            options={_quote(every)}\n"
            f"            words={_quote(' '.join(word.words))} files={'yes' if word.files else ''}\n"
            f"            with_value={_quote(values)}\n"
            f"            with_file={_quote(files)} ;;"
        )
    script = _BASH.format(commands=" ".join(commands), cases="\n".join(cases))
    return script.replace("local words=", "local options= words=")


# ----------------------------------------------------------------------------------------------------------------------
# zsh
# ----------------------------------------------------------------------------------------------------------------------

_ZSH = """\
#compdef luup-agent
# zsh completion for luup-agent. To use it now, after compinit: eval "$(luup-agent completion zsh)"
_luup_agent() {{
    local -a commands
    commands=(
{commands}
    )
    if (( CURRENT == 2 )); then
        _describe -t commands command commands
        _arguments '--help[show the help]' '--version[show the versions]'
        return
    fi
    case $words[2] in
{cases}
    esac
}}
if [ "$funcstack[1]" = _luup_agent ]; then
    _luup_agent "$@"  # autoloaded from a folder of $fpath
else
    compdef _luup_agent luup-agent
fi"""


def _zsh(commands: Dict[str, _Word]) -> str:
    listed = "\n".join(f"        {_quote(name + ':' + _first_clause(word.help))}" for name, word in commands.items())
    cases = []
    for name, word in commands.items():
        specs = [spec for each in word.options for spec in _zsh_options(each)]
        choices = f"_values word {' '.join(map(_quote, word.words))}" if word.words else ""
        if word.files and choices:
            specs.append(_quote("*: :{ _alternative 'w:word:(" + " ".join(word.words) + ")' 'f:file:_files' }"))
        elif choices:
            specs.append(_quote("*:word:(" + " ".join(word.words) + ")"))
        elif word.files:
            specs.append(_quote("*:file:_files"))
        body = " \\\n                ".join(specs)
        cases.append(
            f"        {name})\n            shift words\n            (( CURRENT-- ))\n"
            f"            _arguments -s \\\n                {body} ;;"
        )
    return _ZSH.format(commands=listed, cases="\n".join(cases))


def _zsh_options(option: _Option) -> List[str]:
    about = re.sub(r"[\[\]]", "", _first_clause(option.help)).replace(":", "")
    value = (":file:_files" if option.files else ":value: ") if option.takes_value else ""
    return [_quote(f"{name}[{about}]{value}") for name in option.names]


# ----------------------------------------------------------------------------------------------------------------------
# fish
# ----------------------------------------------------------------------------------------------------------------------


def _fish(commands: Dict[str, _Word]) -> str:
    lines = [
        "# fish completion for luup-agent. To use it now: luup-agent completion fish | source",
        "complete -c luup-agent -f",
        "complete -c luup-agent -n __fish_use_subcommand -l help -d 'show the help'",
        "complete -c luup-agent -n __fish_use_subcommand -l version -d 'show the versions'",
    ]
    for name, word in commands.items():
        about = _fish_quote(_first_clause(word.help))
        lines.append(f"complete -c luup-agent -n __fish_use_subcommand -a {name} -d {about}")
    for name, word in commands.items():
        begin = f"complete -c luup-agent -n '__fish_seen_subcommand_from {name}'"
        if word.words:
            lines.append(f"{begin} -a {_fish_quote(' '.join(word.words))}")
        if word.files:
            lines.append(f"{begin} -F")
        for option in word.options:
            names = "".join(f" -l {each[2:]}" if each.startswith("--") else f" -s {each[1:]}" for each in option.names)
            value = (" -r -F" if option.files else " -x") if option.takes_value else ""
            lines.append(f"{begin}{names}{value} -d {_fish_quote(_first_clause(option.help))}")
    return "\n".join(lines)


def _fish_quote(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
