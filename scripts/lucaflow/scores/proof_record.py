"""What the proof of a language model found, as it is recorded beside the checkpoint. Reading it loads no network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lucaflow.checkpoints.converted_checkpoint import HEAD_ENTRY
from lucaflow.checkpoints.model import Model
from lucaflow.files.json_files import digest_of_settings, parse_json
from lucaflow.files.writing import write_json
from lucaflow.versions import PROOF_VERSION

_RESOURCES = Path(__file__).resolve().parents[3] / "resources"
KNOWN_SEQUENCES = _RESOURCES / "known_sequences.tsv"
PROOF_NAME = "proof.json"
# What the packaged checkpoints have proven: they are not asked again.
_PACKAGED_PROOFS = "*/proof.json"


@dataclass(frozen=True)
class Compared:
    """A known sequence beside itself shuffled: the pseudo-perplexities, by token."""

    name: str
    source: str
    pseudo_perplexity: float
    pseudo_perplexity_shuffled: float


@dataclass(frozen=True)
class Proof:
    """Whether a model tells the known sequences of a type from shuffled ones.

    difference: mean log-probability of a letter in its sequence, minus the one in the shuffled sequence, in nats, with
    its standard error.
    """

    seq_type: str
    proven: bool
    difference: float
    standard_error: float
    sequences: tuple[Compared, ...]

    @property
    def sentence(self) -> str:
        """What the proof found, for a report or a log."""
        found = "tell" if self.proven else "do not tell"
        kind = "proteins" if self.seq_type == "prot" else "genes"
        return (
            f"The weights {found} {len(self.sequences)} known {kind} from the same letters shuffled: in its place a "
            f"letter is likelier by {self.difference:.3f} nats (standard error {self.standard_error:.3f})."
        )


def proofs_of(folder: Path, record: Mapping[str, Any]) -> dict[str, Proof]:
    """Return the proofs of a converted checkpoint by type, also those that come with LucaFlow. record: its own."""
    return recorded_proofs(folder / PROOF_NAME, record) | packaged_proofs(record)


def packaged_proofs(record: Mapping[str, Any]) -> dict[str, Proof]:
    """Return the proofs by type that come with LucaFlow for the weights of a record; none if it has none for them."""
    found: dict[str, Proof] = {}
    for path in sorted(_RESOURCES.glob(_PACKAGED_PROOFS)):
        found |= recorded_proofs(path, record)
    return found


def packaged_proof(model: Model) -> Path:
    """Return the file of the proofs of a packaged model."""
    return _RESOURCES.parent / str(model.packaged) / PROOF_NAME


def write_proofs(path: Path, record: Mapping[str, Any], proofs: Mapping[str, Proof]) -> None:
    """Write the proofs of a checkpoint by type. record: of the checkpoint."""
    content = {seq_type: asdict(proof) for seq_type, proof in sorted(proofs.items())}
    write_json(path, {"identity": _identity_of(record), "proofs": content})


def recorded_proofs(path: Path, record: Mapping[str, Any]) -> dict[str, Proof]:
    """Return the proofs in a file by type; none if it is of other weights or known sequences, or damaged.

    record: of the checkpoint.
    """
    try:
        content = parse_json(path)
        if content["identity"] != _identity_of(record):
            return {}
        return {
            seq_type: Proof(**{**proof, "sequences": tuple(Compared(**each) for each in proof["sequences"])})
            for seq_type, proof in content["proofs"].items()
        }
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _identity_of(record: Mapping[str, Any]) -> str:
    return digest_of_settings(
        {
            "version": PROOF_VERSION,
            "network": record["network_sha256"],
            "head": record[HEAD_ENTRY]["head_sha256"],
            "sequences": KNOWN_SEQUENCES.read_text(encoding="utf-8"),
        }
    )
