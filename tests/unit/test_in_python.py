"""Objects at Python's prompt and in a notebook: reprs, signatures, settings, streams, forgotten awaits."""

import asyncio
import gc
import inspect
import pickle
import pydoc
import sys

import pytest
from pydantic import BaseModel

import luup_agent
from luup_agent import Agent, AgentResponse, Classification, InvalidParamError, Message, RunOptions, Usage
from luup_agent.settings import Settings
from luup_agent.testing import FunctionModel, ScriptedModel, tool_call


def test_a_response_prints_its_text_and_shows_its_counts():
    response = Agent(ScriptedModel(["Paris."])).run("Where?")
    assert str(response) == "Paris."
    assert f"{response}" == "Paris."
    assert repr(response).startswith("AgentResponse(output='Paris.', finish_reason='stop', tokens=")
    assert len(repr(response)) < 120
    long = Agent(ScriptedModel(["x" * 5000])).run("Where?")
    assert "… (4,900 more characters)" in repr(long)
    assert len(repr(long)) < 300
    assert type(response).__name__.startswith("AgentResponse")
    assert pickle.loads(pickle.dumps(response)) == response


def test_a_response_of_tools_lists_them():
    def add(a: int) -> int:
        """Adds."""
        return a + 1

    response = Agent(ScriptedModel([tool_call("add", a=1), "2 & <3>"]), tools=[add]).run("?")
    assert "tool_calls=['add']" in repr(response)
    html = response._repr_html_()
    assert "2 &amp; &lt;3&gt;" in html
    assert "<code>add({&quot;a&quot;:1})</code>: 2" in html.replace(" ", "").replace("</code>:2", "</code>: 2")


def test_fields_with_their_defaults_are_left_out():
    assert repr(Message(role="user", content="hi")) == "Message(role='user', content='hi')"
    usage = Usage(prompt_tokens=1, cached_tokens=0, completion_tokens=1, total_tokens=2)
    assert repr(usage) == "Usage(prompt_tokens=1, cached_tokens=0, completion_tokens=1, total_tokens=2)"
    events = list(Agent(ScriptedModel(["hi"])).stream_events("?"))
    assert repr(events[-1]).startswith("DoneEvent(finish_reason='stop', response=AgentResponse(output='hi'")
    assert all(len(repr(event)) < 250 for event in events)


def test_tables_of_a_notebook_escape_their_texts():
    html = Classification({"<b>": 0.75, "good": 0.25})._repr_html_()
    assert "&lt;b&gt;" in html
    assert "75.0%" in html
    results = Agent(FunctionModel(lambda request: "<script>")).map([f"text {n}" for n in range(30)]).all()
    html = results._repr_html_()
    assert "<script>" not in html
    assert html.count("<tr>") == 1 + 20
    assert "10 more rows" in html


def test_dir_has_the_public_names():
    names = dir(luup_agent)
    assert set(luup_agent.__all__) <= set(names)
    assert [name for name in names if name.startswith("_") and not name.startswith("__")] == []
    assert {"catalog", "testing"} <= set(names)
    assert not {"Any", "Dict", "import_module", "TYPE_CHECKING"} & set(names)


def test_modules_need_no_import_of_their_own(child):
    result = child("import luup_agent; print(luup_agent.catalog.__name__, luup_agent.testing.ScriptedModel)")
    assert "luup_agent.catalog" in result.stdout


@pytest.mark.parametrize("name", ["generate", "generate_async", "run", "stream_events", "resume", "map", "classify"])
def test_help_shows_the_options(name):
    method = getattr(Agent, name)
    parameters = inspect.signature(method).parameters
    assert set(RunOptions.__annotations__) <= set(parameters)
    assert "options" not in parameters
    text = pydoc.render_doc(method, renderer=pydoc.plaintext)
    assert "temperature: float = <the agent's>" in text
    assert "max_tokens" in inspect.signature(getattr(Agent(ScriptedModel([])), name)).parameters


def test_ipython_completes_the_options():
    completer = pytest.importorskip("IPython.core.completer")
    found = completer.IPCompleter._default_arguments(completer.IPCompleter(), Agent.generate)
    assert {"temperature", "max_tokens", "output_type"} <= set(found)


def test_settings_are_read_and_changed():
    seen = []

    def answer(request):
        seen.append(request.body)
        return "x"

    agent = Agent(FunctionModel(answer), temperature=0.5)
    assert agent.settings.temperature == 0.5
    agent.settings.temperature = 0
    agent.settings.update(max_tokens=7, stop=["a"], seed=5)
    assert repr(agent.settings) == "AgentSettings(temperature=0, seed=5, stop=('a',), max_tokens=7)"
    agent.generate("?")
    assert (seen[0]["temperature"], seen[0]["max_tokens"], seen[0]["seed"]) == (0, 7, 5)
    assert agent.fork().settings.to_dict() == agent.settings.to_dict()
    assert set(agent.settings.to_dict()) == set(Settings._fields) - {"tools", "toolsets"}
    assert set(type(agent.settings).__annotations__) == {*agent.settings.to_dict(), "_parts"}


