"""``luup-agent chat`` with the real model: one answer, lines of stdin, and a conversation in a terminal."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time

import pytest

from luup_agent import Agent, Model, cli

GREEDY = ["--temperature", "0", "--max-tokens", "24"]
LONG = ["--temperature", "0", "--max-tokens", "4000", "--stop", "a text that never comes"]
STORY = "Write a very long story about a whale."

posix = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals and terminals")


def command(model_path, *arguments):
    # One thread: several would wait for each other on a busy machine.
    return [sys.executable, "-m", "luup_agent", "chat", str(model_path), "--threads", "1", *arguments]


def greedy_answers(model_path, *messages):
    """Return the answers of the Python API, one for each message."""
    with Model.from_local(model_path, threads=1) as model:
        agent = Agent(model, cli.SYSTEM_PROMPT, temperature=0, max_tokens=24)
        return [agent.generate(message) for message in messages]


# One answer


def test_the_capital_of_france(model_path, capsys):
    assert cli.main(["chat", str(model_path), "What is the capital of France?", "--temperature", "0"]) == 0
    captured = capsys.readouterr()
    assert "Paris" in captured.out
    assert captured.out.endswith("\n")
    assert captured.err == ""


def test_the_options_reach_the_agent(model_path, capsys):
    options = {
        "temperature": 0.9,
        "top_p": 0.8,
        "top_k": 20,
        "min_p": 0.01,
        "repeat_penalty": 1.1,
        "seed": 7,
        "max_tokens": 12,
        "stop": ["XYZ", "QQQ"],
    }
    with Model.from_local(model_path, context_size=512, threads=1, gpu_layers=0, cache_type="q4_0") as model:
        expected = Agent(model, "You are a pirate.", **options).generate("Hello!")
    arguments = ["--system", "You are a pirate.", "--context-size", "512", "--threads", "1", "--gpu-layers", "0"]
    arguments += ["--cache-type", "q4_0"]
    for name, value in options.items():
        for item in value if isinstance(value, list) else [value]:
            arguments += ["--" + name.replace("_", "-"), str(item)]
    assert cli.main(["chat", str(model_path), "Hello!", *arguments]) == 0
    assert capsys.readouterr().out == expected + "\n"


def test_a_stop_text_ends_the_answer(model_path, capsys):
    assert cli.main(["chat", str(model_path), "What is the capital of France?", *GREEDY, "--stop", "Paris"]) == 0
    captured = capsys.readouterr()
    assert "Paris" not in captured.out
    assert captured.out.strip()


def test_a_cut_answer_is_told_on_stderr(model_path, capsys):
    assert cli.main(["chat", str(model_path), STORY, "--temperature", "0", "--max-tokens", "5"]) == 0
    assert capsys.readouterr().err == "[cut off after 5 tokens; raise --max-tokens or --context-size]\n"


def test_no_limit_of_tokens_ends_with_the_context(model_path, capsys):
    code = cli.main(
        ["chat", str(model_path), STORY, "--temperature", "0", "--max-tokens", "-1", "--context-size", "256"]
    )
    captured = capsys.readouterr()
    assert len(captured.out.split()) > 50
    assert code == 0
    assert captured.err.startswith("[cut off after ")


def test_verbose_tells_speeds(model_path, capsys):
    assert cli.main(["chat", str(model_path), "Hi", *GREEDY, "--verbose"]) == 0
    line = capsys.readouterr().err.splitlines()[-1]
    assert "tokens/s; prompt of " in line
    assert "first token after " in line


def test_very_verbose_tells_the_librarys_log(model_path):
    result = subprocess.run(command(model_path, "Hi", *GREEDY, "-vv"), capture_output=True, text=True)
    assert result.returncode == 0
    assert "luup_agent: " in result.stderr
    assert "tokens/s; prompt of " in result.stderr
    assert "luup_agent: " not in result.stdout


def test_an_empty_system_prompt_leaves_it_to_the_model(model_path, capsys):
    with Model.from_local(model_path) as model:
        expected = Agent(model, temperature=0, max_tokens=24).generate("Who are you?")
    assert cli.main(["chat", str(model_path), "Who are you?", *GREEDY, "--system", ""]) == 0
    assert capsys.readouterr().out == expected + "\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["Hi", "--temperature", "-1"], "temperature"),
        (["Hi", "--top-p", "2"], "top_p"),
        (["Hi", "--context-size", "1"], "context_size"),
        (["Hi", "--cache-type", "q3_k"], "cache_type"),
        (["Hi", "--seed", "-5"], "seed"),
        (["Hi", "--stop", ""], "stop"),
        ([""], "message"),
        (["word " * 600, "--context-size", "256"], "256"),
    ],
)
def test_a_bad_value_is_one_line_on_stderr(arguments, message, model_path, capsys):
    assert cli.main(["chat", str(model_path), *arguments]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("luup-agent: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err


def test_a_file_that_is_no_model(tmp_path, capsys):
    (tmp_path / "bad.gguf").write_bytes(b"no model" * 100)
    assert cli.main(["chat", str(tmp_path / "bad.gguf"), "Hi"]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("luup-agent: ")
    assert captured.err.count("\n") == 1


@contextlib.contextmanager
def endless_answer(model_path):
    """Start a process that writes a story; return it once it has begun."""
    process = subprocess.Popen(
        command(model_path, STORY, *LONG), stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    with process:
        try:
            assert process.stdout.read(20)
            yield process
        finally:
            process.kill()


@posix
def test_ctrl_c_ends_one_answer_with_130(model_path):
    with endless_answer(model_path) as process:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=300)
        assert process.returncode == 130
        assert err == b""


@posix
def test_a_reader_that_goes_away_is_no_error(model_path):
    with endless_answer(model_path) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(300) == 141


# Lines of stdin


def test_each_line_of_stdin_is_a_turn_of_one_conversation(model_path):
    messages = ["My name is Ann.", "What is my name?"]
    result = subprocess.run(
        command(model_path, *GREEDY), input="My name is Ann.\n\n  \nWhat is my name?", capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout == "".join(answer + "\n" for answer in greedy_answers(model_path, *messages))


def test_no_line_no_answer(model_path):
    result = subprocess.run(command(model_path), stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_a_line_that_is_no_text_is_refused(model_path):
    result = subprocess.run(command(model_path, *GREEDY), input=b"caf\xe9\n", capture_output=True)
    assert result.returncode == 1
    assert result.stderr.startswith(b"luup-agent: stdin is not UTF-8"), result.stderr


# A conversation


@pytest.fixture(autouse=True)
def no_history(tmp_path, monkeypatch):
    """Keep the messages of the tests out of the user's history."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


