"""The recorded cases of LucaOneApp, translated into LucaFlow's options and inputs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lucaflow.encoders.lucaone import LucaOne
from lucaflow.engine.engine import Engine
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.errors import InputError
from lucaflow.records.outcomes import NO_REQUIREMENTS, Normaliser, Policies
from lucaflow.records.readers import Columns, read_records
from lucaflow.records.record_files import NormalisedFiles, normalise_dataset
from lucaflow.records.sequences import NormalisedSequence

PACKAGED = Path(__file__).parents[1] / "golden"


def golden_folder(name: str) -> Path:
    """Return the folder of recorded results: the packaged one, or the one that LUCAFLOW_GOLDEN_<NAME> names."""
    return Path(os.environ.get(f"LUCAFLOW_GOLDEN_{name.upper()}") or PACKAGED / name)


GOLDEN = golden_folder("embedding")
# How many cases there are is known of the packaged ones alone.
IS_PACKAGED = GOLDEN == PACKAGED / "embedding"
TOLERANCE = {"atol": 1e-4, "rtol": 1e-4}
# Recorded runs that LucaOneApp gets wrong, by the name of the case without its checkpoint, and the words of LucaFlow's
# error; None if LucaFlow accepts the input.
REFUSED = {
    "clean/gene-only-marks": "no residue in the sequence",
    "clean/gene-only-marks-special": "no residue in the sequence",
    "clean/gene-only-digits": "no residue in the sequence",
    "clean/gene-only-marks-mean": "no residue in the sequence",
    "clean/gene-only-marks-max": "no residue in the sequence",
    "clean/gene-only-marks-cls": "no residue in the sequence",
    "segdirty/C14-gene-empty": "no residue in the sequence",
    "typecheck/prot-empty": "no residue in the sequence",
    "reader/fasta-blank-record": "no residue in the sequence",
    "reader/fasta-empty-record": "no residue in the sequence",
    "reader/fasta-last-empty": "no residue in the sequence",
    "reader/fasta-empty-file": "holds no records",
    "reader/fasta-dup-ids": "is on line 1 with another sequence",
    "reader/fasta-empty-id": "has no id",
    "reader/csv-empty-id": "has no id",
    "reader/fasta-no-header": "neither FASTA nor a table",
    "reader/csv-one-column": "neither FASTA nor a table",
    "reader/csv-lower-idx-range": "no column '5' for the sequences",
    "reader/csv-no-header": "looks like a record",
    "typecheck/gene-is-prot": "looks like a protein",
    "reader/fasta-abort-midway": None,
}


@dataclass(frozen=True)
class GoldenCheckpoint:
    folder: Path
    encoder: LucaOne
    arrays: dict[str, np.ndarray]


def options_of(run: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    return {**defaults, **run["options"]}


def fixed_length(options: dict[str, Any]) -> int | None:
    """Return the fixed length; LucaOneApp ignores 0 and negative lengths."""
    fixed = options["embedding_fixed_len_a_time"]
    return fixed if fixed is not None and fixed > 0 else None


def embedding_options(options: dict[str, Any]) -> EmbeddingOptions:
    vector = options["vector_type"]
    return EmbeddingOptions(
        outputs=("matrix",) if options["embedding_type"] == "matrix" else (vector,),
        matrix_add_special_token=options["matrix_add_special_token"],
        embedding_complete=options["embedding_complete"],
        truncation_seq_length=options["truncation_seq_length"],
        trunc_type=options["trunc_type"],
        embedding_fixed_len_a_time=fixed_length(options),
        embedding_complete_seg_overlap=options["embedding_complete_seg_overlap"],
    )


def columns_of(options: dict[str, Any]) -> Columns:
    """Return the columns; LucaOneApp uses its two column options only together."""
    if options["id_idx"] is None or options["seq_idx"] is None:
        return Columns()
    return Columns(id=str(options["id_idx"]), sequence=str(options["seq_idx"]))


def file_name(header: str, embedding_type: str) -> str:
    """Return LucaOneApp's file name for a record."""
    name = header.removeprefix(">").replace(" ", "").replace("/", "_").replace("|", "_")
    return f"{embedding_type}_{name}.pt"


class Checkpoints(dict[str, GoldenCheckpoint]):
    """The recorded checkpoints by name; a test that needs one which is not recorded is skipped."""

    def __missing__(self, name: str) -> GoldenCheckpoint:
        pytest.skip(f"{GOLDEN} has no checkpoint {name}")


def name_of(case):
    """Return the name of a case, without its checkpoint."""
    return case["id"].partition("/")[2]


