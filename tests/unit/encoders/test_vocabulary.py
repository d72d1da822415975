import json

import numpy as np
import pytest
from golden_cases import PACKAGED

from lucaflow.encoders.lucaone import VOCABULARY
from lucaflow.records.outcomes import normalise

TABLES = json.loads((PACKAGED / "embedding/tables.json").read_text())


def test_vocabulary_is_lucaones():
    assert list(VOCABULARY.symbols) == TABLES["vocab"]


@pytest.mark.parametrize("case", TABLES["content_ids"], ids=lambda case: f"{case['seq_type']}-{case['sequence']}")
def test_ids_are_lucaones(case):
    sequence = normalise(case["sequence"], case["seq_type"], "drop")[0]
    assert VOCABULARY.encode(sequence, case["seq_type"])[1:-1].tolist() == case["ids"]


@pytest.mark.parametrize("case", TABLES["clean"], ids=lambda case: repr(case["in"]))
def test_dropping_is_lucaones(case):
    assert normalise(case["in"], "prot", "drop")[0] == case["out"]


def test_uracil_is_thymine_in_genes_alone():
    np.testing.assert_array_equal(VOCABULARY.encode("ACGU", "gene"), VOCABULARY.encode("ACGT", "gene"))
    assert VOCABULARY.encode("U", "prot")[1] != VOCABULARY.encode("T", "prot")[1]


@pytest.mark.parametrize("sequence", ["MKV-", "mkv", "MK V", "MK\u0412", "*"])
def test_what_is_no_residue_code_is_refused(sequence):
    with pytest.raises(ValueError, match="is not a residue code"):
        VOCABULARY.encode(sequence, "prot")
