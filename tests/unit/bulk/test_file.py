"""The file of a map: it is continued after a kill, and results of two maps are never mixed."""

import json
import os
import signal
import subprocess
import sys
import textwrap

import pytest

from luup_agent import Agent, InvalidOutputError, InvalidParamError, StorageError
from luup_agent.testing import FunctionModel

TEXTS = [f"text {n}" for n in range(12)]


class Asked:
    """An agent that keeps what it was asked."""

    def __init__(self, system_prompt=None, fails=()):
        self.asked = []
        self._fails = fails
        self.agent = Agent(FunctionModel(self._answer), system_prompt)

    def _answer(self, request):
        text = request.messages[-1].content.split("\n\nAnswer with")[0]
        self.asked.append(text)
        if text in self._fails:
            raise ConnectionError("no answer")
        return json.dumps(text) if self.typed else f"re: {text}"

    typed = False


def test_what_has_finished_is_not_asked_again(tmp_path):
    path = tmp_path / "results.jsonl"
    first = Asked(fails=("text 3", "text 7"))
    results = first.agent.map(TEXTS, path=path).all()
    assert len(results.errors) == 2
    second = Asked()
    again = second.agent.map(TEXTS, path=path).all()
    assert sorted(second.asked) == ["text 3", "text 7"]
    assert again.values == [f"re: {text}" for text in TEXTS]
    assert [result.index for result in again] == list(range(12))
    assert again[0].usage == results[0].usage
    third = Asked()
    assert third.agent.map(iter(TEXTS), path=str(path)).all().values == again.values
    assert third.asked == []
    assert oct(os.stat(str(path)).st_mode)[-3:] == "600"


def test_an_aborted_map_goes_on(tmp_path):
    path = tmp_path / "results.jsonl"
    with Asked().agent.map(TEXTS, path=path, concurrency=1) as stream:
        assert next(stream).value == "re: text 0"
    second = Asked()
    assert second.agent.map([*TEXTS, "one more"], path=path).all().values[-1] == "re: one more"
    assert "text 0" not in second.asked


