"""A real llama-server, beyond what all models have in common."""

import asyncio

import pytest

from luup_agent import Agent, ContextFullError, HTTPError, Model

CAPITAL = "What is the capital city of France? Answer in one sentence."
KEY = "sk-of-the-tests"

pytestmark = [pytest.mark.slow, pytest.mark.gate]  # as the tests of llama-server in test_behaviour.py


@pytest.fixture
def smollm2(llama_server):
    with Model.from_remote(llama_server.url, "smollm2", api_key=KEY, max_retries=0) as model:
        yield model


async def test_its_models_are_listed(smollm2):
    assert smollm2.list_models() == ["smollm2"]
    assert await smollm2.list_models_async() == ["smollm2"]


def test_it_counts_tokens_as_the_model_in_this_process(api, smollm2, model):
    settings = {"temperature": 0, "max_tokens": 24}
    remote = api.response(Agent(smollm2, "You are terse.", **settings), CAPITAL)
    local = Agent(model, "You are terse.", **settings).run(CAPITAL)
    assert remote.usage.prompt_tokens == local.usage.prompt_tokens
    assert remote.usage.completion_tokens > 0
    again = api.response(Agent(smollm2, "You are terse.", **settings), CAPITAL)
    assert 0 < again.usage.cached_tokens < again.usage.prompt_tokens


def test_wrong_addresses_and_keys_are_its_own_errors(api, llama_server):
    elsewhere = Model.from_remote(llama_server.url + "/nowhere", "smollm2", api_key=KEY)
    with pytest.raises(HTTPError, match="status 404") as caught:
        api.text(Agent(elsewhere), "Hi")
    assert caught.value.status == 404
    stranger = Model.from_remote(llama_server.url, "smollm2", api_key="sk-of-a-stranger")
    with pytest.raises(HTTPError, match="status 401") as caught:
        api.text(Agent(stranger), "Hi")
    assert "sk-of-a-stranger" not in str(caught.value)


def test_what_it_refuses_is_told_in_its_words(api, llama_server):
    model = Model.from_remote(llama_server.url, "smollm2", api_key=KEY, extra_body={"grammar": "root ::= nonsense"})
    with pytest.raises(HTTPError, match="status 400.*gramma"):
        api.text(Agent(model), "Hi")


def test_a_full_context_says_so(api, smollm2):
    with pytest.raises(ContextFullError, match="the server reports"):
        api.text(Agent(smollm2), "word " * 20000)
    assert "Paris" in api.text(Agent(smollm2, temperature=0, max_tokens=24), CAPITAL)


def test_an_answer_that_is_given_up_frees_its_slot(api, smollm2):
    """There are 8 slots: without that, the last ones would wait for thousands of tokens."""
    for _ in range(10):
        assert api.first_piece(Agent(smollm2, max_tokens=4000), "Tell me a long story about a fox.")
    assert "Paris" in api.text(Agent(smollm2, temperature=0, max_tokens=24), CAPITAL, timeout=60)


def test_64_agents_at_once(smollm2):
    async def main():
        agents = [Agent(smollm2, temperature=0, max_tokens=16) for _ in range(64)]
        return await asyncio.gather(*(agent.generate_async(CAPITAL) for agent in agents))

    answers = asyncio.run(main())
    assert len(answers) == 64
    assert all("Paris" in answer for answer in answers)
