"""The models that a user asks for, by version, with a step, or by a name of one's own."""

from __future__ import annotations

import pytest

from lucaflow.checkpoints.model import requested_models
from lucaflow.errors import ConfigError


def test_models_side_by_side():
    found = requested_models("lucaone,lucaone-17600000 , mini,ours", None, ["ours"])
    assert [(each.model.name, each.step_stated) for each in found] == [
        ("lucaone-36000000", False), ("lucaone-17600000", True), ("mini-1", False), ("ours", True),
    ]  # fmt: skip
    assert requested_models("esm2_t6_8M_UR50D", None, [])[0].model.name == "esm2_t6_8M_UR50D"
    assert requested_models("lucaone-gene", 17600000, [])[0].model.name == "lucaone-gene-17600000"


@pytest.mark.parametrize(
    ("text", "step", "said"),
    [
        ("lucaone,mini", 5600000, "llm_step beside several models is ambiguous"),
        ("ours", 1, "llm_step: 'ours', a name in checkpoints.path, has no steps"),
        ("lucaone-17600000", 17600000, "llm_step: 'lucaone-17600000' gives the step already"),
        ("lucaone,lucaone", None, "llm_version: 'lucaone-36000000' is given twice"),
        ("lucaone,lucaone-36000000", None, "is given twice"),
        ("theirs", None, "llm_version: 'theirs' is not a model. Expected one or several.*mini, .*ours"),
        ("lucaone,", None, "llm_version: '' is not a model"),
        ("esm2_t33_650M", None, "'esm2_t33_650M' is not a model; did you mean esm2_t33_650M_UR50D"),
        ("mini-2", None, "`mini` exists only with step 1, not 2"),
        ("esm2_t6_8M_UR50D", 2, "llm_step: 'esm2_t6_8M_UR50D' has no steps; leave it empty"),
        ("mini", 2, "`mini` exists only with step 1, not 2"),
    ],
)
def test_models_that_are_not_there(text, step, said):
    with pytest.raises(ConfigError, match=said):
        requested_models(text, step, ["ours"])
