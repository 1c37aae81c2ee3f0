"""The commands of a conversation, which begin with a slash."""

from __future__ import annotations

import difflib
import re
import shutil
import textwrap
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple, Type

from luup_agent.cli.conversation import Conversation
from luup_agent.cli.media import File, read_file
from luup_agent.cli.progress import bar
from luup_agent.errors import InvalidParamError, UnsupportedError
from luup_agent.media import Audio, Image
from luup_agent.settings import Native, native_settings

_COMMAND = re.compile(r"/(?P<name>[A-Za-z][\w-]*|\?)(?:\s+(?P<argument>.*))?\Z", re.DOTALL)
_LEAVE = ("exit", "quit", "/exit", "/quit", "/bye")
_KINDS = ("float", "int", "bool", "seconds", "texts", "reasoning", "adapter", "tool_choice")
_HIDDEN = ("logprobs", "top_logprobs", "keep_history")  # they change nothing that a terminal shows
_WORDS = {"none": None, "true": True, "on": True, "yes": True, "false": False, "off": False, "no": False}


class Result(NamedTuple):
    """The outcome of a line that is not a message.

    Attributes:
        text: What to show; "" for nothing.
        message: A message to ask; None if there is none.
        leave: Whether the conversation ends.
    """

    text: str = ""
    message: Optional[str] = None
    leave: bool = False


class Command(NamedTuple):
    """A command.

    Attributes:
        usage: Its arguments.
        help: What it does.
        run: Does it, with the text behind its name.
    """

    usage: str
    help: str
    run: Callable[[Conversation, str], Result]


def handle(line: str, conversation: Conversation) -> Optional[Result]:
    """Run the command in a line; return None if the line is a message.

    A path such as ``/usr/bin`` is a message, and so is a line that begins with two slashes, without the first.

    Raises:
        LuupError: The command failed; the conversation is as before.
    """
    if line.strip().lower() in _LEAVE:
        return Result(leave=True)
    if line.startswith("//"):
        return Result(message=line[1:])
    match = _COMMAND.match(line.strip())
    if match is None:
        return None
    name = match["name"].lower()
    command = COMMANDS.get("help" if name == "?" else name)
    if command is None:
        return Result(_unknown(name))
    return command.run(conversation, (match["argument"] or "").strip())


def _unknown(name: str) -> str:
    close = difflib.get_close_matches(name, COMMANDS, n=3, cutoff=0.5)
    near = f"; did you mean {' or '.join('/' + each for each in close)}?" if close else "."
    return f"There is no command /{name}{near} /help lists the commands, and //{name} sends a message with a slash."


def setting_names() -> List[str]:
    """Return the names that ``/set`` knows."""
    return [name for name, native in native_settings().items() if native.kind in _KINDS and name not in _HIDDEN]


def _help(_: Conversation, __: str) -> Result:
    rows = [(f"/{name} {command.usage}".rstrip(), command.help) for name, command in COMMANDS.items()]
    rows += KEYS
    return Result(_table(rows, shutil.get_terminal_size().columns))


def _table(rows: List[Tuple[str, str]], columns: int) -> str:
    """Return two columns of text, or in a narrow window the second one below the first."""
    width = max(len(left) for left, _ in rows) + 2
    indent, columns = (width, min(columns, 100)) if columns >= 2 * width else (4, max(columns, 20))
    lines: List[str] = []
    for left, right in rows:
        wrapped = textwrap.wrap(right, columns - indent - 1)
        first = left.ljust(width) + wrapped.pop(0) if indent == width else left
        lines += [first, *(" " * indent + line for line in wrapped)]
    return "\n".join(lines)


def _set(conversation: Conversation, argument: str) -> Result:
    name, _, text = argument.partition(" ")
    name, known = name.replace("-", "_"), setting_names()
    if not argument:
        width = max(map(len, known))
        lines = [f"{each.ljust(width)}  {_show(conversation.value(each))}" for each in known]
        return Result("\n".join(lines))
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        near = f"; did you mean {close[0]}?" if close else f"; there are: {', '.join(known)}"
        raise InvalidParamError(f"there is no setting {name!r}{near}")
    if text.strip() == "default":
        conversation.reset(name)
    elif text.strip():
        conversation.change(name, _read(name, native_settings()[name], text.strip()))
    return Result(f"{name} = {_show(conversation.value(name))}")


