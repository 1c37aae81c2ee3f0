"""What the tests with the real model share."""

import pytest

from luup_agent import Agent


class Solo:
    """What an agent answers when nobody else is served: the truth that crowded answers are compared with.

    A batch's arithmetic may differ in the last bits, so an answer may leave the solo one where two tokens are a near
    tie. Then the two continuations must both be likely: checked by sampling solo runs until they part there too.
    """

    def __init__(self, model):
        self._model = model
        self._answers = {}

    def answer(self, question, system_prompt=None, max_tokens=24):
        key = (question, system_prompt, max_tokens)
        if key not in self._answers:
            agent = Agent(self._model, system_prompt, temperature=0, max_tokens=max_tokens)
            self._answers[key] = agent.generate(question)
        return self._answers[key]

    def check(self, questions, answers, **options):
        """Fails unless every answer is that of a solo run, but for a few that part at a near tie."""
        expected = [self.answer(question, **options) for question in questions]
        differing = [
            (question, mine, solo) for question, mine, solo in zip(questions, answers, expected) if mine != solo
        ]
        foreign = [item for item in differing if not self.near_tie(*item, **options)]
        assert not foreign, f"answers that are not the questions': {foreign}"

    def near_tie(self, question, mine, solo, system_prompt=None, max_tokens=24):
        """Whether `mine` is one of the two likeliest ways on from where it leaves `solo`."""
        if not isinstance(mine, str):
            return False
        same = next((i for i, (a, b) in enumerate(zip(mine, solo)) if a != b), min(len(mine), len(solo)))
        until = min(len(self._model.tokenize(mine[: same + 1])) + 2, max_tokens)
        hot = {"temperature": 1.0, "top_k": 2, "top_p": 1.0, "min_p": 0.8, "max_tokens": until}
        agent = Agent(self._model, system_prompt, enable_history=False, **hot)
        return any(agent.generate(question, seed=seed).startswith(mine[: same + 1]) for seed in range(60))


@pytest.fixture(scope="session")
def solo(model):
    """Compares crowded answers with solo ones."""
    return Solo(model)
