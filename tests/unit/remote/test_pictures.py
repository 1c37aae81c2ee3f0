"""Pictures and sounds in the requests to a server."""

import asyncio
import json

import pytest
from pydantic import BaseModel
from support import pictures
from support.http_server import Server, hello

from luup_agent import Agent, Audio, Image, Model, UnsupportedError


@pytest.fixture
def server():
    made = Server(hello("A cat."))
    yield made
    made.close()


def agent_of(server, **options):
    return Agent(Model.from_remote(server.url, "m", max_retries=0), **options)


def test_the_parts_of_a_request(server):
    agent = agent_of(server)
    image, sound = Image(pictures.png()), Audio(pictures.wav())
    address = Image.from_url("https://example.org/cat.png", fetch=False)
    response = agent.run(["What is ", image, "this? And ", address, sound])
    content = server.requests[0].json["messages"][-1]["content"]
    assert content == [
        {"type": "text", "text": "What is "},
        image.to_dict(),
        {"type": "text", "text": "this? And "},
        {"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}},
        sound.to_dict(),
    ]
    assert response.messages[0].parts[1] == image
    assert asyncio.run(_ask(agent, "And now?")) == "A cat."
    assert server.requests[1].json["messages"][0]["content"] == content


async def _ask(agent, message):
    return await agent.generate_async(message)


def test_typed_results_have_them_too():
    class Seen(BaseModel):
        animal: str

    server = Server(hello('{"animal": "cat"}'))
    try:
        assert agent_of(server).generate([Image(pictures.png())], output_type=Seen) == Seen(animal="cat")
        assert server.requests[0].json["messages"][-1]["content"][0]["type"] == "image_url"
    finally:
        server.close()


def refusing(status, message):
    body = json.dumps({"error": {"message": message}}).encode()

    def answer(connection, request):
        head = b"HTTP/1.1 %d x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        connection.sendall(head % (status, len(body)) + body)

    return answer


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "m is not a multimodal model"),
        (500, "image input is not supported - hint: you may need to provide the mmproj"),
        (400, "This model does not support image content."),
        (422, "messages[0]: unknown variant `image_url`, expected `text`"),
        (400, "messages[0].content must be a string"),
        (400, "Invalid content type. image_url is only supported by certain models: unsupported image"),
    ],
)
def test_a_server_that_refuses_pictures(status, words):
    server = Server(refusing(status, words))
    try:
        agent = agent_of(server)
        with pytest.raises(UnsupportedError, match="refuses the pictures or sounds"):
            agent.generate(["What?", Image(pictures.png())])
        assert len(server.requests) == 1
        assert agent.messages == []
    finally:
        server.close()


def test_other_refusals_stay_what_they_are():
    server = Server(refusing(400, "images are not what this is about: temperature is wrong"))
    try:
        with pytest.raises(Exception, match="temperature") as caught:
            agent_of(server).generate("What?")  # without a picture
        assert not isinstance(caught.value, UnsupportedError)
    finally:
        server.close()


def test_a_local_model_is_asked_after_a_server_that_can_not_see(model):
    server = Server(refusing(400, "m is not a multimodal model"))
    try:
        both = Model.fallback(Model.from_remote(server.url, "m", max_retries=0), model)
        with pytest.raises(UnsupportedError, match="mmproj="):
            Agent(both).generate(["What?", Image(pictures.png())])
    finally:
        server.close()
