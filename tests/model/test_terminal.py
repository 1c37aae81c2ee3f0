"""``luup-agent chat`` in a terminal with rich and prompt_toolkit, as a user sees it, with the real model."""

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time

import pytest

pytest.importorskip("rich")
pytest.importorskip("prompt_toolkit")
pytest.importorskip("pyte")
if os.name == "nt":
    pytest.skip("needs POSIX terminals", allow_module_level=True)

from support.terminal import ALT_ENTER, CTRL_C, CTRL_D, ENTER, TAB, UP, Terminal, chat

from luup_agent import Agent, Model, cli

GREEDY = ["--temperature", "0", "--max-tokens", "24", "--threads", "1"]
LONG = ["--temperature", "0", "--max-tokens", "4000", "--threads", "1"]
STORY = "Write a very long story about a whale."
PROMPT = "\u276f"

APP = '''
from luup_agent import Agent
from luup_agent.testing import Reply, ScriptedModel, tool_call
from luup_agent.tools import Tool


def weather(city: str) -> str:
    """Returns the weather."""
    return f"It is sunny in {city}."


def delete(path: str) -> str:
    """Deletes a file."""
    return f"deleted {path}"


def agent_of(*replies):
    return Agent(ScriptedModel(list(replies)), "You help.", tools=[weather, Tool(delete, requires_approval=True)])


tools = agent_of(tool_call("weather", city="Paris"), "It is **sunny**.", tool_call("delete", path="a.txt"), "Done.")
markdown = agent_of("""# Title

A paragraph of text that is longer than forty columns, with **bold** words and `code`.

- one
- two

| Name | Length |
|------|-------:|
| Orca | 8 m |

```python
def area(width):
    return width * 2
```

[a link](https://example.org/page)

The end.""")
many = agent_of("\\n\\n".join(f"Paragraph {number} of the answer." for number in range(50)))
code = agent_of("```text\\n" + "\\n".join(f"line {number} of the code" for number in range(60)) + "\\n```\\nThe end.")
def fail() -> str:
    """Fails."""
    raise ZeroDivisionError("by zero")


raising = Agent(
    ScriptedModel([tool_call("fail"), "Still here."]), tools=[Tool(fail, on_error="raise")], keep_history="on_success"
)
thinking = agent_of(Reply(text="The sum is **4**.", reasoning="I count on my fingers."))
evil = agent_of("a\\x1b]0;title\\x07b\\x1b[2Jc\\x9b31md")
'''


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Work in a folder with the agents, and keep the messages of the tests out of the user's history."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "app.py").write_text(APP, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def answers(model_path, *messages, **options):
    """Return the answers of the Python API, one for each message."""
    with Model.from_local(model_path, threads=1) as model:
        agent = Agent(model, cli.SYSTEM_PROMPT, **{"temperature": 0, "max_tokens": 24, **options})
        return [agent.generate(message) for message in messages]


def flat(text):
    """Return a text without the places where a window wraps it."""
    return " ".join(text.split())


def start(*arguments, **options):
    terminal = Terminal(chat(*arguments), **options)
    terminal.wait_for(PROMPT)
    return terminal


# The answer


def test_a_conversation(model_path):
    first, second = answers(model_path, "My name is Ann.", "What is my name?")
    with start(model_path, *GREEDY) as terminal:
        assert "context of 8192 tokens" in flat(terminal.text())
        terminal.type("My name is Ann." + ENTER)
        terminal.wait_for(PROMPT, count=2)
        assert flat(first) in flat(terminal.text())
        terminal.type("What is my name?" + ENTER)
        terminal.wait_for(PROMPT, count=3)
        assert flat(second) in flat(terminal.text())
        terminal.wait_for("of 8,192 tokens")
        terminal.type(CTRL_D)
        assert terminal.wait() == 0


def test_markdown_is_rendered():
    with start("app.py:markdown", columns=60, rows=40) as terminal:
        terminal.type("Go" + ENTER)
        terminal.wait_for("The end.")
        rows = terminal.rows()
        assert "Title" in rows
        assert " \u2022 one" in rows
        assert any("Orca" in row and "8 m" in row and "|" not in row for row in rows)
        assert "      return width * 2" in rows
        assert "a link (https://example.org/page)" in rows
        assert "**" not in terminal.text()
        assert "```" not in terminal.text()
        assert terminal.style_of("bold").bold
        assert terminal.style_of("Title").bold
        assert terminal.style_of("return").fg != "default"


def test_words_wrap_at_forty_columns():
    with start("app.py:markdown", columns=40, rows=50) as terminal:
        terminal.type("Go" + ENTER)
        terminal.wait_for("The end.")
        assert "A paragraph of text that is longer than" in terminal.rows()
        assert "forty columns, with bold words and code." in terminal.rows()


