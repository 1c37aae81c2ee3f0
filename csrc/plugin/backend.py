"""A GPU backend for luup-agent, which finds it by this package's entry point."""

import os


def folder() -> str:
    """Return the folder with the backend's library."""
    return os.path.dirname(os.path.abspath(__file__))
