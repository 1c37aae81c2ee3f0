"""Many agents on one model: each gets its own answer, however many others run."""

import asyncio
import random
import threading
import time

import pytest

from luup_agent import Agent, ClosedError, LuupError, Model, RunCancelledError

COUNTRIES = [
    "France", "Italy", "Spain", "Germany", "Japan", "China", "Russia", "Egypt",
    "Greece", "Poland", "Sweden", "Norway", "Finland", "Denmark", "Ireland", "Portugal",
    "Austria", "Hungary", "Turkey", "India", "Canada", "Mexico", "Brazil", "Peru",
    "Chile", "Cuba", "Kenya", "Ghana", "Iran", "Iraq", "Nepal", "Vietnam",
]  # fmt: skip
QUESTIONS = [f"What is the capital of {country}?" for country in COUNTRIES]
STORY = "Tell me a long story about a fox and a raven."


@pytest.mark.slow
def test_32_agents_at_once_answer_as_if_alone(api, greedy, solo):
    assert len(QUESTIONS) == 32
    answers = api.texts([(greedy(), question) for question in QUESTIONS])
    solo.check(QUESTIONS, answers)


def test_agents_with_prompts_of_their_own_do_not_mix(api, greedy, solo):
    prompts = ["You are a pirate.", "You are terse.", None, "You answer in rhymes."]
    calls = [(greedy(prompts[i % 4]), question) for i, question in enumerate(QUESTIONS[:16])]
    answers = api.texts(calls)
    for i, prompt in enumerate(prompts):
        solo.check(QUESTIONS[i:16:4], answers[i::4], system_prompt=prompt)


def test_histories_do_not_mix(api, greedy):
    countries = COUNTRIES[:12]
    agents = [greedy(max_tokens=12) for _ in countries]
    for agent, country in zip(agents, countries):
        agent.add_message("user", f"I live in {country}.")
        agent.add_message("assistant", f"{country} is beautiful.")
    answers = api.texts([(agent, "In which country do I live?") for agent in agents])
    for agent, country, answer in zip(agents, countries, answers):
        others = [other for other in COUNTRIES if other != country and other in answer]
        assert not others, (country, answer)
        assert agent.get_history()[-1]["content"] == answer


def test_more_runs_than_sequences_wait_their_turn(model_path, api, solo):
    with Model.from_local(model_path, max_sequences=2, context_size=2048, threads=1) as narrow:
        agents = [Agent(narrow, temperature=0, max_tokens=24) for _ in QUESTIONS[:12]]
        solo.check(QUESTIONS[:12], api.texts(list(zip(agents, QUESTIONS))))
        assert narrow.stats().runs_waiting == 0


def test_one_agent_from_many_threads_answers_one_at_a_time(greedy):
    agent = greedy()
    lock, answered = threading.Lock(), []

    def ask(question):
        with lock:
            answered.append((question, agent.generate(question)))

    threads = [threading.Thread(target=ask, args=(question,)) for question in QUESTIONS[:6]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(m.content, a.content) for m, a in zip(agent.messages[::2], agent.messages[1::2])] == answered


def test_runs_cancelled_at_random_do_not_disturb_the_others(greedy, solo):
    stop = threading.Event()

    def disturb(seed):
        rng = random.Random(seed)
        while not stop.is_set():
            stream = Agent(greedy().model, max_tokens=200).generate_stream(STORY + f" Seed {seed}.")
            for _ in range(rng.randrange(4)):
                next(stream, None)
            stream.close()

    threads = [threading.Thread(target=disturb, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    try:
        answers = [greedy().generate(question) for question in QUESTIONS[:4]]
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    solo.check(QUESTIONS[:4], answers)


def test_closing_the_model_ends_every_run(model_path):
    busy = Model.from_local(model_path, context_size=2048, threads=1)
    agents = [Agent(busy, max_tokens=400) for _ in range(8)]
    started, results = threading.Barrier(9), []

    def answer(agent):
        stream = agent.generate_stream(STORY)
        next(stream)
        started.wait()
        try:
            for _ in stream:
                pass
        except LuupError as error:
            results.append(error)

    threads = [threading.Thread(target=answer, args=(agent,)) for agent in agents]
    for thread in threads:
        thread.start()
    started.wait()
    busy.close()
    for thread in threads:
        thread.join(10)
    assert [type(error) for error in results] == [ClosedError] * 8
    assert all(error.partial_text for error in results)
    for call in (
        lambda: agents[0].generate("Hi"),
        lambda: Agent(busy),
        lambda: busy.stats(),
        lambda: busy.warmup(),
        lambda: busy.tokenize("Hi"),
        lambda: agents[0].context,
    ):
        with pytest.raises(ClosedError):
            call()
    assert busy.closed
    assert busy.get_info().architecture == "llama"
    assert agents[0].get_history() == []
    assert "closed" in repr(busy)
    busy.close()


async def test_closing_the_model_ends_asynchronous_runs_too(model_path):
    busy = Model.from_local(model_path, context_size=2048, threads=1)
    tasks = [asyncio.create_task(Agent(busy, max_tokens=400).generate_async(STORY)) for _ in range(8)]
    while busy.stats().tokens_decoded < 8:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    busy.close()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(error) for error in results] == [ClosedError] * 8


def test_a_run_can_be_read_after_its_agent_was_closed(greedy):
    agent = greedy()
    stream = agent.generate_stream("What is the capital city of France? Answer in one sentence.")
    agent.close()
    assert "Paris" in "".join(stream)


def test_reading_while_others_decode_stays_prompt(greedy, model):
    stream = greedy(max_tokens=200).generate_stream(STORY)
    next(stream)
    begin = time.monotonic()
    for _ in range(200):
        model.stats()
        model.get_info()
        model.tokenize(STORY)
    assert time.monotonic() - begin < 2
    stream.close()


async def test_a_stream_that_was_closed_can_not_be_awaited(greedy):
    stream = greedy(max_tokens=200).generate_async(STORY)
    first = await stream.__anext__()
    await stream.aclose()
    with pytest.raises(RunCancelledError) as caught:
        await stream
    assert caught.value.partial_text.startswith(first)


def test_an_agent_is_a_context_manager(model):
    with Agent(model, "You are terse.") as agent:
        assert agent.model is model
        assert agent.system_prompt == "You are terse."
        assert repr(agent) == f"<Agent on {model!r}>"
    assert repr(agent) == f"<Agent on {model!r}, closed>"
    with pytest.raises(ClosedError, match="the agent was closed"):
        agent.get_history()
