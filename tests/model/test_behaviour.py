"""The behaviour of agents on a local model beyond tests/conformance: tokens, seeds, statistics."""

import uuid

import pytest

from luup_agent import (
    ContextFullError,
    Message,
    ModelStats,
    RunTimeoutError,
)

CAPITAL = "What is the capital city of France? Answer in one sentence."
STORY = "Tell me a long story about a fox and a raven."


def test_pieces_join_to_the_whole_answer(api, greedy):
    pieces = api.pieces(greedy(), STORY)
    assert len(pieces) > 1
    assert all(pieces)
    assert "".join(pieces) == greedy().generate(STORY)


def test_a_response_tells_how_it_went(api, greedy):
    agent = greedy("You are terse.", max_tokens=32)
    prompt = agent._prompt_tokens(CAPITAL)
    response = api.response(agent, CAPITAL)
    assert response.text == response.output == greedy("You are terse.", max_tokens=32).generate(CAPITAL)
    assert response.reasoning is None
    assert response.messages == [
        Message(role="user", content=CAPITAL),
        Message(role="assistant", content=response.text),
    ]
    assert response.messages == agent.messages[1:]
    usage, timings = response.usage, response.timings
    assert usage.prompt_tokens == len(prompt)
    assert 0 <= usage.cached_tokens < usage.prompt_tokens
    assert 1 <= usage.completion_tokens <= 32
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert 0 < timings.time_to_first_token < timings.total_seconds
    assert timings.queue_seconds + timings.prefill_seconds <= timings.total_seconds
    assert timings.prefill_tokens_per_second > 0
    assert timings.decode_tokens_per_second > 0


def test_a_long_prefill_tells_its_progress(api, greedy):
    events = api.events(greedy(f"Prompt {uuid.uuid4()}.", max_tokens=1), "word " * 1200)
    steps = [(event.done, event.total) for event in events if event.type == "progress"]
    assert len(steps) > 1  # more than one batch
    assert steps == sorted(steps)
    assert len({total for _, total in steps}) == 1
    assert all(done <= total for done, total in steps)


def test_it_remembers(api, greedy, model):
    agent = greedy("You are helpful.")
    first = api.text(agent, "My name is Ada.")
    prompt = model.detokenize(agent._prompt_tokens("What is my name?"))
    assert prompt.index("My name is Ada.") < prompt.index(first) < prompt.index("What is my name?")
    second = api.text(agent, "What is my name?")
    assert agent.get_history() == [
        {"role": "system", "content": "You are helpful."},
        {"role": "user", "content": "My name is Ada."},
        {"role": "assistant", "content": first},
        {"role": "user", "content": "What is my name?"},
        {"role": "assistant", "content": second},
    ]


def test_it_forgets_when_told(api, greedy):
    agent = greedy("You are helpful.")
    api.text(agent, "My name is Ada.")
    agent.clear_history()
    assert agent.get_history() == [{"role": "system", "content": "You are helpful."}]
    assert api.text(agent, CAPITAL) == greedy("You are helpful.").generate(CAPITAL)


def test_without_history_every_run_starts_afresh(api, greedy):
    agent = greedy(enable_history=False)
    assert api.text(agent, CAPITAL) == api.text(agent, CAPITAL)
    assert agent.get_history() == []


def test_without_max_tokens_the_context_is_the_limit(api, model_path):
    from luup_agent import Agent, Model

    with Model.from_local(model_path, context_size=256, threads=1) as small:
        response = api.response(Agent(small, temperature=0, max_tokens=None), STORY)
        assert response.finish_reason == "length"
        assert 250 < response.usage.total_tokens <= 257  # the last token needs no room


def test_a_stop_text_ends_the_answer_before_it(api, greedy):
    answer = greedy().generate(CAPITAL)
    response = api.response(greedy(stop="Paris"), CAPITAL)
    assert response.text == answer[: answer.index("Paris")]
    assert response.finish_reason == "stop"


