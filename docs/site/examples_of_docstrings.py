"""An extension of griffe: the section `Example:` of a docstring is code, like its `Examples:`."""

from __future__ import annotations

import re
from typing import Any

import griffe


class Examples(griffe.Extension):
    """Rename the sections, before griffe reads them."""

    def on_instance(self, *, obj: Any, **options: Any) -> None:
        """Rename those of one object."""
        if obj.docstring:
            obj.docstring.value = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE)
