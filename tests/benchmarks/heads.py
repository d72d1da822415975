"""How fast heads predict from stored embeddings, against embedding and predicting one row at a time.

    make benchmark-heads

Networks have the real sizes and random weights. The plain way is LucaOne's, as LucaOneTasks runs it: one sequence at a
time, its embedding computed anew, then the head. Both are measured in one process.
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
from lucaflow.downstream.inputs import HeadInput, framed
from lucaflow.downstream.lucaonetasks import Task, renamed, structure_of
from lucaflow.downstream.networks import Head
from lucaflow.downstream.prediction import KeptPredictions, Predictor, ShardSource, predict_singles, read_batches
from lucaflow.downstream.required_embeddings import WHOLE, EmbeddingRequest
from lucaflow.encoders.onednn import can_pack
from lucaflow.engine.devices import set_arithmetic
from lucaflow.engine.pooling import EmbeddedBatch, Piece
from lucaflow.records.sequences import NormalisedSequence
from lucaflow.store.assembly import Accepted
from lucaflow.store.shards import ShardContent, ShardWriter

WIDTH = 2560
REAL = Path(__file__).resolve().parents[1] / "golden/downstream/real_state_dicts.json"
NETWORK = {"LucaBase": "luca_base", "LucaPPI": "lucappi", "LucaPPI2": "lucappi2"}
READING = HeadInput(
    Model("lucaone", 5600000), 4096, 4096, complete=False, trunc_type="right", special=False, frame=True
)
WANTED = EmbeddingRequest.by(READING, 4096)


def head_of(name: str, real: dict[str, Any]) -> Head:
    """Return a head of its real structure and size, with random weights."""
    torch.manual_seed(0)
    ours = renamed(real["state_dict"])
    shapes = {ours[key]: tuple(shape) for key, shape in real["state_dict"].items() if key in ours}
    task = Task(name, "protein", "multi_class", NETWORK[real["cls"]], "20240101000000", "1")
    head = Head(structure_of(shapes, task, real["args"], real["config"]))
    for parameter in [*head.parameters(), *head.buffers()]:
        torch.nn.init.normal_(parameter, std=0.02)
    head = head.eval().requires_grad_(False)
    return pack_encoders(head) if can_pack() else head


def write_store(path: Path, sequences: list[NormalisedSequence]) -> Accepted:
    """Write random matrices of the lengths of sequences into a shard; return the records that have them."""
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
    return Accepted([str(number) for number in rows], np.array(digests, dtype="S64"), np.array(lengths), rows)


def stored(head: Head, source: ShardSource, accepted: Accepted) -> None:
    """Predict for every sequence, or a pair of neighbours, from the store."""
    predictor = Predictor(head, torch.device("cpu"))
    needed = np.ones(len(accepted.digests), dtype=bool)
    batches = read_batches([source], WANTED, READING, 4094, accepted, needed, predictor.budget)
    if head.structure.sides == 1:
        predict_singles(predictor, batches, KeptPredictions(len(needed), "multi_class", predictor.outputs, None))
        return
    for batch in batches:
        vectors = predictor.vectors(0, batch.matrices)
        predictor.outputs_for(vectors, np.roll(vectors, 1, axis=0))


def one_at_a_time(head: Head, matrices: list[np.ndarray]) -> None:
    """Predict for one sequence after the other, or a pair of neighbours, without batches."""
    predictor = Predictor(head, torch.device("cpu"))
    for number in range(len(matrices)):
        of_sides = [predictor.vectors(0, [matrices[number - side]]) for side in range(head.structure.sides)]
        predictor.outputs_for(*of_sides)


def main() -> None:
    """Measure a head of each kind."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--plain", type=int, default=6, help="sequences embedded one at a time")
    parser.add_argument("--stored", type=int, default=400, help="sequences whose embeddings are stored")
    arguments = parser.parse_args()
    set_arithmetic("float32")
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
            framed(generator.standard_normal((len(s.residues), WIDTH), dtype=np.float32), 4094, False, True)
            for s in few
        ]
        for task in ("ProtLoc", "SupKTax", "GenusTax", "PPI"):
            head = head_of(task, json.loads(REAL.read_text())[task])
            fast = per_residue(partial(stored, head, ShardSource(path, WHOLE), accepted), many)
            slow = head.structure.sides * embedding + per_residue(partial(one_at_a_time, head, matrices), few)
            row("", task, f"{1 / fast:,.0f} residues/s; {slow / fast:.0f} times as fast")


def per_residue(predict: Callable[[], None], sequences: list[NormalisedSequence]) -> float:
    """Return the seconds that predicting takes for a residue, the second time."""
    predict()
    return seconds(predict, torch.device("cpu")) / sum(len(sequence.residues) for sequence in sequences)


if __name__ == "__main__":
    main()
