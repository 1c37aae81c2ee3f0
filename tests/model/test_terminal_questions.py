"""An MCP server's questions in ``luup-agent chat``, in a real terminal, with and without rich."""

import os
from pathlib import Path

import pytest

pytest.importorskip("mcp")
pytest.importorskip("pyte")
if os.name == "nt":
    pytest.skip("needs POSIX terminals", allow_module_level=True)

from support.terminal import CTRL_C, CTRL_D, ENTER, Terminal, chat

pytestmark = pytest.mark.processes

APP = """
import sys
sys.path.insert(0, {tests!r})
from support.mcp_questions import make
from luup_agent import MCP, Agent
from luup_agent.testing import FunctionModel, tool_call

def answer(request):
    if request.prompt != "A room":
        return "You wrote " + request.prompt
    results = [message for message in request.messages if message.role == "tool"]
    return "Result: " + results[-1].content if results else [tool_call("book", city="Oslo")]

hotel = Agent(FunctionModel(answer), toolsets=[MCP(make(), on_elicitation="user", timeout=120)])
"""


@pytest.fixture(params=["rich", "plain"])
def terminal(request, tmp_path):
    if request.param == "rich":
        pytest.importorskip("rich")
        pytest.importorskip("prompt_toolkit")
    (tmp_path / "app.py").write_text(APP.format(tests=str(Path(__file__).parents[1])))
    plain = ["--plain"] if request.param == "plain" else []
    environment = {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)}
    with Terminal(chat("app.py:hotel", *plain), columns=100, cwd=str(tmp_path), **environment) as opened:
        opened.wait_for("/help")
        yield opened


def ask(terminal, *lines):
    terminal.type(f"A room{ENTER}")
    for question, line in lines:
        terminal.wait_for(question)
        terminal.type(line + ENTER)


def test_a_form_is_filled_in(terminal):
    ask(
        terminal,
        ("Guests (a whole number):", "99"),
        ("Guests needs at most 8", "3"),
        ("Room (one of single, double):", "double"),
        ("Breakfast (y or n):", "y"),
        ("Note", ""),
    )
    terminal.wait_for("Result: 3 in a double room in Oslo, with breakfast, no note")
    assert "hotel asks: A room in <img src=x onerror=alert(1)>?" in terminal.text()
    terminal.type(f"Hello{ENTER}")
    terminal.wait_for("You wrote Hello")
    terminal.type(CTRL_D)
    assert terminal.wait() == 0


def test_an_empty_line_declines(terminal):
    ask(terminal, ("Guests (a whole number):", ""))
    terminal.wait_for("decline")
    terminal.type(f"Hello{ENTER}")
    terminal.wait_for("You wrote Hello")


def test_ctrl_c_ends_the_question_and_the_next_line_is_a_message(terminal):
    ask(terminal, ("Guests (a whole number):", "2"))
    terminal.wait_for("Room (one of single, double):")
    terminal.type(CTRL_C)
    terminal.wait_for("stopped")
    terminal.type(f"Hello{ENTER}")
    terminal.wait_for("You wrote Hello")


def test_without_a_terminal_the_question_is_cancelled(tmp_path, child):
    (tmp_path / "app.py").write_text(APP.format(tests=str(Path(__file__).parents[1])))
    code = "import sys; from luup_agent import cli; sys.exit(cli.main(['chat', sys.argv[1], 'A room']))"
    done = child(code, f"{tmp_path / 'app.py'}:hotel")
    assert done.returncode == 0, done.stderr
    assert "cancel" in done.stdout