def test_a_stop_text_over_several_tokens_is_never_given_out_in_part(api, greedy, model):
    answer = greedy().generate(CAPITAL)
    stop = answer[2:-2]
    assert len(model.tokenize(stop)) > 3
    pieces = api.pieces(greedy(), CAPITAL, stop=["never said", stop])
    assert "".join(pieces) == answer[:2]


def test_text_held_back_for_a_stop_text_that_does_not_come_is_given_out(api, greedy):
    answer = greedy().generate(CAPITAL)
    almost = answer[-6:] + " and more"
    assert "".join(api.pieces(greedy(), CAPITAL, stop=almost)) == answer


def test_a_seed_repeats_an_answer(api, greedy):
    """Bit for bit on the same arithmetic: the first run, which leaves the prompt in the context, is not compared."""
    greedy(max_tokens=1).generate(STORY)
    answers = [api.text(greedy(temperature=1.5, top_p=1.0, min_p=0.0, seed=seed), STORY) for seed in (7, 7, 8)]
    assert answers[0] == answers[1] != answers[2]


def test_without_a_seed_answers_differ(api, greedy):
    hot = {"temperature": 1.5, "top_p": 1.0, "min_p": 0.0}
    assert len({api.text(greedy(**hot), STORY) for _ in range(3)}) > 1


def test_temperature_zero_repeats_an_answer(api, greedy):
    assert len({api.text(greedy(), STORY) for _ in range(3)}) == 1


def test_a_repeat_penalty_changes_the_answer(api, greedy):
    assert api.text(greedy(), STORY) != api.text(greedy(repeat_penalty=1.5), STORY)


def test_the_history_can_be_answered_as_it_stands(api, greedy):
    agent = greedy()
    agent.add_message("user", CAPITAL)
    response = api.response(agent, None)
    assert response.text == greedy().generate(CAPITAL)
    assert [message.role for message in response.messages] == ["assistant"]
    assert [message.role for message in agent.messages] == ["user", "assistant"]


def test_a_message_longer_than_the_context_is_refused_with_counts(api, greedy, model):
    agent = greedy()
    api.text(agent, CAPITAL)
    before = agent.get_history()
    size = model.get_info().context_size
    message = "word " * (size + 100)
    tokens = len(agent._prompt_tokens(message))
    with pytest.raises(ContextFullError, match=rf"(?s){tokens}.*{size}|{size}.*{tokens}"):
        api.text(agent, message)
    assert agent.get_history() == before
    assert "Paris" in api.text(agent, CAPITAL)


def test_a_timeout_leaves_what_was_answered_and_the_history(api, greedy):
    agent = greedy(max_tokens=2000)
    with pytest.raises(RunTimeoutError) as caught:
        api.text(agent, STORY, timeout=1.5)
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.partial_text
    assert greedy(max_tokens=2000).generate(STORY, stop=caught.value.partial_text) == ""
    assert agent.get_history() == []
    assert "Paris" in api.text(agent, CAPITAL)


def test_without_history_an_agent_answers_many_at_once(api, greedy, solo):
    agent = greedy(enable_history=False)
    questions = [f"What is {a} + {b}?" for a in range(3) for b in range(3)]
    answers = api.texts([(agent, question) for question in questions])
    solo.check(questions, answers)


def test_statistics_count_what_was_done(api, greedy, model, idle):
    before = idle(model)
    response = api.response(greedy(), CAPITAL)
    after = idle(model)
    assert isinstance(after, ModelStats)
    prefilled = response.usage.prompt_tokens - response.usage.cached_tokens
    assert after.tokens_prefilled - before.tokens_prefilled == prefilled
    assert after.tokens_cached - before.tokens_cached == response.usage.cached_tokens
    assert after.tokens_decoded - before.tokens_decoded >= response.usage.completion_tokens - 1
    assert after.batches > before.batches
