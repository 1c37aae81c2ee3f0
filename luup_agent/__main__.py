"""``python -m luup_agent`` is the command ``luup-agent``."""

from __future__ import annotations

import sys

from luup_agent.cli import main

if __name__ == "__main__":
    sys.exit(main())
