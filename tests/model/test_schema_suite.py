"""The JSON Schema Test Suite: a schema is refused when it is declared, or nothing but its instances can come out.

The schemas are those of draft 2020-12 as the source distribution of `jsonschema` carries them, and `jsonschema` is
the judge. The model has random weights and temperature 1, so that all of a grammar is walked, not its likely part.
"""

import collections
import hashlib
import json
import re
import subprocess
import sys
import tarfile
from importlib.metadata import version

import pytest
from support.sampling import answers

from luup_agent import Agent, InvalidSchemaError, _native, catalog

jsonschema = pytest.importorskip("jsonschema")

NAME, VERSION = "jsonschema", "4.26.0"
SHA256 = "0c26707e2efad8aa1bfc5b7ce170f3fccc2e4918ff85989ba9ffa9facb2be326"
FOLDER = "/json/tests/draft2020-12/"
SEEDS = range(20)
# Before 4.24, the first one without Python 3.8, this group's properties counted as unevaluated.
MISJUDGED = "unevaluatedProperties with adjacent non-bool additionalProperties"
OLD_JUDGE = tuple(int(part) for part in version(NAME).split(".")[:2]) < (4, 24)
MAX_TOKENS = 600  # most of what a grammar lets through at random ends long before; the rest is cut off


def download(folder):
    """Return the source distribution in `folder`; pip downloads it the first time."""
    archive = folder / f"{NAME}-{VERSION}.tar.gz"
    if not archive.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        lock = folder / "requirements.txt"
        lock.write_text(f"{NAME}=={VERSION} --hash=sha256:{SHA256}\n")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"]
        command += ["--no-deps", "--no-binary", NAME, "--ignore-requires-python", "--require-hashes"]
        command += ["--requirement", str(lock), "--dest", str(folder)]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", stdin=subprocess.DEVNULL, check=False)
        if done.returncode:
            pytest.skip(f"{NAME} {VERSION} can't be downloaded with pip: {done.stderr.strip()[-300:]}")
    assert hashlib.sha256(archive.read_bytes()).hexdigest() == SHA256
    return archive


@pytest.fixture(scope="module")
def schemas():
    """(title, schema) of every group of tests."""
    found = []
    with tarfile.open(str(download(catalog.cache_folder().parent / "tests"))) as archive:
        for member in sorted(archive.getmembers(), key=lambda member: member.name):
            _, _, place = member.name.partition(FOLDER)
            if member.isfile() and place.endswith(".json"):
                for group in json.load(archive.extractfile(member)):
                    found.append((f"{place}: {group['description']}", group["schema"]))
    return found


@pytest.fixture(scope="module")
def agent(tiny_model):
    """Walks a grammar at random."""
    return Agent(
        tiny_model, temperature=1.0, top_k=100, top_p=1.0, min_p=0.0, max_tokens=MAX_TOKENS, enable_history=False
    )


def refusal(schema):
    """Return the reason for which a schema is refused, or None."""
    try:
        _native.check_schema(schema)
    except InvalidSchemaError as error:
        return str(error)
    return None


@pytest.mark.slow
@pytest.mark.gate
@pytest.mark.network  # once: the source distribution is kept
def test_every_schema_is_refused_or_holds(schemas, agent, record_property):
    assert len(schemas) > 350
    refused, unjudged, wrong, distinct, complete = collections.Counter(), [], [], 0, 0
    for title, schema in schemas:
        text = json.dumps(schema)
        reason = refusal(text)
        if reason is not None:
            assert reason.startswith("/") or ": " in reason, (title, reason)
            refused[title.partition(":")[0]] += 1
            continue
        judge = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)
        outputs = answers(agent, text, SEEDS, may_be_cut_off=True)
        complete += len(outputs)
        distinct += len(set(outputs))
        if OLD_JUDGE and title.endswith(MISJUDGED):
            unjudged.append(title)
            continue
        try:
            wrong += [(title, output) for output in outputs if not judge.is_valid(json.loads(output))]
        except re.error:  # a pattern that ECMAScript has and Python has not
            unjudged.append(title)
    record_property("schemas", len(schemas))
    record_property("refused", sum(refused.values()))
    print(f"{len(schemas)} schemas, {sum(refused.values())} refused, {distinct} different answers: {dict(refused)}")
    assert not wrong
    assert complete > (len(schemas) - sum(refused.values())) * len(SEEDS) / 2  # not cut off
    assert len(unjudged) <= 2 + OLD_JUDGE, unjudged
    assert sum(refused.values()) < len(schemas) / 5
