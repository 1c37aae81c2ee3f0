"""The command ``luup-agent serve``: its arguments, and the models and agents that they name."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import os
import re
import sys
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, Type

from luup_agent._files import user_folder
from luup_agent.errors import InvalidParamError, ModelNotFoundError, StorageError

if TYPE_CHECKING:
    from luup_agent.model import Model
    from luup_agent.server import Servable
    from luup_agent.sessions import SQLiteSessions

MODEL_OPTIONS: Dict[str, Tuple[Type[int], str, str]] = {  # of `Model.from_local`, beside those of `chat`
    "max_sequences": (int, "N", "answers that are decoded at once, and conversations kept in the KV cache"),
    "max_waiting": (int, "N", "answers that may wait for the model; further ones get the status 429"),
}
_PORT = 8080
_FILE = re.compile(r"(?P<module>.+\.py):(?P<name>[A-Za-z_]\w*)\Z", re.DOTALL)
_MODULE = re.compile(r"(?P<module>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):(?P<name>[A-Za-z_]\w*)\Z")
_PREFIXES = ("hf", "ollama", "lmstudio")  # of names of models
_NAMED = re.compile(r"(?P<name>[^=/\\:]+)=(?P<target>.+)\Z", re.DOTALL)


def add_parser(commands: Any, other_names: str, known: str) -> argparse.ArgumentParser:
    """Add the command to the others, and return its parser.

    Args:
        commands: The commands of argparse.
        other_names: Examples of names of models, for the help.
        known: The names of the catalog.
    """
    parser: argparse.ArgumentParser = commands.add_parser(
        "serve",
        help="serve models and agents by OpenAI's API, with a chat page",
        description="Serve models and agents by OpenAI's API and on a chat page, until Ctrl-C. "
        'Needs: pip install "luup-agent[serve]"',
    )
    parser.add_argument(
        "targets",
        metavar="TARGET",
        nargs="+",
        help=f"path of a GGUF file, a name such as {other_names}, one of: {known}; or an agent, a model or a dict of "
        "these in Python: app.py:agent, package.module:agent. NAME=TARGET sets the name that clients use",
    )
    parser.add_argument("--embedder", metavar="MODEL", action="append", default=[], help="serve vectors of this model")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", metavar="N", type=int, default=_PORT, help="port (default: %(default)s)")
    parser.add_argument(
        "--api-key",
        metavar="KEY",
        action="append",
        help="key that clients must send; repeatable. LUUP_API_KEY in the environment sets it unseen by other users",
    )
    parser.add_argument(
        "--allow-origin",
        metavar="ORIGIN",
        action="append",
        default=[],
        help='let pages of another site use the server, such as https://example.org, or "*"; repeatable',
    )
    parser.add_argument(
        "--allow-host",
        metavar="NAME",
        action="append",
        default=[],
        help="name of this server beside localhost and its addresses; repeatable",
    )
    parser.add_argument(
        "--allow-image-urls",
        action="store_true",
        help="fetch pictures of public networks that requests name by their address",
    )
    parser.add_argument("--max-tokens", metavar="N", type=int, help="length limit of an answer (default: the context)")
    parser.add_argument(
        "--max-runs", metavar="N", type=int, default=1024, help="answers at a time (default: %(default)s)"
    )
    parser.add_argument(
        "--shutdown-timeout",
        metavar="SECONDS",
        type=float,
        default=30.0,
        help="time that answers get to end after Ctrl-C (default: %(default)g)",
    )
    parser.add_argument(
        "--sessions",
        metavar="FILE",
        help="where the page's conversations are kept, readable by you alone (default: sessions.db in the folder for "
        "your programs' data)",
    )
    parser.add_argument(
        "--no-sessions", action="store_true", help="keep no conversations here: the page keeps them in the browser"
    )
    parser.add_argument("--no-page", action="store_true", help="serve the API only, without the chat page")
    return parser


def run(arguments: argparse.Namespace, options: Sequence[str], load: Callable[[str, Dict[str, Any]], Model]) -> None:
    """Load what the arguments name, and serve it.

    Args:
        arguments: The arguments of the command.
        options: The names of the arguments for `load`.
        load: Loads a model by its name or path, with these options.

    Raises:
        LuupError: A target can't be loaded, or the server can't start.
    """
    from luup_agent import server
    from luup_agent._server import web  # noqa: F401  # a missing package is found before a model is loaded
    from luup_agent.embeddings import Embedder

    given = {name: getattr(arguments, name) for name in options if getattr(arguments, name) is not None}
    keys = arguments.api_key or [key for key in [os.environ.get("LUUP_API_KEY")] if key]
    found: Dict[str, Servable] = {}
    loaded: List[Any] = []  # to close at the end
    try:
        for text in arguments.targets:
            name, target = split_name(text)
            values = from_python(target)
            if values is None:
                model = load(target, given)
                loaded.append(model)
                values = {short_name(target): model}
            _add(found, values, name, text)
        for text in arguments.embedder:
            name, target = split_name(text)
            embedder = Embedder.from_local(target)
            loaded.append(embedder)
            _add(found, {short_name(target): embedder}, name, text)
        server.serve(
            found,
            host=arguments.host,
            port=arguments.port,
            shutdown_timeout=arguments.shutdown_timeout,
            api_key=keys or None,
            allow_origins=arguments.allow_origin,
            allow_hosts=arguments.allow_host,
            allow_image_urls=arguments.allow_image_urls,
            max_tokens=arguments.max_tokens,
            max_runs=arguments.max_runs,
            page=not arguments.no_page,
            sessions=_open_sessions(arguments),
        )
    finally:
        for each in loaded:
            each.close()


def default_sessions() -> str:
    """Return the file of the conversations: where the system keeps a user's data."""
    return os.path.join(user_folder("data"), "sessions.db")