class Conversation:
    """The command in a pseudo-terminal."""

    def __init__(self, model_path, *arguments):
        import pty

        self.master, slave = pty.openpty()
        environment = {**os.environ, "TERM": "dumb"}
        self.process = subprocess.Popen(
            command(model_path, *arguments), stdin=slave, stdout=slave, stderr=slave, env=environment
        )
        os.close(slave)
        self.seen = ""

    def read_until(self, text, seconds=300):
        """Return the output of the terminal since the last call, up to `text`."""
        end = time.monotonic() + seconds
        while text not in self.seen:
            assert time.monotonic() < end, f"{text!r} did not come; seen: {self.seen!r}"
            if select.select([self.master], [], [], 0.1)[0]:
                try:
                    self.seen += os.read(self.master, 4096).decode("utf-8", "replace")
                except OSError:  # the other end is closed
                    raise AssertionError(f"{text!r} did not come; seen: {self.seen!r}") from None
        before, _, self.seen = self.seen.partition(text)
        return before

    def type(self, text):
        os.write(self.master, text.encode())

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)


@posix
def test_a_conversation(model_path):
    first, second = greedy_answers(model_path, "My name is Ann.", "What is my name?")
    (fresh,) = greedy_answers(model_path, "What is my name?")
    with Conversation(model_path, *GREEDY) as chat:
        headline = chat.read_until("> ")
        assert "context of" in headline
        assert "on CPU (" in headline
        for message, answer in (("My name is Ann.", first), ("What is my name?", second)):
            chat.type(message + "\n")
            assert answer in chat.read_until("\n> ").replace("\r\n", "\n")
        chat.type("/help\n")
        assert "/clear" in chat.read_until("\n> ")
        chat.type("/nonsense\n")
        assert "There is no command /nonsense" in chat.read_until("\n> ")
        chat.type("\n")
        chat.read_until("> ")
        chat.type("/clear\n")
        assert "Started a new conversation" in chat.read_until("\n> ")
        chat.type("What is my name?\n")
        assert fresh in chat.read_until("\n> ").replace("\r\n", "\n")
        chat.type("/exit\n")
        assert chat.process.wait(300) == 0


