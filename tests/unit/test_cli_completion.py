"""The completion scripts, in the real shells."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from luup_agent import cli

pytestmark = pytest.mark.processes

BASH_TRY = """
. ./script
try() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _luup_agent; printf '%s\\n' "${COMPREPLY[@]}"; }
try "$@"
"""
CASES = [
    (["luup-agent", "ch"], "chat"),
    (["luup-agent", "chat", "smol"], "smollm2"),
    (["luup-agent", "chat", "tal"], "tale.gguf"),
    (["luup-agent", "chat", "smollm2", "--temp"], "--temperature"),
    (["luup-agent", "chat", "smollm2", "--schema", "mov"], "movie.json"),
    (["luup-agent", "serve", "--max-w"], "--max-waiting"),
    (["luup-agent", "models", "r"], "rm"),
    (["luup-agent", "completion", "fi"], "fish"),
]


@pytest.fixture
def script(tmp_path, capsys, monkeypatch):
    """Write the script of a shell into a folder with two files, and return its path."""

    def write(shell):
        assert cli.main(["completion", shell]) == 0
        path = tmp_path / "script"
        path.write_text(capsys.readouterr().out, encoding="utf-8")
        (tmp_path / "tale.gguf").touch()
        (tmp_path / "movie.json").touch()
        monkeypatch.chdir(tmp_path)
        return path

    return write


def need(shell):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")


@pytest.mark.parametrize(("words", "expected"), CASES)
def test_bash(words, expected, script):
    need("bash")
    script("bash")
    result = subprocess.run(
        ["bash", "--norc", "-c", BASH_TRY, "bash", *words], capture_output=True, text=True, timeout=60
    )
    assert expected in result.stdout.split()


def test_bash_completes_no_word_for_a_number(script):
    need("bash")
    script("bash")
    words = ["luup-agent", "chat", "x", "--seed", ""]
    result = subprocess.run(["bash", "--norc", "-c", BASH_TRY, "bash", *words], capture_output=True, text=True)
    assert result.stdout.strip() == ""


@pytest.mark.parametrize(("words", "expected"), CASES)
def test_fish(words, expected, script, tmp_path):
    need("fish")
    script("fish")
    homes = {name: str(tmp_path) for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")}
    result = subprocess.run(
        ["fish", "--no-config", "-c", 'source ./script; complete -C "$argv"', "--", " ".join(words)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **homes},
    )
    assert expected in [line.split("\t")[0] for line in result.stdout.splitlines()], result


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX terminals")
@pytest.mark.parametrize(("words", "expected"), CASES)
def test_zsh(words, expected, script, tmp_path):
    need("zsh")
    pytest.importorskip("pyte")
    from support.terminal import ENTER, TAB, Terminal

    script("zsh")
    with Terminal(["zsh", "-f"], cwd=str(tmp_path), HOME=str(tmp_path), PS1="> ") as terminal:
        terminal.type("autoload -U compinit; compinit -u -D; source ./script; PS1='ready> '" + ENTER)
        terminal.wait_for("\nready>")
        terminal.type(" ".join(words) + TAB)
        completed = " ".join([*words[:-1], expected])
        terminal.wait_for(f"ready> {completed}")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_command_and_option_is_there(shell, capsys):
    assert cli.main(["completion", shell]) == 0
    text = capsys.readouterr().out
    for word in ("chat", "serve", "download", "models", "mcp", "bench", "doctor", "completion", "smollm2"):
        assert word in text
    for name in (*cli.AGENT_OPTIONS, *cli.MODEL_OPTIONS, "schema", "base-url"):
        option = name.replace("_", "-")
        assert (f"-l {option}" if shell == "fish" else f"--{option}") in text


def test_an_unknown_shell(capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["completion", "powershell"])
    assert end.value.code == 2
    assert "usage: luup-agent completion" in capsys.readouterr().err