def test_a_window_that_becomes_narrow(model_path):
    with start(model_path, *LONG, columns=80, rows=30) as terminal:
        terminal.type(STORY + ENTER)
        terminal.wait_for("whale", count=4)
        terminal.resize(40, 30)
        written = len(terminal.text())
        terminal.wait_until(lambda: len(terminal.text()) > written + 200, "further text")
        terminal.type(CTRL_C)
        terminal.wait_for("stopped")
        assert all(len(row) <= 40 for row in terminal.rows())


def test_no_color():
    with start("app.py:markdown", rows=40, NO_COLOR="1") as terminal:
        terminal.type("Go" + ENTER)
        terminal.wait_for("The end.")
        assert terminal.style_of("return").fg == "default"
        assert terminal.style_of("bold").bold  # a form, not a colour


@pytest.mark.parametrize(
    ("agent", "form", "count"), [("many", "Paragraph {} of the answer.", 50), ("code", "line {} of the code", 60)]
)
def test_an_answer_longer_than_the_screen_is_written_once(agent, form, count):
    with start(f"app.py:{agent}", rows=15) as terminal:
        terminal.type("Go" + ENTER)
        terminal.wait_for(PROMPT, count=2)
        text = terminal.text()
        assert [text.count(form.format(number)) for number in range(count)] == [1] * count


def test_control_characters_of_a_model_do_not_reach_the_terminal():
    with start("app.py:evil") as terminal:
        terminal.type("Go" + ENTER)
        terminal.wait_for("]0;title")
        assert b"\x1b]0;title" not in terminal.raw
        assert b"\x1b[2J" not in terminal.raw


def test_thoughts_look_different_from_the_answer():
    with start("app.py:thinking") as terminal:
        terminal.type("2 + 2?" + ENTER)
        terminal.wait_for("The sum is 4.")
        assert terminal.style_of("I count on my fingers.").italics
        assert not terminal.style_of("The sum is").italics


def test_an_answer_without_a_conversation_is_rendered_too():
    with Terminal(chat("app.py:markdown", "Go")) as terminal:
        assert terminal.wait() == 0
        assert "**" not in terminal.text()
        assert terminal.style_of("The end.")


def test_plain_by_option():
    with Terminal(chat("app.py:markdown", "Go", "--plain")) as terminal:
        assert terminal.wait() == 0
        assert "**bold**" in terminal.text()


@pytest.mark.slow
def test_a_long_prefill_shows_its_progress(model_path, tmp_path):
    (tmp_path / "long.txt").write_text("\n".join(f"The mill and the bridge, number {n}." for n in range(500)), "utf-8")
    command = f"cat long.txt | {' '.join(chat(model_path, 'Summarize', '--threads', 1, '--max-tokens', 4))}"
    with Terminal(["sh", "-c", command]) as terminal:
        terminal.wait_until(lambda: re.search(r"tokens/s, \d+:\d\d left", terminal.text()), "time left")
        assert "reading \u2501" in terminal.text()
        assert terminal.wait(300) == 0  # on a busy machine
        assert "reading" not in terminal.text()


def test_without_the_packages_it_is_plain():
    source = (
        "import sys; sys.modules['rich'] = sys.modules['prompt_toolkit'] = None; from luup_agent import cli; "
        "sys.exit(cli.main(sys.argv[1:]))"
    )
    with Terminal([sys.executable, "-c", source, "chat", "app.py:markdown"]) as terminal:
        terminal.wait_for("\n>")
        terminal.type("Go" + ENTER)
        terminal.wait_for("The end.")
        assert "**bold**" in terminal.text()
        terminal.wait_for("\n>", count=2)
        terminal.type(UP)
        terminal.wait_for("> Go", count=2)
        time.sleep(0.3)  # Python's readline misses a signal that comes right after a key
        terminal.type(CTRL_C)
        terminal.wait_for("[Ctrl-D leaves]")
        terminal.type(CTRL_D)
        assert terminal.wait() == 0


# Tools


def test_tool_calls_and_approvals():
    with start("app.py:tools") as terminal:
        terminal.type("Weather?" + ENTER)
        terminal.wait_for("It is sunny.")
        assert '\u2192 weather(city="Paris")' in terminal.rows()
        assert "\u2190 It is sunny in Paris." in terminal.rows()
        terminal.wait_for(PROMPT, count=2)
        terminal.type("Delete" + ENTER)
        terminal.wait_for("Allow delete? [y/n]")
        assert terminal.text().count('delete(path="a.txt")') == 1
        terminal.type("maybe" + ENTER)
        terminal.wait_for("Allow delete? [y/n]", count=2)
        terminal.type("y" + ENTER)
        terminal.wait_for("deleted a.txt")
        terminal.wait_for("Done.")


