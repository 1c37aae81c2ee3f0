"""The Python blocks of docs/SERVER.md run and print what their comments say; the tables name what there is."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from luup_agent._server import chat_request

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "SERVER.md").read_text(encoding="utf-8")


def test_the_blocks_run():
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
    assert blocks
    for block in blocks:
        result = subprocess.run([sys.executable, "-c", block], capture_output=True, text=True, timeout=60)
        assert result.returncode == 0, result.stderr
        for text in re.findall(r"print\(.*\)  # (.+)$", block, flags=re.MULTILINE):
            assert text in result.stdout


def test_the_harmless_fields_are_listed():
    [row] = [line for line in PAGE.splitlines() if "accepted and ignored" in line]
    assert tuple(re.findall(r"`(\w+)`", row)) == chat_request.HARMLESS


def test_every_field_is_listed():
    source = Path(chat_request.__file__).read_text(encoding="utf-8")
    read = set(re.findall(r"\bfields\.(?:flag|whole|number|text|items|mapping|fields|value)\(\"(\w+)\"", source))
    assert len(read) > 15
    assert [
        field for field in sorted(read - {"modalities"}) if f"`{field}`" not in PAGE and f'"{field}"' not in PAGE
    ] == []
