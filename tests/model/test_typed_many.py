"""1,000 typed results of 50 types at temperature 1: every one valid, at the first try."""

import asyncio
import importlib.util
import json
import sys
from pathlib import Path

import pytest

from luup_agent import Agent

RUNS = range(20)


def _typed_models():
    path = Path(__file__).parents[1] / "benchmarks" / "typed_models.py"
    spec = importlib.util.spec_from_file_location("typed_models", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["typed_models"] = module  # pydantic looks for its annotations there
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.gate
def test_1000_typed_runs_give_1000_valid_objects(tiny_model):
    agent = Agent(
        tiny_model, temperature=1.0, top_k=100, top_p=1.0, min_p=0.0, max_tokens=4000, retries=0, enable_history=False
    )
    models = _typed_models().make(50)

    async def answers(model):
        runs = [agent.run_async("Make one up.", output_type=model, seed=seed) for seed in RUNS]
        return await asyncio.gather(*runs)

    different = 0
    for model in models:
        responses = asyncio.run(answers(model))
        assert len(responses) == len(RUNS)
        different += len({response.text for response in responses})
        for response in responses:
            assert type(response.output) is model
            assert response.usage.turns == 1
            assert model.model_validate(json.loads(response.text)) == response.output
    assert different > 5 * len(models)  # it is the grammar that is tested, not one lucky answer of each
