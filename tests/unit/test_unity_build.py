"""Files of a room may be compiled together (LUUP_UNITY_BUILD): the names that are local to them must differ."""

import re
from collections import defaultdict
from pathlib import Path

import pytest

CSRC = Path(__file__).parents[2] / "csrc"
ROOMS = re.search(r"set\(LUUP_ROOMS (.+)\)", (CSRC / "CMakeLists.txt").read_text(encoding="utf-8")).group(1).split()

# A declaration at the beginning of a line: of a type, an alias, or a function or variable.
NAME = re.compile(
    r"(?:template <[^>]*> )?(?:"
    r"(?:struct|class|enum class|enum|union) (?:alignas\(\d+\) )?(\w+)(?: final)?(?: :[^:].*)?(?: \{.*|;)?$"
    r"|using (\w+) *="
    r"|(?:\[\[\w+\]\] )?(?:(?:static|inline|constexpr|const|thread_local) )*"
    r"[\w:<>,*& ]+?[ *&](\w+)(?:\[\w*\])? *[(={;])"
)


def local_names(text):
    """Yields each name that no other file sees, with its first line: what is in an unnamed namespace or static."""
    inside = False
    for line in text.splitlines():
        if line in ("namespace {", "}  // namespace"):
            inside = line == "namespace {"
        elif (inside or line.startswith("static ")) and line[:1] not in (" ", "/", "#", "}", ""):
            found = NAME.match(line)
            if found:
                yield next(filter(None, found.groups())), line


def clashes(texts):
    """Lists the names that several of the files have; the same alias may be declared twice."""
    places = defaultdict(dict)
    for file, text in texts.items():
        for name, line in local_names(text):
            places[name][file] = line
    return [
        f"{name}: {', '.join(sorted(found))}"
        for name, found in places.items()
        if len(found) > 1
        and not (len(set(found.values())) == 1 and re.match("using |namespace ", next(iter(found.values()))))
    ]


@pytest.mark.parametrize("room", ROOMS)
def test_names_of_a_room_s_files_differ(room):
    assert clashes({path.name: path.read_text(encoding="utf-8") for path in (CSRC / room).glob("*.cpp")}) == []


@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        (
            "namespace {\nbool same(int a) {\n}\n}  // namespace\n",
            "static int same(char b) {\n}\n",
            ["same: a.cpp, b.cpp"],
        ),
        (
            "namespace {\nconstexpr int most = 3;\n",
            "namespace {\nconstexpr size_t most[] = { 4 };\n",
            ["most: a.cpp, b.cpp"],
        ),
        ("namespace {\nstruct Part {\n", "namespace {\nclass Part final : public Whole {\n", ["Part: a.cpp, b.cpp"]),
        ("namespace {\nusing json = ordered_json;\n", "namespace {\nusing json = ordered_json;\n", []),
        (
            "namespace {\nusing json = ordered_json;\n",
            "namespace {\nusing json = plain_json;\n",
            ["json: a.cpp, b.cpp"],
        ),
        ("namespace {\nbool mine() {\n}\n}  // namespace\nbool A::get() {\n", "bool B::get() {\n", []),
    ],
)
def test_a_clash_is_found(one, other, found):
    assert clashes({"a.cpp": one, "b.cpp": other}) == found