def named_cases(manifest, names):
    """Return the cases of these names: all of them if they are packaged, else skip the test if there is none."""
    cases = [case for case in manifest["cases"] if name_of(case) in set(names)]
    assert not IS_PACKAGED or {name_of(case) for case in cases} == set(names)
    return cases or pytest.skip(f"{GOLDEN} has none of the cases {', '.join(names)}")


def enough(cases, count):
    """Return cases; of the packaged ones there must be more than `count`, else skip the test if there is none."""
    assert not IS_PACKAGED or len(cases) > count
    return cases or pytest.skip(f"{GOLDEN} has no such case")


def tagged_cases(manifest, *tags):
    """Return the cases of some of LucaOneApp's defects; skip the test if there is none."""
    cases = [case for case in manifest["cases"] if set(tags) & set(case.get("defects") or [])]
    return cases or pytest.skip(f"{GOLDEN} has no case of {', '.join(tags)}")


def refusal(case, defaults, tmp_path):
    """Return the message of the InputError that the dataset of a case raises."""
    run = case["runs"][0]
    options = options_of(run, defaults)
    path = tmp_path / run["input_name"]
    path.write_text(run["input_text"], encoding="utf-8", newline="")
    files = NormalisedFiles(
        *(tmp_path / name for name in ("records.tsv", "d.fasta", "labels.tsv", "counts.json", "problems.tsv"))
    )
    with pytest.raises(InputError) as error:
        normalise_dataset(
            read_records(path, columns_of(options)),
            path,
            options["seq_type"],
            Policies("drop", "first", "error", "error"),
            files,
        )
    return str(error.value)


def outcomes(case, defaults, tmp_path, type_mismatch="accept", requirements=NO_REQUIREMENTS):
    """Read and normalise a case's input file; yield (header or id, outcome) of each record."""
    run = case["runs"][0]
    options = options_of(run, defaults)
    path = tmp_path / run["input_name"]
    path.write_text(run["input_text"], encoding="utf-8", newline="")
    normaliser = Normaliser(Policies("drop", "first", type_mismatch, "error"), requirements)
    lines = run["input_text"].splitlines()
    for raw in read_records(path, columns_of(options)):
        is_table = path.suffix in (".csv", ".tsv")
        yield (raw.id if is_table else lines[raw.line - 1]), normaliser.outcome(raw, options["seq_type"])


def computed(case, checkpoint, defaults, tmp_path, budget):
    """Embed a case's input file as the workflow does; return the arrays by LucaOneApp's file names."""
    options = options_of(case["runs"][0], defaults)
    wanted = embedding_options(options)
    sequences, names = [], []
    for header, outcome in outcomes(case, defaults, tmp_path):
        assert outcome.status == "accepted", outcome
        sequences.append(NormalisedSequence(outcome.digest, options["seq_type"], outcome.sequence))
        names.append(file_name(header, options["embedding_type"]))
    engine = Engine(checkpoint.encoder, wanted, torch.device("cpu"), budget)
    found = {}
    for batch in engine.embed(sequences):
        for piece in batch.pieces:
            matrix = found.setdefault(piece.sequence, np.full((piece.total_rows, piece.rows.shape[1]), np.nan))
            matrix[piece.start_row : piece.start_row + len(piece.rows)] = piece.rows
        for vectors in batch.vectors.values():
            found |= dict(zip(batch.sequences.tolist(), vectors, strict=True))
    return {names[index]: array for index, array in found.items()}


def forward_cases(manifest: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the recorded calls of the model class."""
    return {case["id"]: case for case in manifest["cases"] if case["entry"] == "forward"}


def tensors(case: dict[str, Any]) -> tuple[Tensor, Tensor, list[int]]:
    """Return ids and types (B, n) of a padded batch, and the number of tokens of each row."""
    inputs = case["inputs"]
    ids = torch.tensor(inputs["input_ids"])
    types = torch.tensor(inputs["token_type_ids"]) if inputs["token_type_ids"] else torch.zeros_like(ids)
    return ids, types, inputs.get("valid_lengths", [ids.shape[1]] * len(ids))


def packed(ids: Tensor, types: Tensor, lengths: list[int]) -> tuple[Tensor, Tensor, list[int]]:
    """Return the encoder's inputs: the rows of a padded batch, concatenated without padding, and their lengths."""
    ids, types = (torch.cat([row[:n] for row, n in zip(x, lengths, strict=True)]) for x in (ids, types))
    return ids, types, lengths
