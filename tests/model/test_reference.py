"""Greedy answers are llama.cpp's own, token for token, alone and in company."""

import subprocess
import threading

import pytest

from luup_agent import Agent

pytestmark = pytest.mark.slow

TOKENS = 24
NEAR_TIE = 0.5  # logits; Q4_1 weights move them by as much when a batch is cut otherwise

QUESTIONS = [
    "What is the capital of France?",
    "Write a haiku about the sea.",
    "List three prime numbers.",
    "Explain gravity to a child.",
    "Who wrote Hamlet?",
    "Translate 'good morning' to Spanish.",
    "What is 12 times 12?",
    "Name the planets of the solar system.",
    "Tell me a short joke.",
    "How do plants make food?",
    "What does HTTP stand for?",
    "Describe a sunset in one sentence.",
    "Give me a recipe for pancakes.",
    "Why is the sky blue?",
    "What is the largest ocean?",
    "Write a Python function that adds two numbers.",
    "Who was Marie Curie?",
    "When did the Second World War end?",
    "Suggest a name for a cat.",
    "What is photosynthesis? " + "Please answer in detail. " * 20,
]


@pytest.fixture(scope="module")
def reference(model, model_path, tool):
    """For each question the tokens that llama.h alone picks, with the two best logits of each step."""
    prompts = [Agent(model)._prompt_tokens(question) for question in QUESTIONS]
    lines = "".join(" ".join(map(str, prompt)) + "\n" for prompt in prompts)
    result = subprocess.run(
        [str(tool("luup-reference")), str(model_path), str(TOKENS), "1"],
        input=lines,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        check=True,
        timeout=300,
    )
    steps = []
    for line in result.stdout.splitlines():
        words = line.split()
        steps.append([(int(words[i]), float(words[i + 1]), float(words[i + 3])) for i in range(0, len(words), 4)])
    assert len(steps) == len(QUESTIONS)
    return steps


def text_of(model, tokens):
    """The text of an answer's tokens, the end-of-generation token left out."""
    return model.detokenize([token for token in tokens if model.detokenize([token]) != "<|im_end|>"])


def first_difference(model, answer, steps):
    """The step at which `answer` leaves the reference, or None."""
    tokens = [token for token, _, _ in steps]
    if answer == text_of(model, tokens):
        return None
    return max(n for n in range(len(tokens)) if answer.startswith(text_of(model, tokens[:n])))


def check(model, answers, reference, least):
    equal = 0
    for question, answer, steps in zip(QUESTIONS, answers, reference):
        at = first_difference(model, answer, steps)
        if at is None:
            equal += 1
            continue
        _, best, second = steps[at]
        print(f"{question[:40]!r} differs at token {at}: logits {best:.3f} and {second:.3f}")
        assert best - second < NEAR_TIE, (
            f"{question!r}: {answer!r} leaves the reference at token {at} ({best} against {second})"
        )
    assert equal >= least


def test_alone(model, reference):
    answers = [Agent(model, temperature=0, max_tokens=TOKENS).generate(question) for question in QUESTIONS]
    check(model, answers, reference, least=18)


def test_while_eight_others_run(model, reference):
    over = threading.Event()

    def talk(seed):
        agent = Agent(model, f"You are number {seed}.", temperature=1.0, seed=seed, max_tokens=64, enable_history=False)
        while not over.is_set():
            agent.generate("Tell me a long story.")

    others = [threading.Thread(target=talk, args=(seed,)) for seed in range(8)]
    for other in others:
        other.start()
    try:
        answers = [Agent(model, temperature=0, max_tokens=TOKENS).generate(question) for question in QUESTIONS]
    finally:
        over.set()
        for other in others:
            other.join()
    check(model, answers, reference, least=12)
