"""Each architecture of llama.cpp that generates text: a random model chats, calls a tool, gives an object."""

from pathlib import Path

import pytest
from support import architectures

SAMPLE = {"gemma3n", "gpt-oss", "qwen35moe"}  # of the plain run

USE = """
import asyncio, sys
from pydantic import BaseModel
from typing import Literal
from luup_agent import Agent, Model

class Parcel(BaseModel):
    country: Literal["France", "Italy"]
    express: bool

SYSTEM = "You are a careful assistant, and answer in plain English. " * 10

async def several(model):
    agents = [Agent(model, SYSTEM, temperature=0, max_tokens=6) for _ in range(4)]
    return await asyncio.gather(*[agent.run_async(f"Is {n} prime?") for n, agent in enumerate(agents)])

with Model.from_local(sys.argv[1], threads=1, context_size=2048, max_sequences=6) as model:
    agent = Agent(model, SYSTEM, temperature=0, max_tokens=8)
    calls = []

    @agent.tool
    def paint(colour: Literal["red", "blue"], twice: bool) -> str:
        calls.append((colour, twice))
        return "done"

    before = len(agent._prompt_tokens(None))
    agent.run("Hello, who are you?", tool_choice="none")
    second = agent.run("And what do you do?", tool_choice="none")
    assert second.usage.cached_tokens > before - 24, (second.usage, before)
    agent.run("Paint it red.", tool_choice="required", max_tokens=100)
    assert calls and calls[0][0] in ("red", "blue"), calls
    parcel = agent.generate("A parcel.", output_type=Parcel, tool_choice="none", max_tokens=100)
    assert parcel.country in ("France", "Italy"), parcel
    assert all(len(answer.text) >= 0 for answer in asyncio.run(several(model)))
    label = Agent(model, temperature=0).classify("It rains.", ["rather good", "rather bad", "quite bad"]).label
    assert label, label
print("fine")
"""

REFUSED = """
import sys
from luup_agent import LuupError, Model
try:
    Model.from_local(sys.argv[1], threads=1, context_size=2048).close()
except LuupError as error:
    print(type(error).__name__, str(error)[:400])
else:
    print("loaded")
"""


GENERATES = set(architectures.architectures()) - set(architectures.NOT_FOR_TEXT) - set(architectures.NOT_MADE)


def marked(names):
    gate = (pytest.mark.slow, pytest.mark.gate)
    return [name if name in SAMPLE else pytest.param(name, marks=gate) for name in names]


@pytest.fixture
def write(tool, model_path, tmp_path):
    """Writes the model of an architecture."""
    gguf, numpy = pytest.importorskip("gguf"), pytest.importorskip("numpy")
    tool("luup-tensor-shapes")
    path = tmp_path / "model.gguf"

    def write(name, **changed):
        architectures.write(gguf, numpy, model_path, path, name, **changed)
        return path

    yield write
    if path.exists():
        path.unlink()


@pytest.mark.parametrize("name", marked(sorted(GENERATES)))
def test_a_model_of_each_architecture_works(name, write, child):
    done = child(USE, write(name), memory=8 << 30, timeout=300)
    assert done.returncode == 0, (name, done.returncode, done.stderr[-3000:])
    assert done.stdout.strip() == "fine"


def test_rotary_positions_without_their_dimensions_are_refused(write, child):
    path = write("qwen2vl", **{"rope.dimension_sections": [0, 0, 0, 0]})
    done = child(REFUSED, path, timeout=120)
    assert done.stdout.startswith("ModelLoadError"), (done.returncode, done.stdout, done.stderr[-2000:])
    assert "rope.dimension_sections" in done.stdout


@pytest.mark.parametrize(
    "sizes",
    [
        {"kv_lora_rank_swa": 32, "key_length_swa": 48, "value_length_swa": 32},
        {
            f"{name}{kind}": size
            for kind in ("", "_swa")
            for name, size in (("kv_lora_rank", 32), ("key_length", 48), ("value_length", 32))
        },
    ],
)
def test_caches_that_the_indexer_can_not_rotate_are_refused(write, child, sizes):
    """llama.cpp would end the process: its matrices have sizes of 64 and more."""
    path = write("dots3note", **{f"attention.{name}": size for name, size in sizes.items()})
    done = child(REFUSED, path, timeout=120)
    assert done.stdout.startswith("ModelLoadError"), (done.returncode, done.stdout, done.stderr[-2000:])


@pytest.mark.parametrize("name", sorted(architectures.NOT_MADE))
def test_those_that_can_not_work_are_refused(name, write, child):
    done = child(REFUSED, write(name), timeout=120)
    assert done.returncode == 0, (name, done.returncode, done.stderr[-3000:])
    assert done.stdout.split()[0] == "ModelLoadError", done.stdout


def test_the_page_on_models_names_those_that_do_not_work():
    text = (Path(__file__).parents[2] / "docs" / "MODELS.md").read_text(encoding="utf-8")
    section = text.split("## Which architectures")[1].split("\n## ")[0]
    for name in (*architectures.NOT_MADE, *architectures.NOT_FOR_TEXT, *architectures.RECURRENT_WRONG):
        assert f"`{name}`" in section, name


@pytest.mark.parametrize("name", marked(sorted(architectures.NOT_FOR_TEXT)))
def test_other_architectures_are_refused(name, write, child):
    try:
        path = write(name)
    except architectures.NotMade:
        return  # llama.cpp refuses it too, with the reason in the table
    done = child(REFUSED, path, timeout=120)
    assert done.returncode == 0, (name, done.returncode, done.stderr[-3000:])
    assert done.stdout.split()[0] in ("ModelLoadError", "UnsupportedError"), (name, done.stdout)
