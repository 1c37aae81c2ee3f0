"""Answers of a model, recorded once and replayed without it."""

import asyncio
import json
import re

import pytest
from support.conversation import Movie, converse
from support.http_server import data, delta, events, head, hello, replying, sending, status

from luup_agent import Agent, ContextFullError, HTTPError, InvalidParamError, Model, RunTimeoutError
from luup_agent.testing import CassetteError, FunctionModel, RecordedModel, Reply, ScriptedModel, tool_call

pytest_plugins = ["luup_agent.pytest_plugin"]
KEY = "sk-secret-0123456789abcdef"


SCRIPT = [
    tool_call("add", a=5, b=3),
    Reply("It is 8.", reasoning="5 + 3"),
    'A 🦊,\n"you" know.',
    {"title": "Alien", "year": 1979},
]


@pytest.fixture(params=["scripted", "http"])
def real(request, serve):
    """Makes a model, and counts its requests."""
    if request.param == "scripted":
        model = ScriptedModel(SCRIPT)
        return lambda: model, lambda: len(model.requests)
    server = serve(*replying(*SCRIPT))
    make = lambda: Model.from_remote(server.url, "qwen3", api_key=KEY, extra_body={"user": "me", "max_tokens": None})  # noqa: E731
    return make, lambda: len(server.requests)


def test_a_replay_is_what_was_recorded(api, real, tmp_path):
    make, asked = real
    path = tmp_path / "new folder" / "tape.json"
    recorded = RecordedModel(path, make)
    told = converse(api, recorded)
    assert recorded.recording
    assert asked() == 4
    recorded.close()
    assert KEY not in path.read_text(encoding="utf-8")
    for replay in (RecordedModel(path, mode="none"), RecordedModel(path, make)):
        assert not replay.recording
        assert converse(api, replay) == told
        replay.assert_complete()
    assert asked() == 4
    assert [each.name for each in path.parent.iterdir()] == ["tape.json"]


def test_a_replay_needs_no_library_call_of_a_model(real, tmp_path, child):
    path = tmp_path / "tape.json"
    with RecordedModel(path, FunctionModel(lambda request: "Hello there!")) as recorded:
        Agent(recorded).generate("Hi")
    source = """
        import sys
        from luup_agent import Agent
        from luup_agent.testing import RecordedModel
        print(Agent(RecordedModel(sys.argv[1])).generate("Hi"))
        assert "httpx" not in sys.modules
    """
    result = child(source, path)
    assert (result.stdout, result.returncode) == ("Hello there!\n", 0), result.stderr


def test_the_file_can_be_read_in_a_diff(tmp_path):
    path = tmp_path / "tape.json"
    with RecordedModel(path, ScriptedModel(["Grüße 🦊"])) as recorded:
        Agent(recorded, "Be brief.").generate("Hi")
    lines = path.read_text(encoding="utf-8").splitlines()
    assert sum('"content": "Grüße ' in line for line in lines) == 1
    assert [line.strip() for line in lines].count('"content": "Be brief."') == 1
    assert max(map(len, lines)) < 200
    assert json.loads("\n".join(lines))["exchanges"][0]["chunks"][-1] == "[DONE]"


# ---------------------------------------------------------------------------------------------------------------------
# Mismatches
# ---------------------------------------------------------------------------------------------------------------------


def tape(tmp_path, *replies, prompt="Be brief."):
    path = tmp_path / "tape.json"
    agent = Agent(RecordedModel(path, ScriptedModel(list(replies)), mode="all"), prompt, enable_history=False)
    for _ in replies:
        agent.generate("How are you today?")
    return path