@pytest.mark.parametrize(
    ("values", "error", "words"),
    [
        ({"temperature": -1}, InvalidParamError, "temperature must be between 0 and 100, got -1"),
        ({"max_tokens": "many"}, InvalidParamError, "max_tokens must be an int"),
        (
            {"top_p": 0.5, "temprature": 1},
            AttributeError,
            "there is no setting 'temprature'; the settings:",
        ),
        ({"tools": []}, AttributeError, "use agent.add_tool"),
    ],
)
def test_wrong_settings_change_nothing(values, error, words):
    agent = Agent(ScriptedModel(["x"]))
    before = agent.settings.to_dict()
    with pytest.raises(error, match=words):
        agent.settings.update(**values)
    assert agent.settings.to_dict() == before


def test_an_unknown_attribute_is_an_error():
    agent = Agent(ScriptedModel([]))
    with pytest.raises(AttributeError, match=r"write agent\.settings\.temperature = 0"):
        agent.temperature = 0
    with pytest.raises(AttributeError, match="no attribute 'memory'"):
        agent.memory = True
    with pytest.raises(AttributeError):
        agent.tools = []
    agent.enable_history = agent.enable_tool_calling = True

    class Mine(Agent[None]):
        def __init__(self, model):
            super().__init__(model)
            self.memory = []

    mine = Mine(ScriptedModel([]))
    assert mine.fork().memory == []
    with pytest.raises(AttributeError, match=r"agent\.settings\.max_tokens"):
        mine.max_tokens = 5


class Answer(BaseModel):
    number: int


def test_a_stream_has_a_response_at_its_end(script):
    agent = script.agent("first text", tool_call("add", a=1), "second")

    @agent.tool
    def add(a: int) -> int:
        """Adds."""
        return a + 1

    with agent.generate_stream("?") as stream:
        with pytest.raises(InvalidParamError, match="read it to its end"):
            stream.response  # noqa: B018
        assert "".join(stream) == "first text"
    assert stream.response.text == "first text"
    assert isinstance(stream.response, AgentResponse)
    with agent.stream_events("?") as events:
        last = list(events)[-1]
    assert events.response is last.response
    assert [call.name for call in events.response.tool_calls] == ["add"]
    assert [message.role for message in events.response.messages] == ["user", "assistant", "tool", "assistant"]


def test_leaving_a_with_block_ends_the_run():
    agent = Agent(FunctionModel(lambda request: request.prompt))
    with agent.generate_stream("first"):
        pass
    assert agent.messages == []
    assert agent.generate("second") == "second"


def test_asynchronous_streams_have_both():
    async def main():
        agent = Agent(ScriptedModel(["one two", {"number": 5}, "three", "four"]))
        async with agent.generate_async("?") as stream:
            pieces = [piece async for piece in stream]
        assert "".join(pieces) == stream.response.text == "one two"
        typed = agent.generate_async("?", output_type=Answer)
        assert await typed == typed.response.output == Answer(number=5)
        async with agent.stream_events_async("?") as events:
            kinds = [event.type async for event in events]
        assert kinds[-1] == "done"
        assert events.response.text == "three"
        async with agent.generate_async("?"):
            pass
        assert len(agent.messages) == 6

    asyncio.run(main())


def test_a_forgotten_await_warns():
    agent = Agent(ScriptedModel(["x"]))
    with pytest.warns(RuntimeWarning, match="generate_async was never awaited"):
        agent.generate_async("Hi")
    agent.generate_async("Hi").close()  # on purpose
    gc.collect()


def test_an_answer_that_the_default_limit_cut_warns_once(child):
    source = """
    import warnings
    from luup_agent import Agent
    from luup_agent.testing import FunctionModel, Reply

    agent = Agent(FunctionModel(lambda request: Reply("cut", finish_reason="length")))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        agent.run("?")  # has the finish_reason
        agent.generate("?", max_tokens=5)  # somebody chose it
        print(len(caught))
        agent.generate("?")
        agent.generate("?")
    print(len(caught), caught[0].category.__name__, caught[0].filename == "<string>", caught[0].message)
    """
    lines = child(source).stdout.splitlines()
    assert lines[0] == "0"
    assert lines[1].startswith("1 RuntimeWarning True an answer was cut off after max_tokens=512")


if sys.version_info < (3, 9):
    del test_ipython_completes_the_options


def test_help_is_about_the_package_and_not_about_pydantic():
    text = pydoc.plaintext.document(luup_agent)
    assert "model_dump" not in text
    assert len(text) < 650_000
    for each in (luup_agent.Message, luup_agent.AgentResponse, luup_agent.ModelInfo):
        own = pydoc.plaintext.document(each)
        assert "__pydantic" not in own
        assert len(own) < 12_000
    assert "to_dict" in dir(luup_agent.Message)
    assert {"model_dump", "content", "to_dict"} <= set(dir(luup_agent.Message(role="user", content="Hi")))


def test_json_and_schemas_of_data_are_those_of_pydantic():
    message = luup_agent.Message(role="user", content="Hi")
    assert luup_agent.Message.model_validate_json(message.model_dump_json()) == message
    assert luup_agent.ToolResult.model_json_schema()["required"] == ["content"]
