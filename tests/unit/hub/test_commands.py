"""The command line with models of a hub and of other programs."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from support import hub_server as answers

from luup_agent import catalog, cli
from luup_agent.cli import progress

pytestmark = pytest.mark.processes

REPOSITORY = "owner/tiny-GGUF"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_download_says_which_and_why(hub_server, tiny, tiny_parts, capsys):
    hub_server.add(REPOSITORY, {"tiny-Q4_0.gguf": tiny, **tiny_parts})
    hub_server.answers = [None, None, None, answers.cut(0.3)]
    assert cli.main(["download", f"hf:{REPOSITORY}"]) == 0
    captured = capsys.readouterr()
    assert captured.out.endswith("tiny-Q8_0-00001-of-00003.gguf\n")
    assert os.path.exists(captured.out.strip())
    lines = captured.err.splitlines()
    assert re.match(
        r"luup-agent: hf:owner/tiny-GGUF: Q8_0 is the best of 2 quantizations: it needs .* available", lines[0]
    )
    assert re.match(r"luup-agent: downloading hf:owner/tiny-GGUF \([\d.]+ MB\)", lines[1])
    assert "broke off" in lines[2]
    assert len(lines) == 3


def test_chat_with_a_name(hub_server, home, tiny, capsys):
    hub_server.add(REPOSITORY, {"tiny-Q4_0.gguf": tiny})
    arguments = ["--max-tokens", "4", "--context-size", "512", "--threads", "1"]
    assert cli.main(["chat", f"hf:{REPOSITORY}:q4_0", "Hi", *arguments]) == 0
    assert capsys.readouterr().out


def test_the_bar_has_the_rate_and_the_time_left(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    clock = [100.0]
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    with progress.StatusLine() as status:
        shown = progress.DownloadProgress("hf:a/b", status)
        shown(50_000_000, 250_000_000)  # of an earlier try
        clock[0] += 10
        shown(100_000_000, 250_000_000)
        clock[0] += 30
        shown(250_000_000, 250_000_000)
    frames = [frame.strip() for frame in terminal.getvalue().split("\r") if frame.strip()]
    assert frames == [
        "downloading hf:a/b [" + "#" * 4 + "." * 20 + "] 50 MB of 250 MB, 0 MB/s",
        "downloading hf:a/b [" + "#" * 9 + "." * 15 + "] 100 MB of 250 MB, 5 MB/s, 0:30 left",
        "downloading hf:a/b [" + "#" * 24 + "] 250 MB of 250 MB, 5 MB/s",
    ]


@pytest.mark.parametrize(
    ("rest", "rate", "text"),
    [
        (1000, 10, ", 1:40 left"),
        (36_610, 10, ", 1:01:01 left"),
        (0, 10, ""),
        (10, 0, ""),
        (10**9, 1, ""),
        (1, 10, ", 0:00 left"),
    ],
)
def test_the_time_left(rest, rate, text):
    assert progress.time_left(rest, rate) == text


def test_a_message_does_not_disturb_the_bar(hub_server, home, monkeypatch):
    big = b"GGUF" + bytes(3_000_000)
    hub_server.add(REPOSITORY, {"m-Q8_0.gguf": big})
    hub_server.answers = [answers.cut(0.3)]
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert cli.main(["download", f"hf:{REPOSITORY}:Q8_0"]) == 0
    before, _, after = terminal.getvalue().partition("luup-agent: m-Q8_0.gguf: ")
    assert re.search(r"\r +\r$", before)
    assert "trying again in" in after.splitlines()[0]
    assert after.endswith("\r")


def put(home, tiny):
    folder = home / ".lmstudio" / "models" / "pub" / "tiny"
    folder.mkdir(parents=True)
    (folder / "tiny-Q4_0.gguf").write_bytes(tiny)
    (folder.parent / "bad").mkdir()
    (folder.parent / "bad" / "bad.gguf").write_bytes(b"<html>")


def test_the_list_of_models(home, tiny, capsys):
    put(home, tiny)
    assert cli.main(["models"]) == 0
    title, row, _, skipped, reason, _, hint, known = capsys.readouterr().out.splitlines()
    assert title.split() == ["SIZE", "QUANT", "CONTEXT", "TOOLS", "FITS", "FROM", "MODEL"]
    size = f"{len(tiny) / 1e6:.0f}" if len(tiny) >= 9_950_000 else f"{len(tiny) / 1e6:.1f}"
    assert row.split() == [size, "MB", "Q4_0", "8192", "no", "yes", "lmstudio", "lmstudio:pub/tiny"]
    assert title.index("MODEL") == row.index("lmstudio:")
    assert skipped == "Not usable:"
    assert reason.startswith("  ~/.lmstudio/models/pub/bad/bad.gguf (lmstudio): it begins with")
    assert hint == "To download more: luup-agent download hf:owner/repo, or one of"
    assert known.startswith("  smollm2, qwen3.5-0.8b")


def test_the_list_in_a_narrow_terminal(home, tiny, capsys, monkeypatch):
    put(home, tiny)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    for columns in (40, 80, 120):
        monkeypatch.setenv("COLUMNS", str(columns))
        assert cli.main(["models"]) == 0
        listed, _, rest = capsys.readouterr().out.partition("Not usable:")
        lines = listed.splitlines() + rest.splitlines()[2:]  # without the reason, which is a sentence
        assert max(map(len, lines)) <= columns
        assert ("SIZE" in listed) == (columns > 40)
        assert "lmstudio:pub/tiny" in listed
        assert {"ministral-3-3b,", "granite-4.1-3b"} <= set(rest.split())  # no name is broken


def test_help_texts_keep_names_whole(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        cli.main(["completion", "--help"])
    assert "luup-agent completion bash" in " ".join(capsys.readouterr().out.replace("\n", " ").split())
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    columns = {
        line.index(text)
        for line in capsys.readouterr().out.splitlines()
        for text in ("ask a model one", "print a completion script", "check the installation")
        if text in line
    }
    assert len(columns) == 1


def test_the_list_as_json(home, tiny, capsys):
    put(home, tiny)
    assert cli.main(["models", "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    (model,), (skipped,) = value["models"], value["skipped"]
    assert model["name"] == "lmstudio:pub/tiny"
    assert (model["size"], model["tools"], model["fits"], model["context_size"]) == (len(tiny), False, True, 8192)
    assert skipped["path"].endswith("bad.gguf")


def test_no_models(home, capsys):
    assert cli.main(["models"]) == 0
    assert capsys.readouterr().out.startswith("There are no models on this machine yet.\n")


def test_rm(home, tiny, capsys):
    put(home, tiny)
    own = catalog.cache_folder() / "mine.gguf"
    own.parent.mkdir(parents=True)
    own.write_bytes(tiny)
    assert cli.main(["models", "rm", "lmstudio:pub/tiny"]) == 1
    assert "was not deleted: it belongs to LM Studio" in capsys.readouterr().err
    assert cli.main(["models", "rm", "mine.gguf"]) == 0
    assert capsys.readouterr().out == f"{own}\n"
    assert not own.exists()
    for arguments in (["models", "rm"], ["models", "shred"]):
        with pytest.raises(SystemExit) as end:
            cli.main(arguments)
        assert end.value.code == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["download", "owner/repo"], "for a repository on a hub write hf:owner/repo"),
        (["chat", "owner/repo", "Hi"], "for a repository on a hub write hf:owner/repo"),
        (["download", "hf:owner"], "is not the name of a model on a hub; write hf:owner/repo"),
        (["chat", "ollama:no", "Hi"], "run `ollama pull no`"),
        (["download", "hf:owner/none"], "has no repository 'owner/none'"),
    ],
)
def test_an_error_is_one_line(arguments, message, hub_server, capsys):
    assert cli.main(arguments) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_an_example_takes_a_name(hub_server, tiny):
    hub_server.add(REPOSITORY, {"tiny-Q4_0.gguf": tiny})
    example = Path(__file__).resolve().parents[3] / "examples" / "basic_chat.py"
    result = subprocess.run(
        [sys.executable, "-W", "error", str(example), f"hf:{REPOSITORY}:Q4_0"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert "5 messages" in result.stdout


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize("sent", ["SIGINT", "SIGKILL"])
def test_a_download_that_is_interrupted_goes_on_later(sent, hub_server, home):
    big = b"GGUF" + os.urandom(6_000_000)
    hub_server.add(REPOSITORY, {"m-Q8_0.gguf": big})
    waiting = threading.Event()

    def stall(handler, content):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[:4_000_000])
        handler.wfile.flush()
        waiting.wait(60)
        handler.close_connection = True

    hub_server.answers = [stall]
    command = [sys.executable, "-m", "luup_agent", "download", f"hf:{REPOSITORY}:Q8_0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 60
        while sum(path.stat().st_size for path in home.rglob("*.incomplete")) < 3_000_000:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(getattr(signal, sent))
        out, error = process.communicate(timeout=30)
    finally:
        process.kill()
        waiting.set()
    assert process.returncode == (130 if sent == "SIGINT" else -signal.SIGKILL)
    assert out == ""
    assert "Traceback" not in error
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0
    assert re.search(r"of which [34] MB are there", result.stderr)
    assert Path(result.stdout.strip()).read_bytes()[-1000:] == big[-1000:]
    assert hub_server.bytes[-1].range is not None
