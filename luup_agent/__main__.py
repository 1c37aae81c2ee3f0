"""Run the command ``luup-agent`` as ``python -m luup_agent``."""

from __future__ import annotations

import sys

from luup_agent.cli import main

if __name__ == "__main__":
    sys.exit(main())