def test_a_denied_call_does_not_run():
    with start("app.py:tools") as terminal:
        terminal.type("Weather?" + ENTER)
        terminal.wait_for(PROMPT, count=2)
        terminal.type("Delete" + ENTER)
        terminal.wait_for("Allow delete? [y/n]")
        terminal.type("n" + ENTER)
        terminal.wait_for("Done.")
        assert "deleted" not in terminal.text()


def test_an_exception_of_a_tool_does_not_end_the_conversation():
    with start("app.py:raising") as terminal:
        terminal.type("Go" + ENTER)
        terminal.wait_for("ZeroDivisionError: by zero")
        terminal.type("Are you there?" + ENTER)
        terminal.wait_for("Still here.")
        assert "Traceback" not in terminal.text()


# Keys


def test_ctrl_c_stops_the_answer_which_is_kept(model_path, folder):
    with start(model_path, *LONG) as terminal:
        terminal.type(STORY + ENTER)
        terminal.wait_for("whale", count=3)
        terminal.type(CTRL_C)
        terminal.wait_for("stopped; the answer so far is kept")
        terminal.wait_for(PROMPT, count=2)
        terminal.type("/save talk.json" + ENTER)
        terminal.wait_for("Saved 3 messages to talk.json.")
        roles = [message["role"] for message in json.loads((folder / "talk.json").read_text("utf-8"))["messages"]]
        assert roles == ["system", "user", "assistant"]
        terminal.type("/undo" + ENTER)
        terminal.wait_for("Removed the last message")
        terminal.type("/save talk.json" + ENTER)
        terminal.wait_for("Saved 1 messages to talk.json.")


def test_ctrl_c_at_the_prompt_clears_the_line_and_keeps_the_conversation(model_path):
    _, second = answers(model_path, "My name is Ann.", "What is my name?")
    with start(model_path, *GREEDY) as terminal:
        terminal.type("My name is Ann." + ENTER)
        terminal.wait_for(PROMPT, count=2)
        terminal.type("Forget it")
        terminal.wait_for("Forget it")
        terminal.type(CTRL_C)
        terminal.wait_until(lambda: "Forget it" not in terminal.text(), "cleared line")
        terminal.type(CTRL_C)  # of an empty line
        terminal.wait_for("Ctrl-D leaves")
        terminal.type("What is my name?" + ENTER)
        terminal.wait_for(PROMPT, count=4)
        assert flat(second) in flat(terminal.text())


def test_what_is_typed_during_an_answer_waits_for_the_prompt(model_path):
    (fresh,) = answers(model_path, "What is the capital of France?", max_tokens=4000)
    with start(model_path, *LONG) as terminal:
        terminal.type(STORY + ENTER)
        terminal.wait_for("whale", count=3)
        terminal.type("/clear" + ENTER + "What is the capital of France?" + ENTER + "half a li")
        time.sleep(0.5)
        terminal.read()
        assert "capital" not in terminal.text()  # not in the middle of the answer
        terminal.type(CTRL_C)
        terminal.wait_for("Started a new conversation")
        terminal.wait_for(fresh)
        terminal.wait_for(PROMPT + " half a li")


def test_a_paste_of_several_lines_is_one_message(model_path):
    message = "What is\nthe capital\nof France?"
    (expected,) = answers(model_path, message)
    with start(model_path, *GREEDY) as terminal:
        terminal.paste(message)
        terminal.wait_for("of France?")
        time.sleep(0.3)
        assert terminal.text().count("Paris") == 0  # not sent yet
        terminal.type(ENTER)
        terminal.wait_for(PROMPT, count=2)
        assert flat(expected) in flat(terminal.text())


@pytest.mark.parametrize(
    "typed",
    [
        "What is the capital" + ALT_ENTER + "of France?" + ENTER,
        '"""What is the capital' + ENTER + 'of France?"""' + ENTER,
    ],
)
def test_messages_of_several_lines(typed, model_path):
    (expected,) = answers(model_path, "What is the capital\nof France?")
    with start(model_path, *GREEDY) as terminal:
        terminal.type(typed)
        terminal.wait_for(PROMPT, count=2)
        assert flat(expected) in flat(terminal.text())


def test_tab_completes_commands_settings_and_files():
    with start("app.py:many") as terminal:
        terminal.type("/tok" + TAB)
        terminal.wait_for(PROMPT + " /tokens")
        terminal.type(CTRL_C + "/set presence" + TAB)
        terminal.wait_for(PROMPT + " /set presence_penalty")
        terminal.type(CTRL_C + "/load ap" + TAB)
        terminal.wait_for(PROMPT + " /load app.py")


