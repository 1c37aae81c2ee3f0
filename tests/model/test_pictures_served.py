"""Pictures through the package's own server and its terminal, with a local model."""

import base64

import pytest
from support import pictures, projectors, random_model
from support.serving import serving

from luup_agent import Agent, Image, Model, cli

gguf = pytest.importorskip("gguf")
numpy = pytest.importorskip("numpy")


@pytest.fixture(scope="module")
def paths(model_path, tmp_path_factory):
    """The files of a small model, of its projector, and of a picture."""
    folder = tmp_path_factory.mktemp("served")
    found = folder / "llama.gguf", folder / "mmproj.gguf", folder / "cat.png"
    random_model.write(gguf, numpy, model_path, found[0])
    projectors.write(gguf, numpy, found[1], random_model.WIDTH, scale=4.0)
    found[2].write_bytes(pictures.png(seed=3))
    return found


@pytest.fixture(scope="module")
def seeing(paths):
    with Model.from_local(paths[0], mmproj=paths[1], threads=1, context_size=1024) as model:
        yield model


@pytest.fixture(scope="module")
def server(seeing, tiny_model):
    pytest.importorskip("starlette")
    pytest.importorskip("uvicorn")
    from luup_agent.server import create_app

    with serving(create_app({"seeing": seeing, "blind": tiny_model, "agent": Agent(seeing, "Look.")})) as server:
        yield server


def data_url():
    return "data:image/png;base64," + base64.b64encode(pictures.png(seed=3)).decode()


def question(url=None):
    picture = {"type": "image_url", "image_url": {"url": url or data_url()}}
    return [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, picture]}]


def test_chat_completions(server, seeing):
    body = {"model": "seeing", "messages": question(), "temperature": 0, "max_tokens": 12}
    response = server.chat(**body)
    assert response.status_code == 200, response.text
    expected = Agent(seeing, temperature=0, max_tokens=12).generate(["What is it?", Image(pictures.png(seed=3))])
    assert response.json()["choices"][0]["message"]["content"] == expected
    assert response.json()["usage"]["prompt_tokens"] > projectors.IMAGE_TOKENS["mlp"]
    assert server.chat(**{**body, "model": "agent"}).status_code == 200


def test_responses(server, seeing):
    parts = [{"type": "input_text", "text": "What is it?"}, {"type": "input_image", "image_url": data_url()}]
    body = {"model": "seeing", "input": [{"role": "user", "content": parts}], "temperature": 0, "max_output_tokens": 12}
    response = server.post("/v1/responses", body)
    assert response.status_code == 200, response.text
    expected = Agent(seeing, temperature=0, max_tokens=12).generate(["What is it?", Image(pictures.png(seed=3))])
    assert response.json()["output"][-1]["content"][0]["text"] == expected


@pytest.mark.parametrize("stream", [False, True])
def test_a_model_without_a_projector(server, stream):
    response = server.chat(model="blind", messages=question(), stream=stream)
    assert response.status_code == 400
    assert "without a projector (mmproj)" in response.json()["error"]["message"]
    sound = {"type": "input_audio", "input_audio": {"data": base64.b64encode(pictures.wav()).decode(), "format": "wav"}}
    response = server.chat(model="seeing", messages=[{"role": "user", "content": [sound]}])
    assert response.status_code == 400
    assert "sounds" in response.json()["error"]["message"]


def test_addresses_are_fetched_only_where_that_is_allowed(server, seeing):
    from luup_agent.server import create_app

    response = server.chat(model="seeing", messages=question("http://127.0.0.1:9/cat.png"))
    assert response.status_code == 400
    assert "send it as a data URL" in response.json()["error"]["message"]
    with serving(create_app({"seeing": seeing}, allow_image_urls=True)) as open_server:
        response = open_server.chat(messages=question("http://127.0.0.1:9/cat.png"))
        assert response.status_code == 400
        assert "private network" in response.json()["error"]["message"]


def test_a_broken_picture(server):
    broken = "data:image/png;base64," + base64.b64encode(pictures.png(300, 300, level=0)[:4000]).decode()
    response = server.chat(model="seeing", messages=question(broken))
    assert response.status_code == 400, response.text
    assert "broken png" in response.json()["error"]["message"]


def chat(paths, *arguments):
    options = ["--mmproj", str(paths[1]), "--threads", "1", "--context-size", "1024", "--temperature", "0"]
    return cli.main(["chat", str(paths[0]), *arguments, *options, "--max-tokens", "12", "--system", ""])


def test_the_terminal(paths, seeing, capsys):
    image = Image(paths[2])
    assert chat(paths, "What is it?", "--image", str(paths[2])) == 0
    assert capsys.readouterr().out.strip() == (
        Agent(seeing, temperature=0, max_tokens=12).generate([image, "What is it?"]).strip()
    )
    assert chat(paths, "What is it?", "--image", str(paths[2]) + ".none") != 0
    assert "can't be read" in capsys.readouterr().err
    assert chat(paths, "What is it?", "--image", str(paths[0])) != 0
    assert "not a PNG" in capsys.readouterr().err


def test_the_commands_of_a_conversation(paths, seeing):
    from luup_agent.cli import commands
    from luup_agent.cli.conversation import Conversation

    conversation = Conversation(Agent(seeing), {})
    assert "Image png" in commands.handle(f"/image {paths[2]}", conversation).text
    assert conversation.attached == [Image(paths[2])]
    commands.handle("/image none", conversation)
    assert conversation.attached == []
    with pytest.raises(Exception, match="can't be read"):
        commands.handle("/audio nothing.wav", conversation)
