"""A conversation that fills the context: a summary replaces its oldest messages."""

import json
import os

import pytest

from luup_agent import Agent, ContextFullError, InvalidParamError, LuupError, Model, RunTimeoutError

LINE = "The quick brown fox number {} jumps over the lazy dog and does not come back. "


@pytest.fixture(scope="module")
def small(tiny_path):
    with Model.from_local(tiny_path, threads=1, context_size=1024) as loaded:
        yield loaded


@pytest.fixture
def talk(small):
    """Makes agents with a history of `turns` turns, about 20 tokens a message."""

    def make(turns=20, summarize=None, **options):
        agent = Agent(small, "Be brief.", **{"temperature": 0, "max_tokens": 16, **options})
        for number in range(turns):
            agent.add_message("user", LINE.format(number))
            agent.add_message("assistant", f"I see, number {number}. " + "Well. " * 8)
        return agent

    return make


def told(messages):
    return f"There were {len(messages)} messages."


def test_the_oldest_messages_give_way(api, talk):
    agent = talk()
    before = agent.get_history()
    assert agent.context.history > 0.75 * agent.context.total
    response = api.response(agent, "And now?")
    assert response.summary
    after = agent.get_history()
    assert after[0] == before[0]
    assert after[1] == {"role": "user", "content": "Summarize our conversation so far."}
    assert after[2] == {"role": "assistant", "content": response.summary}
    kept = after[3:-2]
    assert kept == before[len(before) - len(kept) :]
    assert kept[0]["role"] == "user"
    assert 0.4 * 40 <= len(kept) < 40
    assert after[-2:] == [m.to_dict() for m in response.messages]
    assert agent.context.history < 0.75 * agent.context.total
    assert agent.summarization.status().summaries == 1
    assert api.response(agent, "And then?").summary is None


def test_events_and_the_log_tell_of_it(api, talk, caplog):
    agent = talk()
    with caplog.at_level("INFO", "luup_agent"):
        events = api.events(agent, "And now?")
    kinds = [event.type for event in events]
    assert kinds.count("summary") == 1
    assert kinds.index("summary") < kinds.index("text")
    event = events[kinds.index("summary")]
    assert event.replaced + event.kept == 40
    assert event.text == events[-1].response.summary
    assert len(agent.get_history()) == 1 + 2 + event.kept + 2


def test_the_users_function_writes_it(api, talk):
    seen = []

    def summarize(messages):
        seen.append(messages)
        return told(messages)

    agent = talk()
    old = agent.messages[1:]
    agent.enable_builtin_summarization(0.7, 0.5, summarize)
    response = api.response(agent, "And now?")
    (messages,) = seen
    assert messages == old[: len(messages)]
    assert response.summary == agent.messages[2].content == told(messages)
    assert len(messages) <= 20


def test_a_function_may_ask_an_agent_of_the_same_model(talk, small):
    def summarize(messages):
        return "So: " + Agent(small, temperature=0, max_tokens=8).generate("Summarize: " + messages[0].content)

    agent = talk()
    agent.enable_builtin_summarization(summarize=summarize)
    assert agent.run("And now?").summary.startswith("So: ")


@pytest.mark.parametrize(
    ("summarize", "error", "problem"),
    [
        (lambda messages: 1 / 0, ZeroDivisionError, "division"),
        (lambda messages: None, InvalidParamError, "summarize must return a str, not NoneType"),
        (lambda messages: " \n", InvalidParamError, "the summary is empty"),
    ],
)
def test_a_function_that_fails_ends_the_run_and_changes_nothing(api, talk, summarize, error, problem):
    agent = talk()
    agent.enable_builtin_summarization(summarize=summarize)
    before = agent.get_history()
    with pytest.raises(error, match=problem):
        api.text(agent, "And now?")
    assert agent.get_history() == before
    agent.enable_builtin_summarization(summarize=told)
    assert api.response(agent, "And now?").summary


def test_switched_off_an_overflow_is_an_error_with_counts(api, talk):
    agent = talk(30)
    agent.summarization.disable()
    before = agent.get_history()
    with pytest.raises(ContextFullError, match=r"prompt has \d+ tokens .* 62 messages.* holds 1024"):
        api.text(agent, "And now?")
    assert agent.get_history() == before
    agent.summarization.enable()
    assert api.response(agent, "And now?").summary


