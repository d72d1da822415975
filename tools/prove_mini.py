"""Let the packaged checkpoints prove themselves on known sequences: write proof.json beside them."""

from __future__ import annotations

import sys

from lucaflow import load_encoder
from lucaflow.checkpoints.converted_checkpoint import read_record
from lucaflow.checkpoints.model import default_model
from lucaflow.scores.passes import LanguageModel
from lucaflow.scores.proof import prove
from lucaflow.scores.proof_record import packaged_proof, write_proofs


def main(name: str) -> None:
    """Score the known sequences of the types that a network reads, and the same letters shuffled."""
    model = LanguageModel.of(load_encoder(name))
    described = default_model(name)
    assert model.encoder.folder is not None and described is not None
    proofs = {seq_type: prove(model, seq_type) for seq_type in model.encoder.vocabulary.seq_types}
    for proof in proofs.values():
        print(proof.sentence)
    write_proofs(packaged_proof(described), read_record(model.encoder.folder), proofs)


if __name__ == "__main__":
    for each in sys.argv[1:]:
        main(each)
