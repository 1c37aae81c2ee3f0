"""The warning about an answer that the default of `max_tokens` cut off."""

from __future__ import annotations

import functools
import warnings

from luup_agent.settings import Settings

UNCHOSEN_MAX_TOKENS = Settings().max_tokens  # that of a caller who has not thought of a limit


@functools.lru_cache(maxsize=None)
def warn_of_cut() -> None:
    """Warn, once in a process."""
    warnings.warn(
        f"an answer was cut off after max_tokens={UNCHOSEN_MAX_TOKENS}, the default: choose a larger max_tokens, or "
        "None for no limit; the finish_reason of run() says which answers were cut. This warning is given once.",
        RuntimeWarning,
        stacklevel=5,
    )
