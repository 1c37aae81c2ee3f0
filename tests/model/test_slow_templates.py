"""A chat template that computes for long once a message has a certain text: others go on, and every run ends."""

import _thread
import asyncio
import contextlib
import threading
import time

import pytest

from luup_agent import (
    Agent,
    ChatTemplateError,
    ClosedError,
    ContextFullError,
    InvalidOutputError,
    Model,
    RunTimeoutError,
    Tool,
)

SLOW = (
    "{% if 'boom' in messages[-1].content %}{% for i in range(20000) %}{% for j in range(2000) %}{% endfor %}"
    "{% endfor %}{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "<|im_start|>assistant\n"
)
SOON = 2.0  # seconds; on a busy machine


def load(path):
    return Model.from_local(path, threads=1, context_size=512, chat_template=SLOW)


@pytest.fixture(scope="module")
def slow(tiny_path):
    with load(tiny_path) as model:
        yield model


@pytest.fixture
def agent(slow):
    return Agent(slow, max_tokens=2)


@pytest.fixture
def timed():
    """The seconds since the test began."""
    begin = time.monotonic()
    return lambda: time.monotonic() - begin


def test_the_timeout_holds(agent, timed):
    with pytest.raises(RunTimeoutError):
        agent.generate("boom", timeout=0.5)
    assert 0.4 < timed() < 0.5 + SOON
    assert agent.get_history() == []
    agent.generate("hi")


def test_ctrl_c_holds(agent, timed):
    timer = threading.Timer(0.5, _thread.interrupt_main)

    def work():
        timer.start()
        agent.generate("boom")
        time.sleep(5)

    with pytest.raises(KeyboardInterrupt):
        work()
    timer.join()
    assert timed() < 0.5 + SOON
    assert agent.get_history() == []
    agent.generate("hi")


def test_an_event_loop_goes_on_and_can_cancel(agent, timed):
    async def main():
        ticks = []

        async def tick():
            while True:
                ticks.append(time.monotonic())
                await asyncio.sleep(0.01)

        ticking = asyncio.ensure_future(tick())
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(agent.generate_async("boom"), 0.7)
        ticking.cancel()
        return max(after - before for before, after in zip(ticks, ticks[1:]))

    assert asyncio.run(main()) < 0.6
    assert timed() < 0.7 + SOON


def test_other_agents_answer_meanwhile(slow, agent, timed):
    def render():
        with pytest.raises((RunTimeoutError, ChatTemplateError)):  # a fast processor reaches the limit on work first
            agent.generate("boom", timeout=3)

    thread = threading.Thread(target=render)
    thread.start()
    time.sleep(0.3)
    for _ in range(3):
        Agent(slow, max_tokens=2).generate("hi")
    assert timed() < 0.3 + SOON
    thread.join()


def test_a_model_closes_while_a_template_renders(tiny_path):
    model = load(tiny_path)
    errors = []

    def render():
        try:
            Agent(model, max_tokens=2).generate("boom")
        except ClosedError as error:
            errors.append(error)

    thread = threading.Thread(target=render)
    thread.start()
    time.sleep(0.5)
    begin = time.monotonic()
    model.close()
    thread.join()
    assert time.monotonic() - begin < SOON
    assert len(errors) == 1


def make_tool(index, properties):
    def answer(**arguments):
        return len(arguments)

    schema = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    return Tool(answer, name=f"tool_{index}", description="Answers.", parameters=schema)


TOOLS = {
    "a long value": lambda: [make_tool(0, {"a": {"enum": ["x" * 35_000, "y"]}})],
    "a long name": lambda: [make_tool(0, {"k" * 35_000: {"type": "string"}})],
    "a long foreign name": lambda: [make_tool(0, {"\u4e2d" * 20_000: {"type": "string"}})],
    "400 tools": lambda: [make_tool(i, {"a": {"type": "string"}, f"b{i}": {"enum": ["x", "y"]}}) for i in range(400)],
    "1000 tools": lambda: [make_tool(i, {f"b{i}": {"type": "integer"}}) for i in range(1000)],
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", TOOLS)
@pytest.mark.parametrize(
    "name", ["Qwen3-Coder.jinja", "Qwen-Qwen3-0.6B.jinja", "meta-llama-Llama-3.1-8B-Instruct.jinja"]
)
def test_the_timeout_holds_with_any_tools(marked_path, templates, kind, name):
    source = next(path for path in templates if path.name == name).read_text(encoding="utf-8")
    tools = TOOLS[kind]()
    with Model.from_local(marked_path, threads=1, context_size=32768, chat_template=source) as model:
        agent = Agent(model, max_tokens=4, tools=tools)
        begin = time.monotonic()
        with contextlib.suppress(RunTimeoutError, ContextFullError, InvalidOutputError):
            agent.generate("hi", timeout=1.0)
        assert time.monotonic() - begin < 1.0 + SOON