@pytest.mark.parametrize(
    ("options", "message", "difference"),
    [
        ({}, "How are you tomorrow?", r"messages\[1\].content, character 14: recorded as .*today.*, now .*tomorrow"),
        ({"system_prompt": None}, "How are you today?", r"messages\[0\].role"),
        ({"temperature": 0.1}, "How are you today?", r"temperature: recorded as 0.7, now 0.1"),
        ({"seed": 5}, "How are you today?", r"seed: not recorded, now 5"),
        ({"max_tokens": None}, "How are you today?", r"max_tokens: recorded as 512, now missing"),
    ],
)
def test_the_first_difference_is_shown(api, tmp_path, options, message, difference):
    path = tape(tmp_path, "Fine.")
    agent = Agent(RecordedModel(path), **{"system_prompt": "Be brief.", **options})
    with pytest.raises(CassetteError, match=rf"(?s)tape.json has no answer.*Request 1.*differs at {difference}"):
        api.text(agent, message)
    assert agent.get_history()[1:] == []


def test_more_and_fewer_requests_than_recorded(api, tmp_path):
    model = RecordedModel(tape(tmp_path, "Fine.", "Well."))
    agent = Agent(model, "Be brief.", enable_history=False)
    assert api.text(agent, "How are you today?") == "Fine."
    with pytest.raises(CassetteError, match="1 of the 2 answers of .*tape.json were not used"):
        model.assert_complete()
    assert api.text(agent, "How are you today?") == "Well."
    model.assert_complete()
    with pytest.raises(CassetteError, match='the 2 answers of .* are all used; .*"How are you today'):
        api.text(agent, "How are you today?")


def test_answers_are_found_in_any_order(tmp_path):
    path = tmp_path / "tape.json"
    questions = [f"Number {n}?" for n in range(8)]

    async def ask(model):
        agents = [Agent(model) for _ in questions]
        return await asyncio.gather(*(agent.generate_async(text) for agent, text in zip(agents, questions)))

    answers = asyncio.run(ask(RecordedModel(path, FunctionModel(lambda request: Reply(request.prompt, delay=0.01)))))
    assert answers == questions
    replay = RecordedModel(path)
    for question in reversed(questions):
        assert Agent(replay).generate(question) == question
    replay.assert_complete()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 7}', "\xff", '{"version": 1, "exchanges": 5}'])
def test_a_file_that_is_no_cassette_is_named(tmp_path, text):
    path = tmp_path / "tape.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(CassetteError, match=r"tape\.json"):
        RecordedModel(path, FunctionModel(lambda request: "Hi"))
    assert path.read_text(encoding="latin-1") == text


def test_wrong_arguments_are_named(tmp_path):
    path = tmp_path / "tape.json"
    with pytest.raises(InvalidParamError, match="mode must be"):
        RecordedModel(path, mode="new")
    with pytest.raises(InvalidParamError, match="model must be"):
        RecordedModel(path, 5)
    with pytest.raises(InvalidParamError, match="the function must return a Model"):
        RecordedModel(path, lambda: 5)
    with pytest.raises(InvalidParamError, match="a fallback can't be recorded"):
        RecordedModel(path, Model.fallback(ScriptedModel(["a"]), ScriptedModel(["b"])))
    for mode in ("once", "none"):
        with pytest.raises(CassetteError, match=r"there is no cassette .*tape\.json"):
            RecordedModel(path, mode=mode)
    with pytest.raises(CassetteError, match="needs a model to record"):
        RecordedModel(path, mode="all")
    assert not path.exists()


