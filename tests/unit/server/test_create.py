"""The arguments of `create_app` and `serve`."""

import subprocess
import sys

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from luup_agent import Agent, InvalidParamError, StorageError
from luup_agent.server import create_app, serve
from luup_agent.testing import ScriptedModel

MODEL = ScriptedModel([])


@pytest.mark.parametrize(
    ("models", "name"),
    [
        ({}, "models"),
        ([MODEL], "models"),
        ("smollm2", "models"),
        ({"a": "smollm2"}, "models['a']"),
        ({"": MODEL}, "name"),
        ({"a b": MODEL}, "name"),
        ({5: MODEL}, "name"),
    ],
)
def test_wrong_models(models, name):
    with pytest.raises(InvalidParamError, match=name.replace("[", r"\[").replace("]", r"\]")):
        create_app(models)


@pytest.mark.parametrize(
    "options",
    [
        {"api_key": ""},
        {"api_key": ["sk-1", ""]},
        {"api_key": "two\nlines"},
        {"api_key": "ключ"},
        {"api_key": [5]},
        {"allow_origins": "https://a.example"},
        {"allow_origins": ["a.example"]},
        {"allow_origins": ["https://a.example/path"]},
        {"allow_hosts": [""]},
        {"max_tokens": 0},
        {"max_runs": 0},
        {"max_runs": True},
        {"max_body": "1 MB"},
        {"body_timeout": 0},
    ],
)
def test_wrong_options(options):
    with pytest.raises(InvalidParamError, match=next(iter(options))):
        create_app({"a": MODEL}, **options)


def test_the_keys_are_not_shown():
    from luup_agent._server.config import read_config

    config = read_config("sk-secret", (), (), None, 1, 1, 1.0)
    assert "sk-secret" not in repr(config)


@pytest.mark.parametrize("options", [{"host": ""}, {"port": -1}, {"port": 65536}, {"port": "80"}, {"port": True}])
def test_wrong_addresses(options):
    with pytest.raises(InvalidParamError, match=next(iter(options))):
        serve({"a": MODEL}, **options)


def test_a_port_in_use(echo):
    with pytest.raises(StorageError, match=str(echo.port)):
        serve({"a": MODEL}, port=echo.port)


def test_an_address_of_another_machine():
    with pytest.raises(StorageError, match=r"192\.0\.2\.1"):
        serve({"a": MODEL}, host="192.0.2.1", port=0)


def test_one_model_gets_a_name(served):
    with served(Agent(MODEL)).client() as client:
        assert [each["id"] for each in client.get("/v1/models").json()["data"]] == ["agent"]
    with served(MODEL).client() as client:
        assert [each["id"] for each in client.get("/v1/models").json()["data"]] == ["ScriptedModel"]


def test_missing_packages_are_named():
    source = """
import sys
sys.modules["starlette"] = sys.modules["uvicorn"] = None
import luup_agent.cli
from luup_agent import UnsupportedError, server
from luup_agent.testing import ScriptedModel
try:
    server.create_app({"a": ScriptedModel([])})
except UnsupportedError as error:
    print(error)
print(luup_agent.cli.main(["serve", "smollm2"]))
"""
    result = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=60)
    assert 'pip install "luup-agent[serve]"' in result.stdout, result.stderr
    assert 'pip install "luup-agent[serve]"' in result.stderr
    assert result.stdout.endswith("1\n")


def test_the_command_line_does_not_import_the_server():
    source = (
        "import sys, luup_agent.cli; print([n for n in sys.modules if n.split('.')[0] in ('starlette', 'uvicorn')])"
    )
    result = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=60)
    assert result.stdout == "[]\n", result.stderr