@posix
def test_ctrl_c_stops_the_answer_and_not_the_program(model_path):
    (fresh,) = greedy_answers(model_path, "What is the capital of France?")
    with Conversation(model_path, *LONG) as chat:
        chat.read_until("> ")
        chat.type(STORY + "\n")
        chat.read_until("whale")  # the echo
        chat.read_until(" ")
        time.sleep(0.3)
        chat.process.send_signal(signal.SIGINT)
        chat.read_until("[stopped")
        chat.read_until("\n> ")
        chat.type("/undo\n")  # else the broken-off answer would stay
        chat.read_until("Removed the last message")
        chat.read_until("\n> ")
        chat.type("What is the capital of France?\n")
        assert fresh.strip()[:20] in chat.read_until("\n> ").replace("\r\n", "\n")
        chat.type("/exit\n")
        assert chat.process.wait(300) == 0


@posix
@pytest.mark.parametrize("typed", ["\x04", "exit\n", "quit\n", "/quit\n"])
def test_leaving_at_the_prompt(typed, model_path):
    with Conversation(model_path) as chat:
        chat.read_until("> ")
        time.sleep(0.2)
        chat.type(typed)
        assert chat.process.wait(300) == 0
        with pytest.raises(AssertionError, match="did not come"):
            chat.read_until("Traceback", seconds=1)


@posix
def test_an_error_does_not_end_the_conversation(model_path):
    with Conversation(model_path, "--context-size", "256", *GREEDY) as chat:
        chat.read_until("> ")
        chat.type("word " * 300 + "\n")
        chat.read_until("luup-agent: ")
        chat.read_until("\n> ")
        chat.type("Hi\n")
        assert chat.read_until("\n> ").strip()
        chat.type("/exit\n")
        assert chat.process.wait(300) == 0


@posix
def test_ctrl_c_at_the_prompt_clears_the_line_and_keeps_the_conversation(model_path):
    _, second = greedy_answers(model_path, "My name is Ann.", "What is my name?")
    with Conversation(model_path, *GREEDY) as chat:
        chat.read_until("> ")
        chat.type("My name is Ann.\n")
        chat.read_until("\n> ")
        chat.type("Forget")
        chat.read_until("Forget")
        time.sleep(0.3)  # Python's readline misses a signal that comes right after a key
        chat.process.send_signal(signal.SIGINT)
        chat.read_until("\n> ")
        chat.type("What is my name?\n")
        assert second in chat.read_until("\n> ").replace("\r\n", "\n")


@posix
def test_three_quotes_begin_a_message_of_several_lines(model_path):
    (expected,) = greedy_answers(model_path, "What is the capital of\nFrance?")
    with Conversation(model_path, *GREEDY) as chat:
        chat.read_until("> ")
        chat.type('"""What is the capital of\n')
        chat.read_until("... ")
        chat.type('France?"""\n')
        assert expected in chat.read_until("\n> ").replace("\r\n", "\n")


@posix
def test_lines_typed_during_an_answer_are_the_next_messages(model_path):
    (expected,) = greedy_answers(model_path, "What is the capital of France?")
    with Conversation(model_path, *LONG) as chat:
        chat.read_until("> ")
        chat.type(STORY + "\n")
        chat.read_until("whale")  # the echo
        chat.read_until(" whale")
        chat.type("/clear\nWhat is the capital of France?\n/hel")
        time.sleep(0.5)
        chat.process.send_signal(signal.SIGINT)
        chat.read_until("> /clear")
        chat.read_until("> What is the capital of France?")
        assert expected.strip()[:20] in chat.read_until("\n> ").replace("\r\n", "\n")
        chat.type("p\n")  # behind the line that was begun
        chat.read_until("/tokens")
