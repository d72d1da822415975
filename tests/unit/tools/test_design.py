"""docs/design.md says how LucaFlow is built, and the tree is like that."""

from __future__ import annotations

import ast
import re

import pytest
from workflow_runs import ROOT

import document_design

PAGE = (ROOT / "docs/design.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `(\w+)` \| `(\w+\.smk)` \| `(\w+\.py)` \| (.+) \|$", PAGE, re.MULTILINE)
# What every step needs: files, messages, and the settings of the run.
EVERYWHERE = {"quick_start", "errors", "versions", "schemas", "files", "logs", "progress", "config"}


def rules_of(text: str) -> dict[str, str]:
    """Return the text of each rule of a file, by its name."""
    parts = re.split(r"^(?:rule|checkpoint) (\w+):$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize(("rule", "file", "script", "rooms"), ROWS, ids=[row[0] for row in ROWS])
def test_a_rule_runs_the_script_and_the_rooms_that_the_page_names(rule, file, script, rooms):
    text = rules_of((ROOT / "rules" / file).read_text(encoding="utf-8"))[rule]
    assert f'"../scripts/{script}"' in text
    tree = ast.parse((ROOT / "scripts" / script).read_text(encoding="utf-8"))
    modules = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    called = {module.split(".")[1] for module in modules if module.startswith("lucaflow.")}
    assert set(re.findall(r"`(\w+)`", rooms)) == called - EVERYWHERE


def test_the_picture_is_what_the_tool_draws_and_its_rules_are_there():
    assert (ROOT / "docs/images/design.svg").read_text(encoding="utf-8") == document_design.picture()
    rules = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "rules").glob("*.smk"))
    drawn = [name for box in document_design.BOXES if box.is_rule for name in re.findall(r"\w+", box.title)]
    assert (
        len(ROWS) > 10 and [name for name in drawn if not re.search(rf"^(rule|checkpoint) {name}", rules, re.M)] == []
    )
