"""Which file includes or imports which, and whether that follows the order of the rooms.

A room is a folder with one job. The rooms have an order, and a file may use its own room and those before it.
"""

import ast
import re


def rooms_of_readme(text):
    """Return the rooms that a README lists: the ordered ones, each before those that may use it, and those apart.

    The ordered ones are a numbered list, those apart are bullets; each item begins with the name: ``1. **`base/`**``.
    """
    ordered = re.findall(r"^\d+\. \*\*`([\w/.]+?)/?`\*\*", text, re.MULTILINE)
    apart = re.findall(r"^- \*\*`([\w/.]+?)/?`\*\*", text, re.MULTILINE)
    return ordered, apart


def room_of(path, rooms):
    """Return the room that has the file of this path, the innermost; None without one."""
    found = [room for room in rooms if path == room or path.startswith(room + "/")]
    return max(found, key=len) if found else None


# ---------------------------------------------------------------------------------------------------------------------
# C++
# ---------------------------------------------------------------------------------------------------------------------

_INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)


def read_includes(csrc, skip=("llama.cpp",)):
    """Return for each C++ file below `csrc`, by its path from there, the files of `csrc` that it includes."""
    files = {path.relative_to(csrc).as_posix(): path for path in sorted(csrc.rglob("*")) if path.is_file()}
    found = {}
    for name, path in files.items():
        if path.suffix in (".h", ".hpp", ".cpp", ".c") and name.split("/")[0] not in skip:
            beside = name.rpartition("/")[0]
            included = _INCLUDE.findall(path.read_text(encoding="utf-8"))
            resolved = [f"{beside}/{each}" if f"{beside}/{each}" in files else each for each in included]
            found[name] = [each for each in resolved if each in files]
    return found


def upward_includes(includes, ordered, apart):
    """Return a line for each include that points to a later room; rooms apart may include only themselves."""
    problems = []
    rooms = [*ordered, *apart]
    for file, included in includes.items():
        room = room_of(file, rooms)
        if room is None:
            problems.append(f"{file} is in no room")
        for other in included:
            to = room_of(other, rooms)
            allowed = [room] if room in apart else ordered[: ordered.index(room) + 1] if room else []
            if room and to not in allowed:
                problems.append(f'{file} includes "{other}": {room} may include only {", ".join(allowed)}')
    return problems


def cycles(includes):
    """Return the cycles between units (a unit is a .h and a .cpp of one name), each as a sorted list of units."""
    units = {}
    for file, included in includes.items():
        targets = units.setdefault(file.rpartition(".")[0], set())
        targets |= {other.rpartition(".")[0] for other in included}
    for unit, targets in units.items():
        targets.discard(unit)
    return _components(units)


def _components(graph):
    """Return the strongly connected components of more than one node, by Tarjan's algorithm."""
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph.get(node, ())):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            at = stack.index(node)
            if len(stack) - at > 1:
                found.append(sorted(stack[at:]))
            del stack[at:]

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


# ---------------------------------------------------------------------------------------------------------------------
# Python
# ---------------------------------------------------------------------------------------------------------------------


def read_imports(folder):
    """Return for each module below the package `folder` the modules of the package that its import runs.

    Imports in functions run later, and those below ``if TYPE_CHECKING`` never; neither counts.
    """
    files = sorted([*folder.rglob("*.py"), *folder.rglob("*.pyi")])
    paths = {_module(path.relative_to(folder.parent)): path for path in files}
    found = {}
    for name, path in paths.items():
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        tree = ast.parse(path.read_text(encoding="utf-8"))
        targets = {each for node in _eager(tree.body) for each in _imported(node, package)}
        found[name] = sorted({_longest(target, paths) for target in targets} - {None, name})
    return found


def _module(path):
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _eager(body):
    """Yield the import statements that run when the module is imported."""
    for node in body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            yield from _eager(node.orelse)
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for field in ("body", "orelse", "finalbody", "handlers"):
                yield from _eager(getattr(node, field, []))


def _imported(node, package):
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
    module = ".".join([*base, *([node.module] if node.module else [])])
    return [f"{module}.{alias.name}" for alias in node.names]


def _longest(name, modules):
    """Return the module that `name`, a module or a name in one, belongs to; None outside of the package."""
    while name and name not in modules:
        name = name.rpartition(".")[0]
    return name or None


def upward_imports(imports, order):
    """Return a line for each eager import of a module in a later room than the importing one.

    `order` lists the rooms of the package from the lowest to the highest, several modules of one height in a tuple.
    """
    heights = {name: height for height, names in enumerate(order) for name in names}
    problems = []

    def height(name):
        module = name
        while "." in module and module not in heights:
            module = module.rpartition(".")[0]
        return heights.get(module) if module == name or "." in module else None

    for module, targets in imports.items():
        mine = height(module)
        if mine is None:
            problems.append(f"{module} is in no room")
            continue
        for target in targets:
            other = height(target)
            if other is not None and other > mine:
                problems.append(f"{module} imports {target} when it is imported, from a later room")
    return problems
