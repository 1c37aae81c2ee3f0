"""Answers of /v1/responses, as the official client reads them."""

import json

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from support.serving import read_events

from luup_agent.testing import FunctionModel, Reply, ScriptedModel, tool_call

openai = pytest.importorskip("openai")
pydantic = pytest.importorskip("pydantic")

if not hasattr(openai.OpenAI, "responses"):
    pytest.skip("needs a client that knows responses", allow_module_level=True)

WEATHER = {
    "type": "function",
    "name": "weather",
    "description": "Returns the weather.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": True,
}


@pytest.fixture
def client(served):
    clients = []

    def connect(model, **options):
        server = served({"m": model}, **options)
        clients.append(openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0))
        return clients[-1]

    yield connect
    for each in clients:
        each.close()


def test_a_response(client):
    model = ScriptedModel([Reply("Paris.", reasoning="Easy.", prompt_tokens=7, completion_tokens=5)])
    made = client(model).responses.create(
        model="m", input="The capital of France?", instructions="Be brief.", max_output_tokens=50, temperature=0.5
    )
    assert made.output_text == "Paris."
    assert made.status == "completed"
    assert [item.type for item in made.output] == ["reasoning", "message"]
    assert made.output[0].content[0].text == "Easy."
    assert (made.usage.input_tokens, made.usage.output_tokens, made.usage.total_tokens) == (7, 5, 12)
    assert (made.instructions, made.temperature, made.max_output_tokens) == ("Be brief.", 0.5, 50)
    request = model.requests[0]
    assert [(m.role, m.content) for m in request.messages] == [
        ("system", "Be brief."),
        ("user", "The capital of France?"),
    ]
    assert (request.body["max_tokens"], request.body["temperature"]) == (50, 0.5)


def test_a_stream(client):
    with client(ScriptedModel([Reply("One two.", reasoning="Let me count.")])).responses.stream(
        model="m", input="Count."
    ) as stream:
        events = list(stream)
        final = stream.get_final_response()
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type for event in events]
    assert kinds[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert kinds[-1] == "response.completed"
    for kind in ("response.reasoning_text", "response.output_text"):
        deltas = [event.delta for event in events if event.type == f"{kind}.delta"]
        [done] = [event.text for event in events if event.type == f"{kind}.done"]
        assert "".join(deltas) == done
    assert final.output_text == "One two."


def test_a_loop_with_a_tool(client):
    model = ScriptedModel([Reply("", "Hm.", (tool_call("weather", city="Paris"),)), "It is sunny."])
    connected = client(model)
    items = [{"role": "user", "content": [{"type": "input_text", "text": "How is the weather?"}]}]
    first = connected.responses.create(model="m", input=items, tools=[WEATHER], tool_choice="auto")
    [call] = [item for item in first.output if item.type == "function_call"]
    assert (call.name, json.loads(call.arguments)) == ("weather", {"city": "Paris"})
    items += [item.model_dump(exclude_none=True) for item in first.output]
    items.append({"type": "function_call_output", "call_id": call.call_id, "output": "sunny"})
    second = connected.responses.create(model="m", input=items, tools=[WEATHER])
    assert second.output_text == "It is sunny."
    sent = model.requests[1].messages
    assert [m.role for m in sent] == ["user", "assistant", "tool"]
    assert sent[1].tool_calls[0].name == "weather"
    assert sent[2].content == "sunny"
    assert model.requests[0].tools == ["weather"]


def test_a_call_in_a_stream(client):
    stream = client(ScriptedModel([tool_call("weather", city="Rome")])).responses.create(
        model="m", input="Hi", tools=[WEATHER], tool_choice={"type": "function", "name": "weather"}, stream=True
    )
    events = list(stream)
    [arguments] = [event.arguments for event in events if event.type == "response.function_call_arguments.done"]
    assert json.loads(arguments) == {"city": "Rome"}
    assert events[-1].response.output[0].type == "function_call"


def test_a_typed_answer(client):
    class City(pydantic.BaseModel):
        name: str

    made = client(ScriptedModel([{"name": "Paris"}])).responses.parse(model="m", input="Hi", text_format=City)
    assert made.output_parsed == City(name="Paris")


def test_an_answer_that_is_cut_off(client):
    made = client(ScriptedModel([Reply("One two", finish_reason="length")])).responses.create(model="m", input="Hi")
    assert made.status == "incomplete"
    assert made.incomplete_details.reason == "max_output_tokens"
    assert made.output_text == "One two"


def test_a_failure_in_mid_stream(served, caplog):
    def fail(request):
        yield "text"
        raise ValueError("a bug")

    server = served({"m": FunctionModel(fail)})
    response = server.post("/v1/responses", {"input": "Hi", "stream": True})
    events = read_events(response.text)
    assert events[-1][0] == "error"
    assert events[-1][1]["type"] == "error"
    assert events[-1][1]["code"] == "internal_error"
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none") as connected, pytest.raises(
        openai.APIError, match="its log has the reason"
    ):
        list(connected.responses.create(model="m", input="Hi", stream=True))


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "input"),
        ({"input": 5}, "input"),
        ({"input": []}, "messages"),
        ({"input": [5]}, "input[0]"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0]"),
        ({"input": [{"type": "function_call_output", "call_id": "x", "output": 5}]}, "input[0].output"),
        ({"input": "Hi", "previous_response_id": "resp_1"}, "previous_response_id"),
        ({"input": "Hi", "background": True}, "background"),
        ({"input": "Hi", "truncation": "auto"}, "truncation"),
        ({"input": "Hi", "tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"input": "Hi", "text": {"verbosity": "low"}}, "text.verbosity"),
        ({"input": "Hi", "prompt": {"id": "x"}}, "prompt"),
        ({"input": "Hi", "n": 2}, "n"),
    ],
)
def test_wrong_fields_are_named(echo, body, param):
    response = echo.post("/v1/responses", body)
    assert response.status_code == 400, response.text
    assert response.json()["error"]["param"] == param


def test_an_image_is_refused(echo):
    parts = [{"type": "input_image", "image_url": "data:image/png;base64,AAAA"}]
    response = echo.post("/v1/responses", {"input": [{"role": "user", "content": parts}]})
    assert response.status_code == 400
    assert "not a PNG, JPEG or WebP picture" in response.json()["error"]["message"]


async def test_openai_agents(served):
    agents = pytest.importorskip("agents")
    server = served({"m": ScriptedModel([tool_call("weather", city="Paris"), "It is sunny."])})
    asked = []

    @agents.function_tool
    def weather(city: str) -> str:
        """Return the weather."""
        asked.append(city)
        return "sunny"

    async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none") as connected:
        model = agents.OpenAIResponsesModel("m", connected)
        agent = agents.Agent("clerk", instructions="Be brief.", model=model, tools=[weather])
        config = agents.RunConfig(tracing_disabled=True)
        result = await agents.Runner.run(agent, "How is the weather?", run_config=config)
    assert result.final_output == "It is sunny."
    assert asked == ["Paris"]