def test_the_history_is_kept_across_conversations(folder):
    for _ in range(2):
        with start("app.py:many") as terminal:
            terminal.type("Remember this" + ENTER)
            terminal.wait_for("Paragraph 49")
            terminal.wait_for(PROMPT, count=2)
            terminal.type(" /set seed 1" + ENTER)
            terminal.wait_for("seed = 1")
            terminal.type(CTRL_D)
            terminal.wait()
    file = folder / "state" / "luup-agent" / "chat_history"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "seed" not in file.read_text("utf-8")
    with start("app.py:many") as terminal:
        terminal.type(UP)
        terminal.wait_for(PROMPT + " Remember this")


# Commands


def test_commands(model_path):
    first, other = answers(model_path, "My name is Ann.", "What is my name?")
    with start(model_path, *GREEDY, rows=50) as terminal:

        def command(text, expected):
            terminal.type(text + ENTER)
            terminal.wait_for(expected)

        command("/help", "/tokens")
        command("/sve x", "did you mean /save")
        command("/image cat.png", "can't be read")
        command("/set temperature 500", "temperature must be")
        command("/set temperature warm", "temperature must be a number, got 'warm'")
        command("/set temprature 1", "did you mean temperature?")
        command("/set max-tokens 3", "max_tokens = 3")
        command("My name is Ann.", "cut off after 3 tokens; /set max_tokens raises the limit")
        command("/set max_tokens default", "max_tokens = 24")
        command("/retry", flat(first)[:30])
        command("/tokens", "of 8,192 tokens")
        command("/save talk.json", "Saved 3 messages")
        command("/clear", "Started a new conversation")
        command("/undo", "The last command is undone.")
        command("/save talk.json", "Saved 3 messages")
        command("/system You are a pirate.", "The system prompt is changed.")
        command("/system", "You are a pirate.")
        command("/load nosuch.json", "nosuch.json can't be read: No such file or directory")
        command("/load app.py", "app.py is not valid JSON")
        command("/load talk.json", "Loaded 2 messages from talk.json")
        command("/system", cli.SYSTEM_PROMPT)
        terminal.type("What is my name?" + ENTER)
        terminal.wait_until(lambda: flat(other) in flat(terminal.text()), "the answer to the loaded conversation")
        terminal.type("exit" + ENTER)
        assert terminal.wait() == 0


def test_a_path_is_a_message_and_not_a_command():
    with start("app.py:many") as terminal:
        terminal.type("/usr/bin/env is what?" + ENTER)
        terminal.wait_for("Paragraph 49")


def test_an_error_does_not_end_the_conversation(model_path):
    with start(model_path, "--context-size", "256", *GREEDY, "--max-tokens", "4") as terminal:
        terminal.paste("word " * 400)
        terminal.type(ENTER)
        terminal.wait_for("context holds 256")
        terminal.type("Hi" + ENTER)
        terminal.wait_for(PROMPT + " Hi")
        terminal.wait_for("/set max_tokens raises")
        assert terminal.process.poll() is None


# A terminal that wraps its lines again


@pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux")
def test_tmux_that_becomes_narrow_and_wide(model_path, tmp_path):
    socket = str(tmp_path / "tmux")

    # Without the COLUMNS that pytest's readline puts into the environment of children.
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}

    def tmux(*arguments):
        command = ["tmux", "-S", socket, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout

    def screen():
        return tmux("capture-pane", "-p", "-J", "-S", "-200")

    def wait_for(condition, name):
        end = time.monotonic() + 120
        while not condition(screen()):
            assert time.monotonic() < end, f"no {name}: {screen()}"
            time.sleep(0.1)

    program = "exec " + " ".join(chat(model_path, "--temperature", 0, "--threads", 1, "--max-tokens", 150))
    tmux("-f", os.devnull, "new-session", "-d", "-x", 80, "-y", 24, program)
    try:
        wait_for(lambda text: PROMPT in text, "prompt")
        pid = int(tmux("display-message", "-p", "#{pane_pid}"))
        tmux("send-keys", "-l", STORY)
        tmux("send-keys", "Enter")
        for size in (60, 40, 70):
            before = len(screen())
            wait_for(lambda text: len(text) > before + 60 or text.count(PROMPT) > 1, "text")  # noqa: B023
            os.kill(pid, signal.SIGSTOP)  # tmux tells the program up to a quarter of a second later
            tmux("resize-window", "-x", size, "-y", 24)
            time.sleep(0.6)
            os.kill(pid, signal.SIGCONT)
        wait_for(lambda text: text.count(PROMPT) > 1, "end of the answer")
        (expected,) = answers(model_path, STORY, max_tokens=150)
        assert flat(expected) in flat(screen())
    finally:
        tmux("kill-server")
