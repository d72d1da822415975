"""Compare heads that read stored embeddings with embedding and predicting one sequence at a time.

    make benchmark-heads

Networks have the published sizes and random weights. The comparison is LucaOne's way, as LucaOneTasks runs it: for one
sequence at a time, compute its embedding, then run the head. Both are measured in one process.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from networks import FULL, heading, plain_loop, proteins, row, seconds

from lucaflow.checkpoints.model import Model
from lucaflow.downstream.conversion import pack_encoders
from lucaflow.downstream.inputs import HeadInput, rows_for_head
from lucaflow.downstream.lucaonetasks import Task, renamed, structure_of
from lucaflow.downstream.networks import Head
from lucaflow.downstream.prediction import OutputRows, Predictor, ShardSource, predict_singles, read_batches
from lucaflow.downstream.required_embeddings import WHOLE, EmbeddingRequest
from lucaflow.encoders.onednn import can_pack
from lucaflow.engine.devices import set_matmul_precision
from lucaflow.engine.pooling import EmbeddedBatch, Piece
from lucaflow.records.sequences import NormalisedSequence
from lucaflow.store.assembly import AcceptedRecords
from lucaflow.store.format import ShardContent
from lucaflow.store.shards import ShardWriter

WIDTH = 2560
REAL = Path(__file__).resolve().parents[1] / "golden/downstream/real_state_dicts.json"
NETWORK = {"LucaBase": "luca_base", "LucaPPI": "lucappi", "LucaPPI2": "lucappi2"}
HEAD_INPUT = HeadInput(
    Model("lucaone", 5600000), 4096, 4096, complete=False, trunc_type="right", special=False, frame=True
)
REQUEST = EmbeddingRequest.by(HEAD_INPUT, 4096)


def head_of(name: str, real: dict[str, Any]) -> Head:
    """Return a head of the published structure and size, with random weights."""
    torch.manual_seed(0)
    ours = renamed(real["state_dict"])
    shapes = {ours[key]: tuple(shape) for key, shape in real["state_dict"].items() if key in ours}
    task = Task(name, "protein", "multi_class", NETWORK[real["cls"]], "20240101000000", "1")
    head = Head(structure_of(shapes, task, real["args"], real["config"]))
    for parameter in [*head.parameters(), *head.buffers()]:
        torch.nn.init.normal_(parameter, std=0.02)
    head = head.eval().requires_grad_(False)
    return pack_encoders(head) if can_pack() else head


def write_store(path: Path, sequences: list[NormalisedSequence]) -> AcceptedRecords:
    """Write a shard with a random matrix for each sequence; return the accepted records."""
    generator = np.random.default_rng(0)
    lengths = [len(sequence.residues) for sequence in sequences]
    digests = [sequence.digest for sequence in sequences]

    def batches() -> Iterator[EmbeddedBatch]:
        one = np.ones(1, dtype=np.int64)
        for number, length in enumerate(lengths):
            rows = generator.standard_normal((length, WIDTH), dtype=np.float32)
            yield EmbeddedBatch(np.array([number]), length * one, one, {}, [Piece("matrix", number, length, 0, rows)])

    with ShardWriter(path, ShardContent(digests, lengths, WHOLE, "", WIDTH), "cpu") as writer:
        writer.write(batches())
    rows = np.arange(len(digests))
    return AcceptedRecords([str(number) for number in rows], np.array(digests, dtype="S64"), np.array(lengths), rows)


def stored(head: Head, source: ShardSource, accepted: AcceptedRecords) -> None:
    """Predict from the store for every sequence, or for every pair of adjacent sequences."""
    predictor = Predictor(head, torch.device("cpu"))
    needed = np.ones(len(accepted.digests), dtype=bool)
    batches = read_batches([source], REQUEST, HEAD_INPUT, 4094, accepted, needed, predictor.budget)
    if head.structure.sides == 1:
        predict_singles(predictor, batches, OutputRows(len(needed), "multi_class", predictor.outputs, None))
        return
    for batch in batches:
        vectors = predictor.vectors(0, batch.matrices)
        predictor.outputs_for(vectors, np.roll(vectors, 1, axis=0))


def one_at_a_time(head: Head, matrices: list[np.ndarray]) -> None:
    """Predict without batches for every sequence, or for every pair of adjacent sequences."""
    predictor = Predictor(head, torch.device("cpu"))
    for number in range(len(matrices)):
        of_sides = [predictor.vectors(0, [matrices[number - side]]) for side in range(head.structure.sides)]
        predictor.outputs_for(*of_sides)


def main() -> None:
    """Measure a head of each kind."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--plain", type=int, default=6, help="number of sequences embedded one at a time")
    parser.add_argument("--stored", type=int, default=400, help="number of sequences with stored embeddings")
    arguments = parser.parse_args()
    set_matmul_precision("float32")
    heading(torch.device("cpu"))
    few = proteins(arguments.plain)
    loop = plain_loop(FULL, few, torch.device("cpu"))
    with torch.inference_mode():
        embedding = seconds(loop, torch.device("cpu")) / sum(len(sequence.residues) for sequence in few)
    del loop
    row("", "embedding one at a time", f"{1 / embedding:,.0f} residues/s")
    with tempfile.TemporaryDirectory() as name:
        many = proteins(arguments.stored)
        path = Path(name) / "store.h5"
        accepted = write_store(path, many)
        generator = np.random.default_rng(1)
        matrices = [
            rows_for_head(generator.standard_normal((len(s.residues), WIDTH), dtype=np.float32), 4094, False, True)
            for s in few
        ]
        for task in ("ProtLoc", "SupKTax", "GenusTax", "PPI"):
            head = head_of(task, json.loads(REAL.read_text())[task])
            fast = per_residue(partial(stored, head, ShardSource(path, WHOLE), accepted), many)
            slow = head.structure.sides * embedding + per_residue(partial(one_at_a_time, head, matrices), few)
            row("", task, f"{1 / fast:,.0f} residues/s; {slow / fast:.0f} times as fast")


def per_residue(predict: Callable[[], None], sequences: list[NormalisedSequence]) -> float:
    """Return the seconds per residue of a prediction, after one to warm up."""
    predict()
    return seconds(predict, torch.device("cpu")) / sum(len(sequence.residues) for sequence in sequences)


if __name__ == "__main__":
    main()
