"""The library's rooms are in the order of CONTRIBUTING.md, and nothing is imported against it."""

import ast
import re
from graphlib import CycleError, TopologicalSorter

import pytest
from workflow_runs import ROOT

LIBRARY = ROOT / "scripts/lucaflow"
TABLE = re.search(
    r"### The rooms of the library\n(.*?)\n## ", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.DOTALL
)[1]
QUESTIONS = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", TABLE, re.MULTILINE))
ORDER = list(QUESTIONS)
MODULES = {".".join(path.relative_to(LIBRARY).with_suffix("").parts): path for path in LIBRARY.rglob("*.py")}


def imported_by(tree: ast.AST, package: str = "") -> set[str]:
    """Return the dotted names that a module of a package imports, in functions too."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join(filter(None, [*above, node.module]))
            found |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return found


def imports_of(module: str) -> set[str]:
    """Return the library's modules that a module imports."""
    package = ".".join(["lucaflow", *module.split(".")[:-1]])
    names = imported_by(ast.parse(MODULES[module].read_text(encoding="utf-8")), package)
    return {name.removeprefix("lucaflow.") for name in names if name.startswith("lucaflow.")} & MODULES.keys()


def backwards(imports: dict[str, set[str]], order: list[str]) -> list[str]:
    """Return the imports that lead to a later room."""
    place = {room: number for number, room in enumerate(order)}
    return [
        f"{module} imports {other}"
        for module, others in imports.items()
        for other in others
        if module != "__init__" and place[other.split(".")[0]] > place[module.split(".")[0]]
    ]


IMPORTS = {module: imports_of(module) for module in MODULES}


def test_every_room_has_its_place_and_its_question():
    assert set(ORDER) == {module.split(".")[0] for module in MODULES} - {"__init__"}
    for room, question in QUESTIONS.items():
        path = MODULES.get(room) or MODULES[f"{room}.__init__"]
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))).split("\n")[0] == question


def test_no_import_runs_back():
    assert backwards(IMPORTS, ORDER) == []
    assert sum(len(others) for others in IMPORTS.values()) > 200
    assert "engine.engine imports encoders.interface" in backwards(IMPORTS, ORDER[::-1])


def test_no_modules_import_each_other():
    list(TopologicalSorter(IMPORTS).static_order())
    with pytest.raises(CycleError):
        list(TopologicalSorter({**IMPORTS, "encoders.vocabulary": {"engine.engine"}}).static_order())


@pytest.mark.parametrize(
    "line",
    [
        "from lucaflow.report import summary",
        "from lucaflow.report.summary import as_text",
        "import lucaflow.report.summary",
        "from ..report import summary",
        "from ..report.summary import as_text as text",
    ],
)
def test_every_way_to_import_is_seen(line):
    assert "lucaflow.report.summary" in imported_by(ast.parse(f"def f():\n    {line}"), "lucaflow.files")


def test_only_scripts_and_rules_know_snakemake():
    for module, path in MODULES.items():
        names = imported_by(ast.parse(path.read_text(encoding="utf-8")))
        assert not any(name.split(".")[0] == "snakemake" for name in names), module


def test_unit_tests_are_in_the_room_of_what_they_test():
    """Some import it in a process of their own, so the text counts; they may need other rooms, too."""
    for path in (ROOT / "tests/unit").glob("*/**/test_*.py"):
        room = path.relative_to(ROOT / "tests/unit").parts[0]
        assert room == "tools" or f"lucaflow.{room}" in path.read_text(encoding="utf-8"), path
