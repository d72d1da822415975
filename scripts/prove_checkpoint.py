"""Record whether the language model of a checkpoint tells known sequences from the same letters shuffled."""

import lucaflow.quick_start  # noqa: F401

from pathlib import Path

from lucaflow.checkpoints.converted_checkpoint import read_record
from lucaflow.logs import reporting_to
from lucaflow.scores.passes import LanguageModel
from lucaflow.scores.proof import require_proven
from lucaflow.scores.proof_record import write_proofs


def main() -> None:
    """Record whether the weights tell known sequences from shuffled ones, for each type that the datasets have."""
    config, path = snakemake.config, Path(snakemake.output[0])
    compute, record = config["compute"], read_record(path.parent)
    model = LanguageModel.load(
        path.parent, compute["device"], config["embedding"]["precision"], compute["tokens_per_batch"]
    )
    # Weights that do not are refused by the jobs that score; this one says so of all types.
    proofs = {
        seq_type: require_proven(model, path.parent, record, seq_type, accept_unproven=True)
        for seq_type in snakemake.params.seq_types
    }
    write_proofs(path, record, proofs)


if __name__ == "__main__":
    with reporting_to(snakemake.log[0]):
        main()
