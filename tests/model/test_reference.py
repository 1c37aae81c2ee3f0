"""Greedy answers are llama.cpp's own, token for token, alone and in company."""

import threading

import pytest
from support.reference import QUESTIONS, TOKENS, check_answers, reference_steps

from luup_agent import Agent

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def reference(model, model_path, tool):
    return reference_steps(tool("luup-reference"), model_path, model, QUESTIONS)


@pytest.mark.slow
def test_alone(model, reference):
    answers = [Agent(model, temperature=0, max_tokens=TOKENS).generate(question) for question in QUESTIONS]
    check_answers(model, QUESTIONS, answers, reference, least=18)


@pytest.mark.gate
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
    check_answers(model, QUESTIONS, answers, reference, least=12)