KILLED = """
    import sys, time
    from luup_agent import Agent
    from luup_agent.testing import FunctionModel

    path, log, torn = sys.argv[1:]

    def answer(request):
        text = request.messages[-1].content
        with open(log, "a") as file:
            file.write(text + "\\n")
        time.sleep(0.01)
        return "re: " + text

    for result in Agent(FunctionModel(answer)).map(["text %d" % n for n in range(200)], path=path, concurrency=4):
        print(result.index, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_killed_process_loses_nothing_and_repeats_nothing(tmp_path):
    path, log = tmp_path / "results.jsonl", tmp_path / "log"
    finished = 0
    for stop in (10, 25, None):
        child = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(KILLED), str(path), str(log), "0"],
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        for number, _ in enumerate(child.stdout):
            if stop is not None and number == finished + stop:
                child.send_signal(signal.SIGKILL)
                break
        child.stdout.close()
        child.wait()
        lines = path.read_bytes().splitlines(keepends=True)
        done = [json.loads(line)["index"] for line in lines[1:] if line.endswith(b"\n")]
        assert len(done) == len(set(done))
        asked = log.read_text().split("\n")[:-1]
        # Nothing that has finished is asked again; at most the items that were under way are.
        assert len(asked) - len(set(asked)) <= 2 * 4
        finished = len(done)
    assert finished == 200
    assert child.returncode == 0


@pytest.mark.parametrize("end", [b'{"index": 5, "pro', b'{"index": 5}', b"\xff\xfe", b"   "])
def test_a_torn_last_line_is_removed(tmp_path, end):
    path = tmp_path / "results.jsonl"
    Asked().agent.map(TEXTS[:3], path=path).all()
    whole = path.read_bytes()
    path.write_bytes(whole + end)
    second = Asked()
    assert len(second.agent.map(TEXTS[:3], path=path).all()) == 3
    assert second.asked == []
    assert path.read_bytes() == whole


def test_a_torn_header_is_begun_again(tmp_path):
    path = tmp_path / "results.jsonl"
    path.write_bytes(b'{"luup_map": 1, "mod')
    assert len(Asked().agent.map(TEXTS, path=path).all()) == 12


def test_a_damaged_line_is_named(tmp_path):
    path = tmp_path / "results.jsonl"
    Asked().agent.map(TEXTS, path=path, concurrency=1).all()
    lines = path.read_bytes().splitlines(keepends=True)
    for bad in (b"not json\n", b"[]\n", b'{"index": 1}\n', b'{"index": 1, "prompt": "x", "text": 5, "seconds": 0}\n'):
        path.write_bytes(b"".join([*lines[:2], bad, *lines[3:]]))
        with pytest.raises(StorageError, match="damaged in line 3"):
            Asked().agent.map(TEXTS, path=path)


@pytest.mark.parametrize("content", [b"name,value\na,b\n", b"{}\n", b"hello", b'{"luup_map": 99}\n'])
def test_another_file_is_not_touched(tmp_path, content):
    path = tmp_path / "results.jsonl"
    path.write_bytes(content)
    with pytest.raises(StorageError, match="is not the file of a map"):
        Asked().agent.map(TEXTS, path=path)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"prompt": "Another {item}"}, "another prompt"),
        ({"output_type": int}, "another output_type"),
        ({"items": ["text 0", "changed", *TEXTS[2:]]}, r"items\[1\]"),
        ({"items": TEXTS[::-1]}, r"items\[0\]"),
        ({"items": TEXTS[:5]}, "12 items, but there are only 5"),
        ({"items": iter(TEXTS[:5])}, "12 items, but there are only 5"),
        ({"system_prompt": "Be brief."}, "another system_prompt"),
    ],
)
def test_results_of_two_maps_are_not_mixed(tmp_path, change, words):
    path = tmp_path / "results.jsonl"
    Asked().agent.map(TEXTS, path=path).all()
    before = path.read_bytes()
    second = Asked(change.pop("system_prompt", None))
    items = change.pop("items", TEXTS)
    with pytest.raises(InvalidParamError, match=words):
        second.agent.map(items, path=path, **change).all()
    assert path.read_bytes() == before
    assert second.asked == []


def test_a_typed_value_is_restored(tmp_path):
    from typing import Literal

    path = tmp_path / "results.jsonl"
    first, second = Asked(), Asked()
    first.typed = second.typed = True
    kind = Literal["a", "b"]
    assert first.agent.map(["a", "b"], output_type=kind, path=path).all().values == ["a", "b"]
    assert second.agent.map(["a", "b"], output_type=kind, path=path).all().values == ["a", "b"]
    assert second.asked == []
    content = path.read_text().replace('"\\"a\\""', '"\\"x\\""')
    path.write_text(content)
    with pytest.raises(InvalidOutputError, match="rejects a result of the file"):
        second.agent.map(["a", "b"], output_type=kind, path=path).all()


@pytest.mark.skipif(sys.platform == "win32", reason="flock")
def test_two_maps_do_not_share_a_file(tmp_path):
    path = tmp_path / "results.jsonl"
    with Asked().agent.map(TEXTS, path=path) as stream:
        next(stream)
        with pytest.raises(StorageError, match="another map"):
            Asked().agent.map(TEXTS, path=path)
    assert len(Asked().agent.map(TEXTS, path=path).all()) == 12


def test_a_file_that_can_not_be_opened_is_named(tmp_path):
    for path in (tmp_path, tmp_path / "no" / "folder.jsonl", "a\0b"):
        with pytest.raises(StorageError, match="the file "):
            Asked().agent.map(TEXTS, path=path)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full")
def test_a_full_disk_ends_the_map(tmp_path, monkeypatch):
    path = tmp_path / "results.jsonl"
    stream = Asked().agent.map(TEXTS, path=path)
    full = os.open("/dev/full", os.O_RDWR)
    os.dup2(full, stream._plan._journal._file)
    os.close(full)
    with pytest.raises(StorageError, match="can't be written: No space left"):
        stream.all()
