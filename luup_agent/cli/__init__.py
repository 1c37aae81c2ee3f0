"""The command ``luup-agent``: chat with a model, serve it, measure it, download models, and check the installation.

`entry` runs a command line, `parser` reads it, and each command has a module of its own: `chat` with `once` (one
answer) and `converse` (a conversation), `bench`, `completion`, and `actions` for the rest. `view` writes answers as
plain text; `rich_view` renders Markdown, and `prompt` reads messages, with the packages of the extra ``cli``.
"""

from __future__ import annotations

from luup_agent.cli.entry import main
from luup_agent.cli.options import AGENT_OPTIONS, MODEL_OPTIONS, SYSTEM_PROMPT

__all__ = ["AGENT_OPTIONS", "MODEL_OPTIONS", "SYSTEM_PROMPT", "main"]
