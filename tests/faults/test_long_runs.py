"""Long runs of one kind of character, such as a pasted base64 blob, with every pre-tokenizer that splits by a regex."""

import pytest
from support import random_model

PRE_TOKENIZERS = [
    "afmoe",
    "bailingmoe",
    "bloom",
    "chatglm-bpe",
    "deepseek-coder",
    "deepseek-llm",
    "deepseek-v3",
    "falcon",
    "gpt-4o",
    "jais-2",
    "kimi-k2",
    "llama4",
    "poro-chat",
    "seed-coder",
    "starcoder",
    "superbpe",
    "tekken",
    "viking",
    "youtu",
]

TOKENIZE = """
import sys
from luup_agent import Model

with Model.from_local(sys.argv[1], threads=1) as model:
    for unit in ("QUJD", " ", "-", "\u4e2d", "7", "\\n", "\\t ", "!a", "\u0e01", "e\u0301", "\u00a0", "aB"):
        text = unit * (40_000 // len(unit))
        assert model.detokenize(model.tokenize(text)) == text, unit
print("alive")
"""


@pytest.mark.parametrize("pre", PRE_TOKENIZERS)
def test_a_long_run_is_tokenized_whole(pre, child, model_path, tmp_path):
    gguf, numpy = pytest.importorskip("gguf"), pytest.importorskip("numpy")
    path = tmp_path / "model.gguf"
    random_model.write(gguf, numpy, model_path, path, pre=pre)
    result = child(TOKENIZE, path)
    assert result.returncode == 0, result.stderr[-1000:]
    assert result.stdout == "alive\n"