# ---------------------------------------------------------------------------------------------------------------------
# Failures
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "kind", "match", "partial"),
    [
        (status("401 Who", b'{"error": {"message": "%s is not a key"}}' % KEY.encode()), HTTPError, "status 401", ""),
        (status("429 Busy", Retry_After="77"), HTTPError, "status 429", ""),
        (
            status("400 Bad", b'{"error": {"message": "x", "code": "context_length_exceeded"}}'),
            ContextFullError,
            "x",
            "",
        ),
        (events(delta(content="a"), {"error": {"message": "out of memory"}}), HTTPError, "out of memory", "a"),
        (events(delta(content="a"), delta(content="b")), HTTPError, "before it was complete", "ab"),
        (events("nonsense"), ValueError, "is not JSON: nonsense", ""),
    ],
)
def test_a_failure_is_recorded_too(api, serve, tmp_path, answer, kind, match, partial):
    path = tmp_path / "tape.json"
    real = Model.from_remote(serve(answer).url, "qwen3", api_key=KEY, max_retries=0)
    caught = []
    for mode in ("once", "none"):
        model = RecordedModel(path, real, mode=mode)
        with pytest.raises(kind, match=match) as error:
            api.text(Agent(model), "Hi")
        assert error.value.partial_text == partial
        caught.append(error.value)
    one, other = caught
    assert str(one) == str(other)
    for name in ("code", "partial_text", "status", "retry_after"):
        assert getattr(one, name, None) == getattr(other, name, None)
    assert KEY not in path.read_text(encoding="utf-8")


def test_what_was_not_heard_to_its_end_is_not_recorded(api, serve, tmp_path):
    path = tmp_path / "tape.json"
    server = serve(sending(head() + data(delta(content="a ")), pause=2), hello())
    agent = Agent(RecordedModel(path, Model.from_remote(server.url, "qwen3")))
    assert api.first_piece(agent, "Hi") == "a "
    assert api.text(agent, "Hi") == "Hello!"
    agent.clear_history()
    with pytest.raises(RunTimeoutError):
        api.text(Agent(RecordedModel(tmp_path / "b", ScriptedModel([Reply("late", delay=5)]))), "Hi", timeout=0.1)
    assert api.text(Agent(RecordedModel(path, mode="none")), "Hi") == "Hello!"
    assert len(json.loads(path.read_text(encoding="utf-8"))["exchanges"]) == 1
    assert not (tmp_path / "b").exists()


def test_a_server_that_refuses_typed_results_is_played_so(api, serve, tmp_path):
    refusal = status("400 Bad", b'{"error": {"message": "response_format is not supported"}}')
    server = serve(refusal, hello('{"title": "Alien", "year": 1979}'))
    path = tmp_path / "tape.json"
    real = Model.from_remote(server.url, "qwen3")
    for mode in ("once", "none"):
        model = RecordedModel(path, real, mode=mode)
        assert api.text(Agent(model), "A film.", output_type=Movie).year == 1979
    assert len(server.requests) == 2


# ---------------------------------------------------------------------------------------------------------------------
# The fixture
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.gate
@pytest.mark.slow
@pytest.mark.processes
def test_the_fixture_keeps_cassettes_beside_the_test(child, tmp_path):
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["luup_agent.pytest_plugin"]\n')
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "from luup_agent import Agent\n"
        "from luup_agent.testing import FunctionModel\n"
        "@pytest.mark.parametrize('text', ['a/b', 'c'])\n"
        "def test_it(cassette, text):\n"
        "    model = FunctionModel(lambda request: str(len(request.prompt)))\n"
        "    assert Agent(cassette(lambda: model)).generate(text) == str(len(text))\n"
    )
    folder = tmp_path / "cassettes" / "test_it"

    def run(*options):
        source = "import sys, pytest; sys.exit(pytest.main(sys.argv[1:]))"
        return child(source, "-q", "-p", "no:cacheprovider", *options, tmp_path, cwd=tmp_path).stdout

    assert "2 passed" in run()
    assert sorted(path.name for path in folder.iterdir()) == ["test_it_a_b.json", "test_it_c.json"]
    tape_of_c = folder / "test_it_c.json"
    tape_of_c.write_text(re.sub('"content": "1"', '"content": "2"', tape_of_c.read_text()))
    assert "1 failed, 1 passed" in run()  # what the file says is what counts
    assert "2 passed" in run("--luup-record=all")
    tape_of_c.unlink()
    assert "there is no cassette" in run("--luup-record=none")
    assert not tape_of_c.exists()
