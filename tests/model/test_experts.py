"""A mixture of experts: our kernels for its matrices against ggml's, and the answers of the whole."""

import subprocess
from pathlib import Path

import pytest
from support import random_model

from luup_agent import Agent, Model

FORMATS = ("Q4_0", "Q5_1", "Q8_0", "IQ4_NL")


@pytest.fixture(scope="module")
def experts_path(model_path, tmp_path_factory):
    """A model of random weights with 16 experts, of which each token uses two."""
    gguf, numpy = pytest.importorskip("gguf"), pytest.importorskip("numpy")
    path = tmp_path_factory.mktemp("experts") / "experts.gguf"
    random_model.write(gguf, numpy, model_path, path, experts=16)
    return path


def test_the_probabilities_are_those_of_ggml_s_kernels(experts_path, tool, tmp_path):
    text = tmp_path / "text"
    text.write_bytes(Path(__file__).read_bytes())
    output = subprocess.run(
        [tool("luup-perplexity"), experts_path, text, tmp_path, *FORMATS], stdout=subprocess.PIPE, check=True
    ).stdout.decode()
    rows = {name: [float(number) for number in numbers] for name, *numbers in map(str.split, output.splitlines())}
    assert sorted(rows) == sorted(FORMATS)
    for name, (tokens, ours, theirs, difference) in rows.items():
        assert tokens >= 256
        assert ours == pytest.approx(theirs, rel=0.02), name
        # ggml rounds activations to 8 bits. With a wrong expert it would be about 1.
        assert difference < 0.05, name


def test_an_agent_s_answers_do_not_depend_on_the_other_runs(experts_path):
    """Experts are multiplied with the tokens of all runs together."""
    with Model.from_local(experts_path, context_size=4096) as model:
        questions = [f"What is {number}?" for number in range(6)]
        alone = [Agent(model, temperature=0, max_tokens=24).generate(question) for question in questions]
        together = list(model.map(questions, temperature=0, max_tokens=24))
    assert [result.value for result in together] == alone
