"""Print `docs/TYPES.md`."""

import sys

from support.zoo import page

sys.stdout.write(page())
