"""Types of the compiled module that build_ffi.py makes from csrc/luup_agent.h; only _native uses it."""

from typing import Any

ffi: Any
lib: Any
