"""A checkpoint that an earlier version converted gets the head of its language model when scores are asked for."""

from __future__ import annotations

import pytest
from golden_cases import PACKAGED

from lucaflow.checkpoints.converted_checkpoint import CHECKPOINT_RECORD, HEAD_ENTRY, HEAD_NAME, MODEL_NAME, read_record
from lucaflow.files.receipts import receipt_path, recorded_settings, write_receipt
from lucaflow.files.sealed import sealed
from lucaflow.files.writing import write_json


def forget_head(folder):
    """Make a converted folder what earlier versions of LucaFlow wrote, with its receipt."""
    (folder / HEAD_NAME).unlink()
    record = {key: value for key, value in read_record(folder).items() if key != HEAD_ENTRY}
    write_json(folder / CHECKPOINT_RECORD, sealed(record))
    receipt = receipt_path(folder, "convert")
    write_receipt(receipt, recorded_settings(receipt), [folder / CHECKPOINT_RECORD, folder / MODEL_NAME])


@pytest.mark.long
def test_embedding_does_not_need_it_and_scores_get_it(workflow):
    published = PACKAGED / "language_model/checkpoints/L2-hf"
    workflow.fasta("p.fasta", {"a": "MKVLAWRRKLAWQEMKVLAW"})
    workflow.datasets({"dataset": "p", "path": "p.fasta", "seq_type": "prot"})
    workflow.config |= {
        "model": {"llm_version": "ours"},
        "checkpoints": {"directory": "converted", "path": {"ours": str(published)}, "accept_unproven": True},
    }
    workflow.run().succeeded()
    (folder,) = (workflow.directory / "converted").glob("ours-*")
    forget_head(folder)
    assert not workflow.run().succeeded().jobs
    written = (folder / MODEL_NAME).stat().st_mtime_ns
    workflow.config["scores"] = {"outputs": ["likelihood"]}
    jobs = workflow.run().succeeded().jobs
    assert (jobs["convert_checkpoint"], jobs["score"], jobs["embed"]) == (1, 1, 0)
    assert (folder / HEAD_NAME).is_file()
    assert (folder / MODEL_NAME).stat().st_mtime_ns == written
    (log,) = (workflow.directory / "logs/convert_checkpoint").glob("ours-*.log")
    assert f"added {HEAD_NAME}" in log.read_text()
    assert not workflow.run().succeeded().jobs
