"""The commands that need no conversation: serve, download, models, mcp and doctor."""

from __future__ import annotations

import argparse
import shutil
import sys

from luup_agent import _weights, catalog, doctor, hub
from luup_agent._hub import report
from luup_agent._server import command
from luup_agent.cli import loading, options, output, progress


def serve(arguments: argparse.Namespace) -> int:
    """Serve models and agents until Ctrl-C."""
    command.run(arguments, list(options.SERVED_OPTIONS), loading.load)
    return output.EXIT_OK


def download(arguments: argparse.Namespace) -> int:
    """Download a model, and print its path."""
    print(loading.obtain(arguments.name, catalog.download))
    return output.EXIT_OK


def list_models(arguments: argparse.Namespace) -> int:
    """Print the models on this machine."""
    with progress.StatusLine() as status:
        status.show("looking for models")
        found = hub.local_models()
    if arguments.json:
        print(report.to_json(found.models, found.skipped))
    else:
        room = {"columns": shutil.get_terminal_size().columns} if sys.stdout.isatty() else {}
        print(report.to_text(found.models, found.skipped, options.known_names(), **room))
    return output.EXIT_OK


def remove_model(arguments: argparse.Namespace) -> int:
    """Delete a model, and print its path."""
    for path in hub.remove(arguments.name):
        print(path)
    return output.EXIT_OK


def clear_weights(arguments: argparse.Namespace) -> int:
    """Delete the cache of weights, and print the paths of its files."""
    for path in _weights.clear():
        print(path)
    return output.EXIT_OK


def serve_mcp(arguments: argparse.Namespace) -> int:
    """Serve agents and tools over stdin and stdout."""
    from luup_agent import mcp_server

    mcp_server.serve(arguments.served)
    return output.EXIT_OK


def examine(arguments: argparse.Namespace) -> int:
    """Print a report about the installation."""
    found = doctor.examine()
    print(found.to_json() if arguments.json else found.to_text())
    return output.EXIT_FAILED if found.problems else output.EXIT_OK
