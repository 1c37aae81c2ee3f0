"""Fixtures for the tests with the real model."""

import pytest
from support.tool_calls import calling

from luup_agent import Agent, Model

# The model's own template, but a message may carry the beginning of its answer behind a mark.
MARK = "|||"
FORCED = (
    "{% for m in messages %}{% if loop.first and m['role'] != 'system' %}<|im_start|>system\n"
    "You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n{% endif %}"
    "{% set p = m['content'].split('" + MARK + "') %}<|im_start|>{{ m['role'] }}\n{{ p[0] }}<|im_end|>\n"
    "{% if loop.last %}<|im_start|>assistant\n{{ p[1] }}{% endif %}{% endfor %}"
)


class Solo:
    """The answers of an agent alone on its model, with which answers under load are compared.

    A batch's arithmetic differs a little, so where several tokens are about as likely, an answer may leave the solo
    one. It is then told apart from an answer to another agent's question by teacher forcing: given the common
    beginning, its next token must be a likely one.
    """

    LIKELY = 0.3  # of the best token's probability, at least

    def __init__(self, model, forced):
        self._model = model
        self._forced = forced
        self._answers = {}

    def answer(self, question, system_prompt=None, max_tokens=24):
        key = (question, system_prompt, max_tokens)
        if key not in self._answers:
            agent = Agent(self._model, system_prompt, temperature=0, max_tokens=max_tokens)
            self._answers[key] = agent.generate(question)
        return self._answers[key]

    def check(self, questions, answers, system_prompt=None, max_tokens=24):
        """Fail unless every answer is that of a solo run, or differs from it first in a likely token."""
        assert len(answers) == len(questions)
        for question, mine in zip(questions, answers):
            assert isinstance(mine, str), (question, mine)
            solo = self.answer(question, system_prompt, max_tokens)
            if mine != solo:
                assert self.is_likely(question, mine, solo, system_prompt), (question, mine, solo)

    def is_likely(self, question, mine, solo, system_prompt):
        """Return whether the first token in which `mine` differs from `solo` is a likely one."""
        tokens, others = self._model.tokenize(mine), self._model.tokenize(solo)
        same = next((i for i, (a, b) in enumerate(zip(tokens, others)) if a != b), min(len(tokens), len(others)))
        beginning = self._model.detokenize(tokens[:same])
        wanted = self._model.detokenize(tokens[same : same + 1])  # "" where the answer ends
        agent = Agent(
            self._forced,
            system_prompt,
            temperature=1.0,
            top_k=20,
            top_p=1.0,
            min_p=self.LIKELY,
            max_tokens=1,
            enable_history=False,
        )
        return any(agent.generate(question + MARK + beginning, seed=seed) == wanted for seed in range(60))


@pytest.fixture(scope="session")
def solo(model, model_path):
    """Compares crowded answers with solo ones."""
    with Model.from_local(model_path, chat_template=FORCED, context_size=512, threads=1) as forced:
        for prompt in (None, "You are terse."):  # the proof that it is the same template
            tokens = Agent(model, prompt)._prompt_tokens("Hi")
            assert Agent(forced, prompt)._prompt_tokens("Hi" + MARK) == tokens
        yield Solo(model, forced)


@pytest.fixture
def tooled(greedy):
    """Makes an agent with tools whose history ends with pending calls of them, and whose answer is a word."""

    def make(tools, *calls, **options):
        agent = greedy(tools=tools, **{"max_tokens": 2, "tool_choice": "none", **options})
        return calling(agent, *calls) if calls else agent

    return make
