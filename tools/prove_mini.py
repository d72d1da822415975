"""Let the packaged checkpoint prove itself on known sequences: write resources/mini/proof.json."""

from __future__ import annotations

from lucaflow import load_encoder
from lucaflow.checkpoints.converted_checkpoint import read_record
from lucaflow.scores.passes import LanguageModel
from lucaflow.scores.proof import prove
from lucaflow.scores.proof_record import PACKAGED_PROOF, write_proofs


def main() -> None:
    """Score the known sequences of both types, and the same letters shuffled."""
    model = LanguageModel.of(load_encoder("mini"))
    assert model.encoder.folder is not None
    proofs = {seq_type: prove(model, seq_type) for seq_type in model.encoder.vocabulary.seq_types}
    for proof in proofs.values():
        print(proof.sentence)
    write_proofs(PACKAGED_PROOF, read_record(model.encoder.folder), proofs)


if __name__ == "__main__":
    main()