def _read(name: str, native: Native, text: str) -> Any:
    """Return the value that the user wrote for a setting."""
    word = text.lower()
    if native.kind in ("float", "seconds", "int"):
        if word == "none":
            return None
        try:
            return int(text) if native.kind == "int" else float(text)
        except ValueError:
            raise InvalidParamError(f"{name} must be a number, got {text!r}") from None
    if native.kind == "bool" or (native.kind == "reasoning" and word in _WORDS):
        if word not in _WORDS:
            raise InvalidParamError(f"{name} must be true or false, got {text!r}")
        return _WORDS[word]
    if native.kind == "reasoning":
        return int(text) if text.isdigit() else word
    if word == "none":
        return None
    return [text] if native.kind == "texts" else text


def _show(value: Any) -> str:
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _system(conversation: Conversation, argument: str) -> Result:
    if not argument:
        return Result(conversation.agent._parts.system_prompt or "There is no system prompt.")
    conversation.set_system("" if argument.lower() == "none" else argument)
    return Result("The system prompt is removed." if argument.lower() == "none" else "The system prompt is changed.")


def _save(conversation: Conversation, argument: str) -> Result:
    path = _path("save", argument)
    count = conversation.save(path)
    return Result(f"Saved {count} messages to {path}.")


def _load(conversation: Conversation, argument: str) -> Result:
    path = _path("load", argument)
    count = conversation.load(path)
    return Result(f"Loaded {count} messages from {path}; /undo goes back to the conversation before.")


def _path(command: str, argument: str) -> str:
    if not argument:
        raise InvalidParamError(f"/{command} needs the name of a file: /{command} talk.json")
    return argument


def _image(conversation: Conversation, argument: str) -> Result:
    return _attach(conversation, Image, argument)


def _audio(conversation: Conversation, argument: str) -> Result:
    return _attach(conversation, Audio, argument)


def _attach(conversation: Conversation, kind: Type[File], argument: str) -> Result:
    if argument.lower() == "none":
        conversation.attached = []
        return Result("The next message has no pictures and sounds.")
    if argument:
        conversation.attached.append(read_file(kind, argument.strip("\"'")))
    shown = ", ".join(map(repr, conversation.attached)) or "nothing"
    return Result(f"With the next message: {shown}.")


def _retry(conversation: Conversation, _: str) -> Result:
    message = conversation.take_last()
    if message is None:
        return Result("There is no message to send again.")
    return Result(message=message)


def _undo(conversation: Conversation, _: str) -> Result:
    message = conversation.undo()
    if message is None:
        return Result("There is nothing to undo.")
    if not message:
        return Result("The last command is undone.")
    first = message.splitlines()[0]
    return Result(f"Removed the last message and its answer: {first[:60]}{'…' if first != message[:60] else ''}")


def _clear(conversation: Conversation, _: str) -> Result:
    conversation.clear()
    return Result("Started a new conversation; /undo brings the old one back.")


def _tokens(conversation: Conversation, _: str) -> Result:
    lines: List[str] = []
    try:
        context = conversation.agent.context
    except UnsupportedError:
        lines.append("The size of the context is known to the server only.")
    else:
        used = context.total - context.free
        lines.append(f"{bar(used, context.total)} {used:,} of {context.total:,} tokens")
        parts = {"system prompt": context.system, "tools": context.tools, "messages": context.history}
        lines += [f"  {name:<13} {count:>8,}" for name, count in {**parts, "free": context.free}.items()]
    if conversation.last is not None:
        usage = conversation.last.usage
        lines.append(
            f"The last answer: {usage.completion_tokens:,} tokens, prompt of {usage.prompt_tokens:,} "
            f"({usage.cached_tokens:,} cached)."
        )
    return Result("\n".join(lines))


COMMANDS: Dict[str, Command] = {
    "set": Command("[NAME [VALUE]]", "show or change a setting, such as temperature 0.2; default resets it", _set),
    "system": Command("[TEXT]", "show or change the system prompt; none removes it", _system),
    "retry": Command("", "answer the last message again", _retry),
    "undo": Command("", "take back the last message, or the last /clear, /load or /system", _undo),
    "clear": Command("", "start a new conversation", _clear),
    "image": Command("FILE", "add a picture to the next message; none removes what was added", _image),
    "audio": Command("FILE", "add a sound to the next message", _audio),
    "save": Command("FILE", "write the conversation to a file", _save),
    "load": Command("FILE", "continue the conversation of a file", _load),
    "tokens": Command("", "show how full the context is", _tokens),
    "help": Command("", "show this help", _help),
    "exit": Command("", "leave, like exit, quit or Ctrl-D", lambda _, __: Result(leave=True)),
}
KEYS = [
    ('"""', "begin and end a message of several lines; with a line editor also Alt-Enter"),
    ("Ctrl-C", "clear the line; stop the answer and keep its text so far"),
    ("Tab", "complete a command; Up and Down find earlier messages"),
]
