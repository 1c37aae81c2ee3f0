"""Greedy answers beside those of llama.cpp alone, which the program luup-reference computes."""

import subprocess

from luup_agent import Agent

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


def reference_steps(program, path, model, questions, *arguments):
    """Return for each question the tokens that llama.h alone chooses, with the two best logits of each step.

    `arguments` are further ones of the program.
    """
    prompts = [Agent(model)._prompt_tokens(question) for question in questions]
    result = subprocess.run(
        [str(program), str(path), str(TOKENS), "1", *map(str, arguments)],
        input="".join(" ".join(map(str, prompt)) + "\n" for prompt in prompts),
        stdout=subprocess.PIPE,
        encoding="utf-8",
        check=True,
        timeout=300,
    )
    steps = []
    for line in result.stdout.splitlines():
        words = line.split()
        steps.append([(int(words[i]), float(words[i + 1]), float(words[i + 3])) for i in range(0, len(words), 4)])
    assert len(steps) == len(questions)
    return steps


def _text_of(model, tokens):
    """Return the text of an answer's tokens without the end-of-generation token."""
    return model.detokenize([token for token in tokens if model.detokenize([token]) != "<|im_end|>"])


def _first_difference(model, answer, steps):
    """Return the first step at which `answer` differs from the reference, or None."""
    tokens = [token for token, _, _ in steps]
    if answer == _text_of(model, tokens):
        return None
    return max(n for n in range(len(tokens)) if answer.startswith(_text_of(model, tokens[:n])))


def check_answers(model, questions, answers, steps, least):
    """Fail unless `least` answers equal the reference, and the others leave it where two tokens are about as good."""
    equal = 0
    for question, answer, own in zip(questions, answers, steps):
        at = _first_difference(model, answer, own)
        if at is None:
            equal += 1
            continue
        _, best, second = own[at]
        print(f"{question[:40]!r} differs at token {at}: logits {best:.3f} and {second:.3f}")
        assert best - second < NEAR_TIE, (
            f"{question!r}: {answer!r} leaves the reference at token {at} ({best} against {second})"
        )
    print(f"{equal} of {len(questions)} answers are equal")
    assert equal >= least