def _open_sessions(arguments: argparse.Namespace) -> Optional[SQLiteSessions]:
    """Return the conversations that the server keeps; None for none.

    Raises:
        StorageError: The file that the arguments name can't be used.
    """
    from luup_agent.sessions import SQLiteSessions

    if arguments.no_sessions:
        return None
    if arguments.sessions:
        return SQLiteSessions(arguments.sessions)
    try:
        return SQLiteSessions(default_sessions())
    except StorageError as error:  # such as a container without a home that can be written
        with contextlib.suppress(OSError):  # a note that can't be written does not stop a server
            sys.stderr.write(f"luup-agent: the page keeps its conversations in the browser: {error}\n")
        return None


def _add(found: Dict[str, Servable], values: Mapping[str, Servable], name: str, text: str) -> None:
    if name and len(values) > 1:
        raise InvalidParamError(f"{text!r} gives one name to {len(values)} models: leave the name out")
    for key, value in values.items():
        used = name or key
        if used in found:
            raise InvalidParamError(f"two models have the name {used!r}; write NAME={text} for another name")
        found[used] = value


def split_name(text: str) -> Tuple[str, str]:
    """Return the name that clients use, "" if there is none, and the target in NAME=TARGET."""
    match = _NAMED.match(text)
    return (match["name"], match["target"]) if match and not os.path.exists(text) else ("", text)


def short_name(target: str) -> str:
    """Return the name for clients of a model: that of its repository or file, or the one of the catalog.

    Example:
        >>> short_name("hf:owner/repo:Q4_K_M"), short_name("models/tiny.gguf"), short_name("smollm2")
        ('owner/repo', 'tiny', 'smollm2')
    """
    prefix, _, rest = target.partition(":")
    if prefix == "hf":
        return "/".join(rest.partition(":")[0].split("/")[:2])
    if prefix in _PREFIXES:
        return rest
    base = os.path.basename(target)
    return base[: -len(".gguf")] if base.endswith(".gguf") else base


def from_python(target: str) -> Any:
    """Return what a target in Python code names, by the names for clients; None if it names a model.

    Raises:
        ModelNotFoundError: There is no such file, module or attribute.
        InvalidParamError: It is nothing that can be served.
    """
    match = _FILE.match(target)
    if match:
        module = _load_file(match["module"])
    else:
        match = _MODULE.match(target)
        if match is None or match["module"] in _PREFIXES:
            return None
        module = _import(match["module"])
    try:
        value = getattr(module, match["name"])
    except AttributeError:
        raise ModelNotFoundError(f"{match['module']} has no attribute {match['name']!r}") from None
    if isinstance(value, Mapping):
        return dict(value)
    return {match["name"]: value}


def _load_file(path: str) -> Any:
    if not os.path.isfile(path):
        raise ModelNotFoundError(f"there is no file {path!r}")
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))  # where its own imports are
    name = os.path.basename(path)[: -len(".py")]
    if name in sys.modules:  # such as a module of the standard library
        name = f"served_{name}"
    spec: Any = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _import(name: str) -> Any:
    sys.path.insert(0, os.getcwd())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not name.startswith(error.name):
            raise
        raise ModelNotFoundError(f"there is no module {name!r} here or among the installed packages") from None
