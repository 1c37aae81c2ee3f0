"""Comments, docstrings, messages and pages are in plain English: standard terms, active verbs, the thing first.

The tables list phrases that this project's texts once had, and what to write instead. Add what a review finds.
"""

import re
import subprocess
from pathlib import Path

import pytest
from support.prose import read_prose

ROOT = Path(__file__).resolve().parents[2]
ENDINGS = (".py", ".pyi", ".h", ".c", ".cpp", ".in", ".md", ".cmake", ".txt", ".toml", ".yml", ".yaml")

# For each phrase: a regular expression, better words, and an example of a text that has it.
PHRASES = [
    (r"(?<![Tt]here )\b(is|are|was|were|be) none\b", "is not a …, there is no …", "a header with a name that is none"),
    (
        r"(?<![Tt]here )\b(is|are|was) no (?!longer\b|more\b|less\b|matter\b|different\b|[a-z]+er\b)[a-z]+",
        "is not a …",
        "a1 is no call that waits for its result",
    ),
    (r"\b(is|are|was|were|be|been|being)( not| never)? told\b", "gets, is passed", "the model was not told the result"),
    (r"\btells? (what|whether|how|where|which|why|who|of|its)\b", "says, reports, returns", "the file tells how"),
    (r"\b(is|are|was|were) not there\b", "is missing, does not exist", "the folder is not there"),
    (r"\bas good as (none|not there|nothing)\b", "counts as missing", "a broken file is as good as none"),
    (r"\b(can't|cannot|could not|can not) be had\b", "is not available", "the memory can't be had"),
    (r"\bstands? (behind|between|before|where|here|there|for itself)\b", "follows, is", "the text that stands before"),
    (r"\bas it stands\b", "unchanged", "the text as it stands"),
    (r"\bin the hands of\b", "owned by", "a call in the hands of the host"),
    (r"\b(yours|ours|its own|theirs) to \w+", "… decides, … may", "the range is ours to check"),
    (r"(^|[.,;:(] )[Ww]ho (asks|wants|waits|needs|has|knows)\b", "name the caller", "once, who waits for it"),
    (r"\bwhoever\b", "name the caller, the thread, the host", "whoever asks next"),
    (r"\b[Ww](hat|hich) goes wrong\b", "errors, failures", "an error: what goes wrong has a type"),
    (r"\b[Hh]ow (a|an|the) \w+ went\b", "the outcome of …", "How a call went"),
    (r"\b[Ww]hat of (the|a|an|it|its|them|this)\b", "the part of …", "what of the context is warm"),
    (r"\b(of|in|from|with) what (is|was|are|were|has|had|comes|came|goes|stands)\b", "name it", "in what is held"),
    (r"\b[Dd]o(es)? what `?\w+(\(\))?`? does\b", "the same as …", "Does what `run` does, under asyncio"),
    (r"\bgives? way\b", "yields, is replaced by", "old messages give way to a summary"),
    (r"\banew\b", "again", "the batch is filled anew"),
    (r"\btakes? (it|them) in\b", "reads, handles", "the queue takes them in"),
    (r"\b[Tt]ak(e|es|en|ing) in\b(?! turns?\b)", "handles, reads, counts", "Take in the counts of an event"),
    (r"\b(must|may|can) not be(?=[.,;:)])", "is not allowed, does not exist", "a turn that must not be."),
    (r"\bif need be\b", "if necessary", "in ranges if need be"),
    (r"\bin vain\b", "without success, failed", "a tool that was called in vain"),
    (r"\b[Ww]hat becomes of\b", "the outcome of, how … works", "a table of what becomes of each type"),
    (r"\b[Ww](hat|hich) (went|has gone) wrong\b", "the error, the failure", "an error has what went wrong"),
    (r"\bas far as (it|they) (came|comes|come|goes|go)\b", "so far, unfinished", "the answer as far as it came"),
    (r"\b(is|are) there twice\b", "is repeated", "the name is there twice"),
    (r"\b(once|until|unless) (all|it|they) (is|are|was|were) there\b", "is complete, exists", "once all are there"),
    (r"\bthat there (is|are|was|were)(?=[.,;:)])", "name it", "the results that there are."),
    (r"\b(is|are) (theirs|ours|yours)\b(?! to\b)", "belongs to …", "the file is theirs until then"),
    (r"\band (its|their) (like|siblings)\b", "similar, name them", "generate and its siblings"),
    (r"\bplays? no part\b", "is not used", "the history plays no part"),
    (r"\ball the same\b(?=[.,;:)]|$)", "nevertheless, too", "it is shown all the same"),
    (
        r"\b(does not|doesn't|can|may|they|it) tells?(?=[.,;:)]|$)",
        "reports, returns, sends",
        "if the server does not tell",
    ),
    (r"`[\w.]+` says so\b|^Says so\b", "returns true, reports it", "if `stop` says so"),
    (r"\bwhose it is\b", "its owner", "the folder, and whose it is"),
    (r"\bwhen (this|the|that) (object|handle|model|agent) goes\b", "is deleted", "open when this object goes"),
    (
        r"\bapart from the rest for (its|their) length\b",
        "say what it is",
        "methods apart from the rest for their length",
    ),
    (
        r"\bheld to (a|an|the|its|their|it|them|calls)\b",
        "constrained by, limited to",
        "the model is held to its schema",
    ),
]
# Only in comments, docstrings and pages: a string may be a question.
OPENINGS = [
    (r"^(What|Whose|Whether what) (?!if\b)[^?]*$", "name the thing: The …, Return the …", "What the parts share."),
    (r"\b(nobody|somebody|everybody|anybody)\b", "no thread, a caller, all clients", "a model that nobody uses"),
    (r"^(Gives|Tells)\b", "Returns, Reports; in Python Return, Report", "Gives the number of tokens."),
    (r"^Of (an?|the|all|each|every|any) \w+", "name the thing first", "Of a call: its id."),
    (
        r"Error: (It|They) (has|have|was|were|does|do|did|can't)( not)?\.(\s|$)",
        "say what is wrong",
        "StorageError: It was not.",
    ),
]


