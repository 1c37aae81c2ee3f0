"""Fixtures for the tests of other frameworks on models of this package."""

import asyncio

import pytest


@pytest.fixture
def running():
    """The function `await running(model)`, which waits until a run of the model is under way."""

    async def wait(model):
        for _ in range(6000):
            if model.stats().runs_active:
                return
            await asyncio.sleep(0.01)
        pytest.fail("no run began")

    return wait
