"""The list of the models on this machine as text and as JSON."""

from __future__ import annotations

import json
import os
import textwrap
from typing import List, Optional, Sequence

from luup_agent._files import shorten_path
from luup_agent._hub.found import LocalModel, Skipped

__all__ = ["format_size", "to_json", "to_text"]

_TITLES = ("SIZE", "QUANT", "CONTEXT", "TOOLS", "FITS", "FROM", "MODEL")
_RIGHT = (0, 2)  # columns of numbers
_WIDE = 100_000  # for a file or a pipe: one line a model
_FITS = {True: "yes", False: "no", None: "?"}


def format_size(size: float) -> str:
    """Return a size in megabytes or gigabytes.

    Example:
        >>> format_size(98_362_432), format_size(2_497_280_256)
        ('98 MB', '2.5 GB')
    """
    if size >= 999_500_000:
        return f"{size / 1e9:.1f} GB"
    return f"{size / 1e6:.0f} MB" if size >= 9_950_000 else f"{size / 1e6:.1f} MB"


def to_text(
    models: Sequence[LocalModel], skipped: Sequence[Skipped], names: Sequence[str], columns: int = _WIDE
) -> str:
    """Return a table of models, the files that can't be used, and a hint.

    Args:
        models: The models.
        skipped: The files that can't be used.
        names: Names of the catalog that can be downloaded.
        columns: The width of the terminal, if it is one. Facts come below the model's name where a row is wider.
    """
    lines: List[str] = []
    if models:
        rows = [_TITLES, *(_row(each) for each in models)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(_TITLES) - 1)]
        for row in rows:
            cells = [
                cell.rjust(width) if column in _RIGHT else cell.ljust(width)
                for column, (cell, width) in enumerate(zip(row, widths))
            ]
            lines.append("  ".join([*cells, row[-1]]).rstrip())
        if max(map(len, lines)) > columns:
            lines = [line for row in rows[1:] for line in _below(row, columns)]
    else:
        lines.append("There are no models on this machine yet.")
    if skipped:
        lines += ["", "Not usable:"]
        lines += [f"  {_shorten_home(each.path)} ({each.source}): {each.reason}" for each in skipped]
    lines += ["", *_wrap("To download more: luup-agent download hf:owner/repo, or one of", columns)]
    lines += _wrap(", ".join(names), columns, "  ")
    return "\n".join(lines)


def _below(row: Sequence[str], columns: int) -> List[str]:
    """Return a model's name, and its facts below."""
    size, quantization, context, tools, fits, source, name = row
    facts = f"{size}, {quantization}, context {context}, tools: {tools}, fits: {fits}, from {source}"
    return [name, *_wrap(facts, columns, "  ")]


def _wrap(text: str, columns: int, indent: str = "") -> List[str]:
    """Return lines of a text whose names stay whole: people copy them."""
    width = max(columns, 20)
    return textwrap.wrap(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _row(model: LocalModel) -> Sequence[str]:
    return (
        format_size(model.size),
        model.quantization or "?",
        _count(model.context_size),
        "yes" if model.tools else "no",
        _FITS[model.fits],
        model.source,
        _shorten_home(model.name) if os.path.isabs(model.name) else shorten_path(model.name),
    )


def _count(tokens: Optional[int]) -> str:
    return "?" if tokens is None else str(tokens)


def _shorten_home(path: str) -> str:
    home = os.path.expanduser("~")
    if os.path.isabs(home) and len(home) > 1 and path.startswith(home + os.sep):
        path = "~" + path[len(home) :]
    return shorten_path(path)


def to_json(models: Sequence[LocalModel], skipped: Sequence[Skipped]) -> str:
    """Return a JSON object with the lists "models" and "skipped"."""
    value = {"models": [each._asdict() for each in models], "skipped": [each._asdict() for each in skipped]}
    return json.dumps(value, indent=2)