def test_it_is_off_without_built_in_tools(talk):
    with pytest.raises(ContextFullError):
        talk(30, enable_builtin_tools=False).generate("And now?")


def test_a_conversation_longer_than_the_context_is_read_in_steps(api, talk):
    agent = talk(150)
    assert agent.context.history > 4 * agent.context.total
    response = api.response(agent, "And now?")
    assert response.summary
    assert agent.context.history < 0.75 * agent.context.total


def test_one_message_longer_than_the_context_is_read_in_steps(talk):
    agent = talk(1)
    agent.add_message("user", "é日本 " * 1500)
    agent.add_message("assistant", "I see.")
    assert agent.context.history > 2 * agent.context.total
    assert agent.run("And now?").summary
    assert agent.context.history < 0.75 * agent.context.total


def test_a_message_that_is_too_long_by_itself_is_an_error(talk):
    agent = talk()
    before = agent.get_history()
    message = "word " * 1200
    for _ in range(2):  # asked for or not: a summary would make no room for it, so none is written
        with pytest.raises(
            ContextFullError, match=f"{len(agent._prompt_tokens(message))} tokens .* 42 messages .* 1024"
        ):
            agent.generate(message)
        assert agent.get_history() == before
        agent.summarization.trigger()


def test_nothing_to_summarize_is_no_reason(talk):
    assert talk(0).run("word " * 850).summary is None


def test_calls_stay_with_their_results(talk):
    def call(number):
        return {
            "id": f"call{number:05}",
            "type": "function",
            "function": {"name": "look", "arguments": '{"at": "the clock"}'},
        }

    history = []
    for number in range(12):
        history += [
            {"role": "user", "content": LINE.format(number)},
            {"role": "assistant", "content": "", "tool_calls": [call(2 * number), call(2 * number + 1)]},
            {"role": "tool", "content": "noon", "tool_call_id": f"call{2 * number:05}", "name": "look"},
            {"role": "tool", "content": "ten", "tool_call_id": f"call{2 * number + 1:05}", "name": "look"},
            {"role": "assistant", "content": "It is noon. " * 5},
        ]
    for keep in (0.0, 0.1, 0.25, 0.4, 0.55, 0.7, 0.85):
        agent = talk(0)
        agent.set_history(history)
        agent.enable_builtin_summarization(0.5, keep, told)
        response = agent.run("And now?")
        assert response.summary
        after = agent.get_history()
        kept = after[3:-2]
        assert kept == (history[-len(kept) :] if kept else [])
        assert not kept or kept[0]["role"] == "user"
        again = talk(0)
        again.set_history(json.loads(json.dumps(after)))
        assert again.get_history() == after


def test_a_trigger_does_it_now(api, talk):
    agent = talk(3)
    assert agent.summarization.trigger().due
    response = api.response(agent, "And now?")
    assert response.summary
    assert len(agent.messages) == 1 + 2 + 2 * 2 + 2
    status = agent.summarization.status()
    assert (status.due, status.summaries) == (False, 1)


def test_a_trigger_waits_for_something_to_summarize(talk):
    agent = talk(0)
    agent.summarization.trigger()
    assert agent.run("Hello").summary is None
    assert agent.summarization.status().due
    assert agent.run("And now?").summary


def test_the_model_may_have_a_tool_for_it(api, talk):
    agent = talk(3)
    assert agent.context.tools == 0
    agent.enable_builtin_summarization(tool=True)
    assert agent.context.tools > 0
    response = api.response(agent, "Make room.", tool_choice="summarization", max_turns=3, max_tokens=64)
    call = response.tool_calls[0]
    assert call.name == "summarization"
    assert call.arguments["action"] in ("status", "trigger", "enable", "disable")
    assert set(json.loads(call.result.content)) == {"enabled", "threshold", "keep", "due", "summaries"}
    agent.enable_builtin_summarization(tool=False)
    assert agent.context.tools == 0


