"""A shard whose rows are tokens of several letters: written, taken up after a cut, reused, and estimated."""

from __future__ import annotations

import random
from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch
from golden_cases import PACKAGED

from lucaflow.checkpoints.conversion import convert
from lucaflow.checkpoints.converted_checkpoint import read_record
from lucaflow.checkpoints.layouts import locate
from lucaflow.checkpoints.model import Model
from lucaflow.embedding.comparisons import ComparisonSetup, compare_stitchings
from lucaflow.embedding.estimate import bytes_by_output, check_checkpoint
from lucaflow.embedding.shard_job import embed_shard
from lucaflow.engine.engine import Engine
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.errors import ConfigError
from lucaflow.records.counts import Counts
from lucaflow.records.outcomes import digest_of
from lucaflow.records.sequences import NormalisedSequence

OPTIONS = EmbeddingOptions(outputs=("mean", "matrix"), matrix_add_special_token=True)
WINDOWED = replace(OPTIONS, embedding_fixed_len_a_time=20, stitching="separate")
NAME = "b" * 16


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    model, folder = Model("ours", None), tmp_path_factory.mktemp("converted")
    convert(locate(PACKAGED / "encoders/checkpoints/D1", model), folder)
    return folder


def genes(count=14):
    draw = random.Random(5)
    return ["".join(draw.choices("ACGTN", k=draw.randint(4, 60))) for _ in range(count)]


def embedded(folder, checkpoint, sequences, options):
    folder.mkdir(exist_ok=True)
    ordered = sorted(sequences, key=len, reverse=True)
    fasta = folder / f"{NAME}.fasta"
    fasta.write_text("".join(f">{digest_of('gene', text)} gene\n{text}\n" for text in ordered))
    output = folder / "shards" / f"{NAME}.h5"
    embed_shard(fasta, output, checkpoint, options, "cpu", 20)
    return output


@pytest.mark.parametrize("options", [OPTIONS, WINDOWED], ids=["one pass", "windows"])
def test_a_job_that_is_cut_anywhere_goes_on_to_the_same_bytes(checkpoint, tmp_path, monkeypatch, options):
    expected = embedded(tmp_path / "whole", checkpoint, genes(), options).read_bytes()
    for cut_at in (1, 3, 6):
        launch, launched = Engine._launch, []

        def cut(engine, sequences, planned, *, launch=launch, launched=launched, cut_at=cut_at):
            launched.append(planned)
            if len(launched) > cut_at:
                raise KeyboardInterrupt
            return launch(engine, sequences, planned)

        folder = tmp_path / f"cut {cut_at}"
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(Engine, "_launch", cut)
            embedded(folder, checkpoint, genes(), options)
        assert embedded(folder, checkpoint, genes(), options).read_bytes() == expected


def test_spans_are_copied_with_the_rows_of_another_shard(checkpoint, tmp_path):
    """A shard of another division of the dataset has no FASTA file any more."""
    older = embedded(tmp_path, checkpoint, genes(), OPTIONS)
    other = older.rename(older.with_name(f"{'c' * 16}.h5"))
    older.with_name(f".{NAME}.h5.working").unlink()
    newer = embedded(tmp_path, checkpoint, genes()[:4], OPTIONS)
    with h5py.File(other) as before, h5py.File(newer) as after:
        assert after["taken_over"][:].all()
        for digest, spans in after["spans"].items():
            np.testing.assert_array_equal(spans, before[f"spans/{digest}"])
            assert (len(spans), spans.dtype) == (len(after[f"matrix/{digest}"]), np.int32)


def test_vectors_alone_have_no_spans(checkpoint, tmp_path):
    with h5py.File(embedded(tmp_path, checkpoint, genes(), replace(OPTIONS, outputs=("mean",)))) as file:
        assert "spans" not in file


def test_a_directory_of_ones_own_is_checked_by_its_record(checkpoint):
    check_checkpoint(WINDOWED, read_record(checkpoint))
    with pytest.raises(ConfigError, match="whose windows overlap, but a row of `ours` covers several letters"):
        check_checkpoint(replace(WINDOWED, stitching="lucaone"), read_record(checkpoint))


def test_windows_are_not_compared_residue_by_residue(checkpoint):
    setup = ComparisonSetup(checkpoint, torch.device("cpu"), 100)
    sequences = [NormalisedSequence("0" * 64, "gene", "ACGT" * 20)]
    with pytest.raises(ConfigError, match="rows of this network cover several letters, other ones in each window"):
        compare_stitchings(setup, WINDOWED, sequences)


def test_an_estimate_has_a_row_for_four_letters(checkpoint):
    counts = Counts({"accepted": 10}, 10, 1000, {100: 10})
    encoder = read_record(checkpoint)["encoder"]
    plain = replace(OPTIONS, outputs=("matrix",), matrix_add_special_token=False)
    tokens, residues = (bytes_by_output(counts, plain, each, ())["matrix"] for each in (encoder, {"hidden_size": 32}))
    assert residues - tokens == 10 * 75 * 32 * 4
