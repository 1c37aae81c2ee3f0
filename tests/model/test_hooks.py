"""Hooks with the real model: what it sees, what a turn costs, and when events come."""

import asyncio

from luup_agent import Agent

HISTORY = [
    {"role": "user", "content": "My cat is called Tom."},
    {"role": "assistant", "content": "That's a nice name."},
    {"role": "user", "content": "My dog is called Rex."},
    {"role": "assistant", "content": "That's nice too."},
]
QUESTION = "What is my cat called?"


def answer_of(greedy, api, system_prompt, history, message):
    """Return the answer of an agent whose prompt and history are really these."""
    agent = greedy(system_prompt)
    agent.set_history(history)
    return api.text(agent, message)


def test_the_model_sees_the_history_that_the_function_returns(greedy, api):
    agent = greedy("You are a helpful assistant.", process_history=lambda messages: messages[:2])
    agent.set_history(HISTORY)
    expected = answer_of(greedy, api, "You are a helpful assistant.", HISTORY[:2], QUESTION)
    assert api.text(agent, QUESTION) == expected
    assert len(agent.messages) == 7
    api.text(agent, QUESTION, process_history=None)
    assert len(agent.messages) == 9


def test_the_model_reads_the_prompt_of_now(greedy, api):
    prompts = iter(["You are a helpful assistant.", "You are a pirate."])
    agent = greedy(lambda: next(prompts))
    expected = answer_of(greedy, api, "You are a helpful assistant.", [], "Who are you?")
    assert api.text(agent, "Who are you?") == expected
    history = agent.get_history()[1:]
    assert api.text(agent, "And now?") == answer_of(greedy, api, "You are a pirate.", history, "And now?")


def test_a_replaced_prompt_is_read_and_counted(greedy, api):
    agent = greedy("You are a helpful assistant.")
    api.text(agent, "Who are you?")
    before, history = agent.context.system, agent.get_history()[1:]
    agent.system_prompt = "You are a pirate, and you speak of nothing but the sea and your ship."
    assert agent.context.system > before
    assert agent._prompt_tokens("Hi") == with_history(greedy, agent.system_prompt, history)._prompt_tokens("Hi")
    assert api.text(agent, "Hi") == answer_of(greedy, api, agent.system_prompt, history, "Hi")


def with_history(greedy, system_prompt, history):
    agent = greedy(system_prompt)
    agent.set_history(history)
    return agent


def test_a_prompt_that_stays_costs_no_prefill(greedy):
    agent = greedy(lambda: "You are a helpful assistant.")
    agent.generate("Tell me about the sea.")
    usage = agent.run("And the sky?").usage
    assert usage.prompt_tokens - usage.cached_tokens < 20


def test_runs_side_by_side_have_prompts_of_their_own(model, greedy):
    prompts = ["You are a helpful assistant.", "You are a pirate.", "You speak French."]
    agent = greedy(lambda ctx: ctx.deps, enable_history=False)

    async def main():
        return await asyncio.gather(*(agent.generate_async("Who are you?", deps=prompt) for prompt in prompts))

    alone = [Agent(model, prompt, temperature=0, max_tokens=24).generate("Who are you?") for prompt in prompts]
    assert asyncio.run(main()) == alone


def test_classify_uses_the_prompt_of_now(greedy, api):
    labels = ["positive", "negative"]
    prompts = ["You are a helpful assistant.", "Everything is bad."]
    agent = greedy(lambda ctx: ctx.deps)
    for prompt in prompts:
        expected = api.classify(greedy(prompt), "I love it!", labels).probabilities
        assert api.classify(agent, "I love it!", labels, deps=prompt).probabilities == expected
    assert agent.messages == []


def test_events_come_while_the_model_answers(greedy):
    pieces = []
    agent = greedy(max_tokens=200, on_event=lambda event: event.type == "text" and pieces.append(event.text))
    text = agent.generate("Tell me a long story about the sea.")
    assert "".join(pieces) == text
    assert len(pieces) > 3  # not all at the end


def test_a_saved_agent_continues_without_a_prefill(tmp_path, model, greedy):
    agent = greedy(lambda: "You are a helpful assistant.")
    agent.generate("Tell me about the sea.")
    agent.save(tmp_path / "a.agent")
    loaded = Agent.load(tmp_path / "a.agent", model)
    assert loaded.system_prompt == "You are a helpful assistant."
    usage = loaded.run("And the sky?").usage
    assert usage.prompt_tokens - usage.cached_tokens < 20
