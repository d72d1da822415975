"""Read the weights of a converted checkpoint, and check each tensor against its SHA-256 before it is used."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import Tensor

from lucaflow.checkpoints.checksums import damage_of_weights
from lucaflow.checkpoints.converted_checkpoint import CHECKPOINT_RECORD, MODEL_NAME, read_record
from lucaflow.checkpoints.state_dicts import HEADER, sha256_of_tensor
from lucaflow.errors import CheckpointError

ANEW = f"Delete {CHECKPOINT_RECORD} and run `snakemake fetch`, which converts the checkpoint anew"


@dataclass(frozen=True)
class CheckedWeights:
    """The tensors of a converted model, an encoder or a downstream model.

    record: content of checkpoint.json; shapes: of each tensor in the file, by name.
    """

    folder: Path
    record: Mapping[str, Any]
    shapes: Mapping[str, Sequence[int]]

    @classmethod
    def of(cls, folder: Path) -> CheckedWeights:
        """Return the weights in a folder. Raises CheckpointError if their size or header differs from the record."""
        record = read_record(folder)
        path = folder / MODEL_NAME
        if not path.is_file():
            raise CheckpointError(f"{path} is missing. Run `snakemake fetch`, which converts the checkpoint anew.")
        if (size := path.stat().st_size) != record["model"]["bytes"]:
            raise CheckpointError(
                f"{path} has {size} bytes, expected {record['model']['bytes']}. "
                "Delete it, or run `snakemake verify`, which removes it; `snakemake fetch` then converts it anew."
            )
        digests = record.get("sha256_of_parts")
        if not isinstance(digests, dict):
            raise CheckpointError(
                f"{folder / CHECKPOINT_RECORD} has no SHA-256 of each tensor, because another version of LucaFlow "
                "wrote it. Run `snakemake fetch`, which converts the checkpoint anew; it needs the published files."
            )
        if _sha256_of_header(path) != digests.get(HEADER):
            raise damage_of_weights(folder, "the header")
        with safe_open(path, "pt") as file:
            if differing := (digests.keys() - {HEADER}) ^ set(file.keys()):
                raise damage_of_weights(folder, min(differing))
            return cls(folder, record, {name: file.get_slice(name).get_shape() for name in digests if name != HEADER})

    def require(self, names: Iterable[str]) -> None:
        """Raise CheckpointError unless the file has all of these tensors."""
        if missing := set(names) - self.shapes.keys():
            raise CheckpointError(
                f"{self.folder / MODEL_NAME} has no {min(missing)}, which the network in {CHECKPOINT_RECORD} needs. "
                f"{ANEW}."
            )

    def tensor(self, name: str) -> Tensor:
        """Return a memory-mapped tensor. Raises CheckpointError if it does not have its recorded SHA-256."""
        with safe_open(self.folder / MODEL_NAME, "pt") as file:
            tensor = file.get_tensor(name)
        if sha256_of_tensor(tensor) != self.record["sha256_of_parts"][name]:
            raise damage_of_weights(self.folder, name)
        return tensor


def _sha256_of_header(path: Path) -> str:
    """Return the hex SHA-256 of the header of a safetensors file: its length, names, types, shapes and places."""
    with path.open("rb") as file:
        start = file.read(8)
        # A damaged length may be any number.
        length = min(int.from_bytes(start, "little"), path.stat().st_size)
        return hashlib.sha256(start + file.read(length)).hexdigest()
