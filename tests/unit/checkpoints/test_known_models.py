"""The table of models is the only place that knows a model's name."""

from __future__ import annotations

import ast
import math
import re

import pytest
from workflow_runs import ROOT

from lucaflow.checkpoints.architecture import converted_shapes
from lucaflow.checkpoints.known_models import MODELS, untrained_contacts
from lucaflow.checkpoints.model import Model
from lucaflow.encoders.dnabert2 import Dnabert2, Dnabert2Config
from lucaflow.encoders.esm2 import Esm2, architecture

PAGE = (ROOT / "docs/checkpoints.md").read_text(encoding="utf-8")
# Words that are more than the name of a model: an export, a stitching, a layout and a family of encoders.
ALSO_OTHER_THINGS = {"lucaone"}


def code_of(path):
    """Return the code of a file without docstrings and comments."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        tree = ast.parse(text)
        for node in ast.walk(tree):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                node.value.value = None
        return ast.unparse(tree)
    return re.sub(r"#.*", "", text)


def test_no_other_module_knows_a_name():
    names = "|".join(re.escape(name) for name in MODELS.keys() - ALSO_OTHER_THINGS)
    # A message may give a name as an example.
    as_a_value = re.compile(rf"""["'|(]({names})(-\d+)?["'|)](?!\), not)""")
    files = [*ROOT.glob("scripts/**/*.py"), *ROOT.glob("rules/**/*.smk"), ROOT / "Snakefile"]
    found = {path.name: as_a_value.findall(code_of(path)) for path in files if path.name != "known_models.py"}
    assert {name: values for name, values in found.items() if values} == {}
    assert as_a_value.search('model.llm_version == "mini"')


@pytest.mark.parametrize(
    ("name", "packaged", "demonstration"),
    [
        ("mini", "resources/mini", True),
        ("mini-esm2", "resources/mini_esm2", True),
        ("lucaone", None, False),
        ("ours", None, False),
    ],
)
def test_what_a_name_tells(name, packaged, demonstration):
    model = Model(name, None)
    assert (model.packaged, model.is_demonstration) == (packaged, demonstration)


def test_the_head_of_the_small_esm2_is_called_untrained():
    assert not MODELS["mini-esm2"].contacts
    assert "mini-esm2 has none; maps by an untrained one would be noise" in untrained_contacts("mini-esm2")
    assert "LucaOne's, which no published recipe trains, would be noise" in untrained_contacts("lucaone")


def test_the_page_of_checkpoints_has_the_models():
    """Also the parameters that the shapes give, to the digits that the page has."""
    rows = re.findall(r"^\| `(.+)` \| (.+) \| (\d+) \| (\d+) \| ([\d.]+) (million|billion) \|", PAGE, re.MULTILINE)
    assert [row[0] for row in rows] == list(MODELS)
    for (version, reads, layers, width, number, unit), known in zip(rows, MODELS.values(), strict=True):
        assert (int(layers), int(width)) == (known.layers, known.width), version
        assert tuple({"genes": "gene", "proteins": "prot"}[word] for word in reads.split(", ")) == known.seq_types
        if known.family in ("esm2", "dnabert"):
            esm2 = known.family == "esm2"
            shapes = converted_shapes(
                Esm2 if esm2 else Dnabert2,
                architecture(known.layers, known.width, 12 if known.packaged else 20) if esm2 else Dnabert2Config(),
            )
            parameters = sum(math.prod(shape) for name, shape in shapes.items() if not name.endswith("inv_freq"))
            assert parameters / {"million": 1e6, "billion": 1e9}[unit] == pytest.approx(float(number), rel=0.01)
