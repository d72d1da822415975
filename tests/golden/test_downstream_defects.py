"""Where LucaOneTasks is wrong, and LucaFlow is not; by the numbers of its defects (D1 to D30).

D1, D2: training_args.bin is never opened. D6: tests/unit/downstream/test_lucaonetasks.py. D15:
tests/unit/downstream/test_inputs.py. D11, D30: tests/workflow/test_predictions.py. The others are of its training (D8
to D10, D16, D19), its command line (D12, D23 to D25), or of options that LucaFlow does not have (D29).
"""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from lucaflow.checkpoints.conversion import convert
from lucaflow.checkpoints.layouts import locate
from lucaflow.checkpoints.loading import load_encoder
from lucaflow.checkpoints.model import Model
from lucaflow.downstream.conversion import convert as convert_head
from lucaflow.downstream.conversion import load_head
from lucaflow.downstream.inputs import rows_for_head
from lucaflow.downstream.models import choose_task, locate_head, read_head
from lucaflow.downstream.required_embeddings import EmbeddingRequest
from lucaflow.engine.engine import Engine
from lucaflow.errors import CheckpointError
from lucaflow.records.outcomes import Normaliser, Policies
from lucaflow.records.readers import RawRecord
from lucaflow.records.sequences import NormalisedSequence

GOLDEN = Path(__file__).parent / "downstream"
TRUNCATION = 40


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder")
    model = Model("lucaone", 5600000)
    convert(locate(GOLDEN, model), folder)
    return load_encoder(folder)


@pytest.fixture(scope="module")
def predict(encoder, tmp_path_factory):
    """Return what predicts a task for (type, text) of each side."""
    folder = tmp_path_factory.mktemp("heads")

    def predicted(task, *sides):
        if not (folder / task).exists():
            convert_head(locate_head(GOLDEN, choose_task(GOLDEN, task, None)[0]), folder / task)
        trained, head = read_head(folder / task), load_head(folder / task)
        vectors = [vector_of(trained, head, number, *side) for number, side in enumerate(sides)]
        return head.predictions(head.logits(*vectors)).numpy()[0]

    def vector_of(trained, head, number, seq_type, text):
        outcome = Normaliser(Policies(invalid_characters="drop")).outcome(RawRecord(1, "x", "", text), seq_type)
        assert outcome.status == "accepted", outcome
        options = EmbeddingRequest.by(trained.reading, TRUNCATION).options_of(len(outcome.sequence))
        sequence = NormalisedSequence(outcome.digest, seq_type, outcome.sequence)
        (matrix,) = Engine(encoder, options, torch.device("cpu"), 100).matrices([sequence])
        rows = rows_for_head(
            matrix, trained.reading.rows_read(TRUNCATION), trained.reading.special, trained.reading.frame
        )
        return head.vectors(number, torch.from_numpy(rows), [len(rows)])

    return predicted


def recorded(tag, row, column="prob"):
    with (GOLDEN / f"predict/out/{tag}.csv").open() as file:
        return float(list(csv.DictReader(file))[row][column])


def test_d3_each_task_has_its_own_network(predict):
    """One after the other in one process; LucaOneTasks gives the first one's value for both."""
    pair = ("gene", "GCGTCG"), ("prot", "MFLWRKSANGIACNVWHDFVWFSYQATQ")
    values = [predict(task, *pair)[0] for task in ("CentralDogma", "ncRPI", "CentralDogma")]
    assert values == pytest.approx([recorded("CentralDogma", 0), recorded("ncRPI", 0), recorded("CentralDogma", 0)])
    assert abs(values[0] - values[1]) > 0.1


def test_d5_a_character_that_is_no_residue_does_not_crash(predict):
    """`drop` is what LucaOneTasks does with characters of its vocabulary, such as `*`; others end it."""
    assert np.array_equal(predict("ProtLoc", ("prot", "MKWLL?AGV")), predict("ProtLoc", ("prot", "MKWLLAGV")))


def test_d7_weights_of_a_loss_do_not_matter(tmp_path):
    """The string in which LucaOneTasks stores class weights keeps it from loading the model."""
    root = copied("ProtLoc", tmp_path)
    log = next(root.glob("logs/ProtLoc/**/logs.txt"))
    arguments, end = json.JSONDecoder().raw_decode(log.read_text())
    log.write_text(json.dumps({**arguments, "weight": "2,50,1,5,8,10"}, indent=2) + log.read_text()[end:])
    convert_head(locate_head(root, choose_task(root, "ProtLoc", None)[0]), tmp_path / "head")
    assert read_head(tmp_path / "head").labels == tuple(f"protloc_c{index:02}" for index in range(6))


def test_d13_a_matrix_that_is_cut_keeps_its_first_rows():
    """As recorded: cut to 3 residues, the last row is the fourth residue's, not that of [SEP]."""
    matrix = np.arange(10)[:, None]
    assert rows_for_head(matrix, 3, special=True, frame=True)[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert rows_for_head(matrix, 8, special=True, frame=True)[:, 0].tolist() == list(range(10))


@pytest.mark.parametrize("change", ["missing", "renamed"])
def test_d20_a_missing_weight_is_an_error(tmp_path, change):
    """LucaOneTasks draws it at random, and predicts."""
    root = copied("PPI", tmp_path)
    weights = next(root.glob("models/PPI/**/pytorch_model.bin"))
    state = torch.load(weights, weights_only=True)
    tensor = state.pop("hidden_layer.weight")
    if change == "renamed":
        state["hidden.weight"] = tensor
    torch.save(state, weights)
    with pytest.raises(CheckpointError, match=r"hidden_layer\.weight"):
        convert_head(locate_head(root, choose_task(root, "PPI", None)[0]), tmp_path / "head")


def test_d21_a_short_peptide_of_nucleotide_letters_is_a_protein(predict):
    """`TTAGACNAGT` ends a run of LucaOneTasks with status 255, and what was waiting is lost."""
    assert np.isfinite(predict("ProtLoc", ("prot", "TTAGACNAGT"))).all()


def copied(task, tmp_path):
    """Return a LucaOneTasks root with one task, that may be changed."""
    root = tmp_path / "root"
    for kind in ("models", "logs"):
        shutil.copytree(GOLDEN / kind / task, root / kind / task)
    return root
