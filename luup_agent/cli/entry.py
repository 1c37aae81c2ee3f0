"""The entry point of the command ``luup-agent``."""

from __future__ import annotations

import sys
from typing import Optional, Sequence

from luup_agent.cli import output
from luup_agent.cli.parser import parse
from luup_agent.errors import LuupError


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the command.

    Args:
        argv: The arguments without the program's name; `sys.argv[1:]` by default.

    Returns:
        The exit code: 0 for success, 1 after an error message on stderr, 130 after Ctrl-C, 141 if the reader of stdout
        went away.

    Raises:
        SystemExit: With code 2 for an invalid command line, with 0 after ``--help`` and ``--version``.

    Example:
        >>> main(["chat", "smollm2", "Hi", "--max-tokens", "8"])  # doctest: +SKIP
        Hello! How can I help you
        0
    """
    try:
        output.prepare()
        try:
            arguments = parse(argv)
        except SystemExit:
            sys.stdout.flush()  # a help text that can't be written is an error as well
            raise
        code: int = arguments.run(arguments)
        sys.stdout.flush()
        return code
    except LuupError as error:
        output.note(f"luup-agent: {output.printable(str(error))}")
        return output.EXIT_FAILED
    except KeyboardInterrupt:
        return output.EXIT_INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone
        output.drop_output()
        return output.EXIT_BROKEN_PIPE
    except OSError as error:  # such as a full disk
        output.drop_output()
        reason = f"the output can't be written: {error.strerror or error}"
        output.note(f"luup-agent: {reason if error.filename is None else error}")  # else a tool raised it
        return output.EXIT_FAILED
    finally:
        output.flush_notes()
