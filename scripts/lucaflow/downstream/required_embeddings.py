"""Which embedding a trained model asks for, which of it a dataset has already, and what is to be computed.

A sequence that a model reads whole has one embedding, whatever the model's limit is; so models share it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from lucaflow.checkpoints.model import Model
from lucaflow.downstream.inputs import HeadInput
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.errors import StoreError
from lucaflow.files.json_files import DIGEST_LENGTH, as_json, parse_json

# Of whole sequences, in one pass, in the arithmetic that models were trained with.
WHOLE = EmbeddingOptions(outputs=("matrix",))


@dataclass(frozen=True)
class EmbeddingRequest:
    """The embedding that a trained model reads. limit: residues to which a sequence is cut before it is embedded."""

    model: Model
    limit: int
    trunc_type: str
    special: bool

    @classmethod
    def by(cls, reading: HeadInput, llm_truncation_seq_length: int) -> EmbeddingRequest:
        """Return what a model asks for that reads embeddings in this way."""
        limit = reading.residues_embedded(llm_truncation_seq_length)
        return cls(reading.model, limit, reading.trunc_type, reading.special)

    def options_of(self, length: int) -> EmbeddingOptions:
        """Return the options by which a sequence of `length` residues is embedded."""
        whole = replace(WHOLE, matrix_add_special_token=self.special)
        if length <= self.limit:
            return whole
        return replace(whole, embedding_complete=False, truncation_seq_length=self.limit, trunc_type=self.trunc_type)


@dataclass(frozen=True)
class OwnEmbeddings:
    """The embeddings that a dataset has anyway: by which checkpoint, and with which options."""

    model: Model
    options: EmbeddingOptions

    def serves(self, wanted: EmbeddingRequest, length: int) -> bool:
        """Say whether matrices of sequences of `length` residues are what a trained model wants."""
        own, asked = self.options, wanted.options_of(length)
        return (
            self.model == wanted.model
            and "matrix" in own.outputs
            and (own.layer, own.precision, own.dtype) == (asked.layer, asked.precision, asked.dtype)
            and (own.matrix_add_special_token or not wanted.special)
            and own.windowing.windows(length) == asked.windowing.windows(length)
        )


@dataclass(frozen=True)
class Group:
    """Sequences that are to be embedded alike, for the trained models that want it. fingerprint: of the embedding."""

    model: Model
    options: EmbeddingOptions
    fingerprint: str
    shards: tuple[str, ...] = ()

    @property
    def short(self) -> str:
        return self.fingerprint[:DIGEST_LENGTH]

    def files(self, folder: Path) -> list[Path]:
        """Return the files of the group's shards; folder: results/<dataset>/heads."""
        return [folder / self.model.name / self.short / f"{shard}.h5" for shard in self.shards]


@dataclass(frozen=True)
class Plan:
    """What is embedded for the trained models of a dataset. own: whether one of them reads the dataset's own shards."""

    groups: tuple[Group, ...]
    own: bool

    def to_json(self) -> str:
        return as_json({"groups": [asdict(group) for group in self.groups], "own": self.own})

    @classmethod
    def read(cls, path: Path) -> Plan:
        """Return the plan in a file. Raises StoreError."""
        try:
            stored = parse_json(path)
            groups = tuple(
                Group(
                    Model(**group["model"]),
                    EmbeddingOptions(**{**group["options"], "outputs": tuple(group["options"]["outputs"])}),
                    group["fingerprint"],
                    tuple(group["shards"]),
                )
                for group in stored["groups"]
            )
            return cls(groups, stored["own"])
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{path} is damaged ({error!r}). Delete it and run again.") from error

    def groups_for(self, wanted: EmbeddingRequest) -> list[Group]:
        """Return the groups of which a trained model reads."""
        read = {wanted.options_of(wanted.limit), wanted.options_of(wanted.limit + 1)}
        return [group for group in self.groups if group.model == wanted.model and group.options in read]

    def group_of(self, model: str, short: str) -> Group:
        """Return the group whose shards lie in a folder of this model's name and of this short fingerprint."""
        return next(group for group in self.groups if (group.model.name, group.short) == (model, short))


def missing_embeddings(
    lengths: np.ndarray, wanted: Iterable[EmbeddingRequest], own: OwnEmbeddings | None
) -> tuple[dict[tuple[Model, EmbeddingOptions], np.ndarray], bool]:
    """Return which sequences (U,) have to be embedded how, and whether any model reads what the dataset has.

    lengths: residues of the distinct sequences, (U,).
    """
    distinct, place = np.unique(lengths, return_inverse=True)
    missing: dict[tuple[Model, EmbeddingOptions], np.ndarray] = {}
    served = False
    for one in dict.fromkeys(wanted):
        for index, length in enumerate(distinct.tolist()):
            if own is not None and own.serves(one, length):
                served = True
                continue
            key = one.model, one.options_of(length)
            missing.setdefault(key, np.zeros(len(distinct), dtype=bool))[index] = True
    return {key: chosen[place] for key, chosen in missing.items()}, served


def unplanned_folders(dataset: Path) -> list[Path]:
    """Return the folders of shards for downstream models that a dataset's plan does not name.

    dataset: results/<dataset>.
    """
    plan = dataset / "heads" / "plan.json"
    planned = {group.short for group in Plan.read(plan).groups} if plan.is_file() else set()
    return [path for path in sorted(dataset.glob("heads/*-*/*/")) if path.name not in planned]
