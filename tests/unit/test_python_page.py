"""docs/python.md names each public function of the library, with its arguments and defaults."""

from __future__ import annotations

import inspect
import re

from workflow_runs import ROOT

import lucaflow
from lucaflow import Embeddings

ROWS = re.findall(r"^\| `(.+?)` \|", (ROOT / "docs/python.md").read_text(encoding="utf-8"), re.MULTILINE)


def shown(name: str, function: object) -> str:
    """Return a function as the page shows it: without types."""
    parameters = [each.replace(annotation=each.empty) for each in inspect.signature(function).parameters.values()]
    return name + str(inspect.Signature([each for each in parameters if each.name != "self"]))


def test_each_function_is_on_the_page_as_it_is():
    functions = [shown(name, getattr(lucaflow, name)) for name in lucaflow._PLACES if name != "Embeddings"]
    assert {row for row in ROWS if not row.startswith("embeddings.")} == set(functions)


def test_each_method_of_embeddings_is_on_the_page():
    public = {name: value for name, value in vars(Embeddings).items() if not name.startswith("_")}
    methods = {
        f"embeddings.{name}" if isinstance(value, property) else shown(f"embeddings.{name}", value)
        for name, value in public.items()
    }
    assert {row for row in ROWS if row.startswith("embeddings.")} == methods | {"embeddings.outputs"}