def problems_of(name, source):
    """Yield a line for each of these phrases in the text of a file."""
    for kind, line, text in read_prose(name, source):
        for pattern, better, _ in PHRASES if kind == "string" else PHRASES + OPENINGS:
            match = re.search(pattern, text)
            if match:
                yield f"{name}:{line}: {match.group()[:60]!r}, better: {better}"


def tracked_files():
    """Return the paths of the texts that git tracks, but this file's."""
    listed = subprocess.run(["git", "ls-files"], cwd=str(ROOT), capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("needs a git checkout")
    names = [name for name in listed.stdout.splitlines() if name.endswith(ENDINGS) or name.startswith(".ci/")]
    return [name for name in names if ROOT / name != Path(__file__).resolve() and (ROOT / name).is_file()]


def test_texts_are_plain_english():
    problems = [each for name in tracked_files() for each in problems_of(name, (ROOT / name).read_text("utf-8"))]
    assert problems == []


@pytest.mark.parametrize("example", [example for _, _, example in PHRASES + OPENINGS])
@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("a.py", "# {}\n"),
        ("a.py", '"""{}"""\n'),
        ("a.py", "def f():\n    '''{}\n    '''\n"),
        ("a.h", "/* {}\n */\nint a;\n"),
        ("a.cpp", "int a;  // {}\n"),
        ("a.md", "# Title\n\n{}\n"),
        ("a.cmake", "set(a b)\n# {}\n"),
        (".ci/step", "# {}\n"),
    ],
)
def test_a_planted_phrase_is_found(name, form, example):
    assert len(list(problems_of(name, form.format(example)))) == 1


@pytest.mark.parametrize("example", [example for _, _, example in PHRASES])
@pytest.mark.parametrize(("name", "form"), [("a.py", 'f(f"{}")\n'), ("a.cpp", 'fail("{}");\n'), ("a.cmake", 'a("{}")')])
def test_a_phrase_in_a_string_is_found(name, form, example):
    assert len(list(problems_of(name, form.format(example)))) == 1


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("a.py", "# The header has a name\n# that is none.\nx = 1\n"),
        ("a.cpp", "// The text as it\n// stands.\nint a;\n"),
        ("a.h", "/* The text as it\n * stands. */\n"),
        ("a.md", "An error: what goes\nwrong has a type.\n"),
    ],
)
def test_a_phrase_is_found_across_lines(name, source):
    assert len(list(problems_of(name, source))) == 1


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("a.py", '"""Return the file, or None if there is none."""\n'),
        ("a.py", 'ask("What is the capital of France?")\n'),
        ("a.py", "# What if the file is empty?\nif is_none: told = anew\n"),
        ("a.cpp", "// It is no longer used, and there is no file.\nint what_the = none;\n"),
        ("a.md", "This is no faster.\n\nThe host decides.\n"),
    ],
)
def test_plain_english_passes(name, source):
    assert list(problems_of(name, source)) == []