def test_a_fork_goes_its_own_way(talk):
    agent = talk(3)
    agent.enable_builtin_summarization(0.5, tool=True)
    fork = agent.fork()
    assert fork.summarization.status().threshold == 0.5
    fork.summarization.disable()
    assert agent.summarization.status().enabled
    response = fork.run("Hi", tool_choice="summarization", max_turns=3, max_tokens=64)
    assert json.loads(response.tool_calls[0].result.content)["threshold"] == 0.5
    assert agent.summarization.status().summaries == 0


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"threshold": 0}, "threshold must be more than 0"),
        ({"threshold": 1.1}, "threshold"),
        ({"threshold": float("nan")}, "threshold"),
        ({"threshold": "much"}, "threshold must be a float"),
        ({"keep": -0.1}, "keep must be at least 0"),
        ({"keep": 1}, "keep"),
        ({"summarize": 5}, "summarize must be callable"),
        ({"tool": 1}, "tool must be a bool"),
    ],
)
def test_wrong_settings_are_refused(talk, arguments, problem):
    agent = talk(0)
    before = agent.summarization.status()
    with pytest.raises(InvalidParamError, match=problem):
        agent.enable_builtin_summarization(**arguments)
    assert agent.summarization.status() == before


def test_a_run_that_fails_after_its_summary_changes_nothing(api, talk):
    agent = talk()
    before = agent.get_history()

    def late(messages):
        import time

        time.sleep(0.6)
        return told(messages)

    agent.enable_builtin_summarization(summarize=late)
    with pytest.raises(RunTimeoutError):
        api.text(agent, "And now?", timeout=0.5)
    assert agent.get_history() == before


def test_a_cancelled_summary_changes_nothing(talk, idle, small):
    agent = talk(150)
    before = agent.get_history()
    for _ in range(5):
        stream = agent.generate_stream("And now?")
        stream.close()
    assert agent.get_history() == before
    stats = idle(small)
    assert (stats.runs_active, stats.runs_waiting) == (0, 0)
    with pytest.raises(RunTimeoutError):
        agent.generate("And now?", timeout=0.001)
    assert agent.get_history() == before


def test_a_saved_summary_is_loaded(talk, small, tmp_path):
    agent = talk()
    agent.run("And now?")
    agent.save(tmp_path / "saved")
    loaded = Agent.load(tmp_path / "saved", small)
    assert loaded.get_history() == agent.get_history()
    assert loaded.summarization.status().enabled
    strict = talk(1, enable_builtin_tools=False)
    strict.save(tmp_path / "strict")
    assert not Agent.load(tmp_path / "strict", small).enable_builtin_tools


def test_templates_that_want_turns_to_alternate(tiny_path):
    strict = (
        "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('roles must alternate') }}{% endif %}<|im_start|>{{ m['role'] }}\n"
        "{{ m['content'] }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
    )
    with Model.from_local(tiny_path, threads=1, context_size=512, chat_template=strict) as model:
        agent = Agent(model, temperature=0.5, max_tokens=24, seed=1)
        summaries = sum(agent.run(LINE.format(number) * 2).summary is not None for number in range(40))
        assert summaries >= 3


def converse(model, turns, max_tokens):
    """Talk for so many turns; return how many of them summarized."""
    agent = Agent(model, "Be brief.", temperature=1.0, max_tokens=max_tokens)
    summaries = 0
    for number in range(turns):
        response = agent.run(LINE.format(number), seed=number)
        summaries += response.summary is not None
        assert agent.messages[-1].content == response.text
    assert summaries == agent.summarization.status().summaries
    return summaries


@pytest.mark.gate
def test_hundreds_of_turns_never_overflow(small):
    assert converse(small, 300, 24) >= 10


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("LUUP_LONG_TESTS"), reason="takes minutes: LUUP_LONG_TESTS=1")
def test_ten_thousand_turns_never_overflow(small):
    assert converse(small, 10_000, 6) >= 200


@pytest.mark.gate
@pytest.mark.slow
def test_many_conversations_at_once_never_overflow(small):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        assert all(count >= 1 for count in pool.map(lambda _: converse(small, 40, 24), range(4)))


def test_the_smallest_context(tiny_path):
    with Model.from_local(tiny_path, threads=1, context_size=256) as model:
        agent = Agent(model, temperature=1.0, max_tokens=16)
        summaries = 0
        for number in range(60):
            try:
                summaries += agent.run("Tell me more, number " + str(number), seed=number).summary is not None
            except LuupError as error:
                pytest.fail(f"turn {number}: {error}")
        assert summaries >= 5
