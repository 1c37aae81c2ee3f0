"""The official client of OpenAI against the server, and frameworks that use it."""

import asyncio
import json

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from luup_agent import Agent
from luup_agent.testing import FunctionModel, Reply, ScriptedModel, tool_call

from .test_chat import WEATHER

openai = pytest.importorskip("openai")
pydantic = pytest.importorskip("pydantic")

HI = [{"role": "user", "content": "Hi"}]


@pytest.fixture
def client(served):
    """Returns a client of a server of `models`."""
    clients = []

    def connect(models, key="sk-1", **options):
        server = served(models, **options)
        clients.append(openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0))
        return clients[-1]

    yield connect
    for each in clients:
        each.close()


def test_a_completion(client):
    made = client({"m": ScriptedModel([Reply("Hello!", reasoning="Easy.")])}).chat.completions.create(
        model="m", messages=HI
    )
    assert made.choices[0].message.content == "Hello!"
    assert made.choices[0].message.reasoning_content == "Easy."
    assert made.usage.total_tokens == made.usage.prompt_tokens + made.usage.completion_tokens


def test_a_stream(client):
    stream = client({"m": ScriptedModel(["One two three."])}).chat.completions.create(
        model="m", messages=HI, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "One two three."
    assert chunks[-1].usage.completion_tokens == 3


def test_the_helper_for_streams(client):
    replies = [["Let me look.", tool_call("weather", city="Paris")]]
    with client({"m": ScriptedModel(replies)}).chat.completions.stream(
        model="m", messages=HI, tools=[WEATHER]
    ) as stream:
        events = [event.type for event in stream]
        final = stream.get_final_completion()
    assert "content.delta" in events
    assert final.choices[0].message.content == "Let me look."
    assert final.choices[0].message.tool_calls[0].function.parsed_arguments == {"city": "Paris"}


def test_a_parsed_answer(client):
    class City(pydantic.BaseModel):
        name: str
        people: int

    made = client({"m": ScriptedModel([{"name": "Paris", "people": 2}])}).chat.completions.parse(
        model="m", messages=HI, response_format=City
    )
    assert made.choices[0].message.parsed == City(name="Paris", people=2)


def test_a_loop_with_a_tool(client):
    connected = client({"m": ScriptedModel([tool_call("weather", city="Paris"), "It is sunny."])})
    messages = list(HI)
    for _ in range(2):
        message = connected.chat.completions.create(model="m", messages=messages, tools=[WEATHER]).choices[0].message
        messages.append(message)
        for call in message.tool_calls or ():
            assert json.loads(call.function.arguments) == {"city": "Paris"}
            messages.append({"role": "tool", "tool_call_id": call.id, "content": "sunny"})
    assert messages[-1].content == "It is sunny."


def test_an_agent_in_a_stream(client):
    agent = Agent(ScriptedModel([tool_call("add", a=2, b=3), "It is 5."]))

    @agent.tool
    def add(a: int, b: int) -> int:
        return a + b

    chunks = list(client({"adder": agent}).chat.completions.create(model="adder", messages=HI, stream=True))
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == "It is 5."
    assert not any(c.choices[0].delta.tool_calls for c in chunks)
    assert [c.choices[0].delta.luup["type"] for c in chunks if hasattr(c.choices[0].delta, "luup")] == [
        "tool_call",
        "tool_result",
        "done",
    ]


def test_the_models(client):
    connected = client({"m": ScriptedModel([]), "owner/repo": ScriptedModel([])})
    assert [each.id for each in connected.models.list()] == ["m", "owner/repo"]
    assert connected.models.retrieve("owner/repo").id == "owner/repo"


def test_errors_have_their_classes(client):
    def fail(request):
        yield "text"
        raise ValueError("a bug")

    connected = client({"m": ScriptedModel([]), "failing": FunctionModel(fail)}, api_key="sk-1")
    with pytest.raises(openai.BadRequestError, match="temperature"):
        connected.chat.completions.create(model="m", messages=HI, temperature=-1)
    with pytest.raises(openai.NotFoundError):
        connected.chat.completions.create(model="gpt-9", messages=HI)
    with pytest.raises(openai.AuthenticationError):
        connected.with_options(api_key="sk-wrong").models.list()
    with pytest.raises(openai.APIError, match="its log has the reason"):
        list(connected.chat.completions.create(model="failing", messages=HI, stream=True))


async def test_the_asynchronous_client(served):
    server = served({"echo": FunctionModel(lambda request: request.prompt)})
    async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none") as connected:

        async def ask(number):
            message = {"role": "user", "content": f"number {number}"}
            made = await connected.chat.completions.create(model="echo", messages=[message])
            return made.choices[0].message.content

        answers = await asyncio.gather(*map(ask, range(20)))
    assert answers == [f"number {number}" for number in range(20)]


def test_langchain(served):
    langchain = pytest.importorskip("langchain_openai")
    server = served({"m": ScriptedModel([tool_call("weather", city="Paris"), "It is sunny."])})
    chat = langchain.ChatOpenAI(model="m", base_url=f"{server.url}/v1", api_key="none", max_retries=0)
    called = chat.bind_tools([WEATHER]).invoke("How is the weather?")
    assert called.tool_calls[0]["args"] == {"city": "Paris"}
    assert "".join(chunk.content for chunk in chat.stream("And now?")) == "It is sunny."


async def test_pydantic_ai(served):
    pydantic_ai = pytest.importorskip("pydantic_ai")
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    server = served({"m": ScriptedModel([tool_call("weather", city="Paris"), "It is sunny."])})
    asked = []
    async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none") as connected:
        agent = pydantic_ai.Agent(OpenAIChatModel("m", provider=OpenAIProvider(openai_client=connected)))

        @agent.tool_plain
        def weather(city: str) -> str:
            asked.append(city)
            return "sunny"

        result = await agent.run("How is the weather?")
    assert result.output == "It is sunny."
    assert asked == ["Paris"]
