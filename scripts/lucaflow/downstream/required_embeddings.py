"""Which embeddings downstream models request, which of them a dataset has, and which must be computed.

A sequence that models read whole has one embedding, whatever their limits are; so they share it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lucaflow.checkpoints.model import Model
from lucaflow.downstream.inputs import MATRIX, HeadInput
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.errors import StoreError
from lucaflow.files.json_files import DIGEST_LENGTH, as_json, parse_json
from lucaflow.files.places import inside
from lucaflow.records.sharding import FINGERPRINT_NAMES

# For whole sequences, in one pass, in the arithmetic of the training.
WHOLE = EmbeddingOptions(outputs=("matrix",))


@dataclass(frozen=True)
class EmbeddingRequest:
    """The embedding that a downstream model reads.

    limit: residues to which sequences are cut before embedding; output: `matrix`, or the vector `mean`, `max` or `cls`.
    """

    model: Model
    limit: int
    trunc_type: str
    special: bool
    output: str = MATRIX

    @classmethod
    def by(cls, head_input: HeadInput, llm_truncation_seq_length: int) -> EmbeddingRequest:
        """Return the request of a downstream model that reads this input."""
        limit = head_input.residues_embedded(llm_truncation_seq_length)
        return cls(head_input.model, limit, head_input.trunc_type, head_input.special, head_input.output)

    def settings(self) -> dict[str, Any]:
        """Return what steps depend on. Results of before there were vectors stay."""
        return {name: value for name, value in asdict(self).items() if name != "output" or value != MATRIX}

    def options_of(self, length: int) -> EmbeddingOptions:
        """Return the options for embedding a sequence of `length` residues."""
        whole = replace(WHOLE, outputs=(self.output,), matrix_add_special_token=self.special)
        if length <= self.limit:
            return whole
        return replace(whole, embedding_complete=False, truncation_seq_length=self.limit, trunc_type=self.trunc_type)


@dataclass(frozen=True)
class OwnEmbeddings:
    """The checkpoint and the options of the embeddings that a dataset has anyway."""

    model: Model
    options: EmbeddingOptions

    def serves(self, request: EmbeddingRequest, length: int) -> bool:
        """Return whether the matrices, or vectors, of sequences of `length` residues are the requested ones."""
        options, requested = self.options, request.options_of(length)
        return (
            self.model == request.model
            and request.output in options.outputs
            and (options.layer, options.precision, options.dtype)
            == (requested.layer, requested.precision, requested.dtype)
            and (options.matrix_add_special_token or not request.special)
            and options.windowing.windows(length) == requested.windowing.windows(length)
        )


@dataclass(frozen=True)
class Group:
    """Sequences that are embedded with the same options for downstream models. fingerprint: of the embedding."""

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
    """The embeddings for a dataset's downstream models.

    groups: those that are computed for them; reads_own_shards: whether a model reads the dataset's own shards.
    """

    groups: tuple[Group, ...]
    reads_own_shards: bool

    def to_json(self) -> str:
        return as_json({"groups": [asdict(group) for group in self.groups], "own": self.reads_own_shards})

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
            for shard in (shard for group in groups for shard in group.files(Path())):
                inside(Path(), shard.as_posix(), links=False)
            return cls(groups, stored["own"])
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{path} is damaged ({error!r}). Delete it and run again.") from error

    def groups_for(self, request: EmbeddingRequest) -> list[Group]:
        """Return the groups that serve a request."""
        read = {request.options_of(request.limit), request.options_of(request.limit + 1)}
        return [group for group in self.groups if group.model == request.model and group.options in read]

    def group_of(self, model: str, short: str) -> Group:
        """Return the group by the name of its model and its short fingerprint, as in the path of its shards."""
        return next(group for group in self.groups if (group.model.name, group.short) == (model, short))


def missing_embeddings(
    lengths: np.ndarray, requests: Iterable[EmbeddingRequest], own_embeddings: Sequence[OwnEmbeddings]
) -> tuple[dict[tuple[Model, EmbeddingOptions], np.ndarray], bool]:
    """Return the sequences to embed, and whether a model reads the dataset's own embeddings.

    The sequences are a mask (U,) for each checkpoint and its options. lengths: (U,) residues of the distinct sequences;
    own_embeddings: those that the dataset has anyway.
    """
    distinct, place = np.unique(lengths, return_inverse=True)
    missing: dict[tuple[Model, EmbeddingOptions], np.ndarray] = {}
    reads_own_shards = False
    for request in dict.fromkeys(requests):
        for index, length in enumerate(distinct.tolist()):
            if any(own.serves(request, length) for own in own_embeddings):
                reads_own_shards = True
                continue
            key = request.model, request.options_of(length)
            missing.setdefault(key, np.zeros(len(distinct), dtype=bool))[index] = True
    return {key: chosen[place] for key, chosen in missing.items()}, reads_own_shards


def unplanned_folders(dataset: Path) -> list[Path]:
    """Return the folders of shards for downstream models that are not in the plan. dataset: results/<dataset>."""
    plan = dataset / "heads" / "plan.json"
    planned = {group.short for group in Plan.read(plan).groups} if plan.is_file() else set()
    folders = sorted(dataset.glob(f"heads/*/{FINGERPRINT_NAMES}/"))
    return [path for path in folders if path.parent.name != "sequences" and path.name not in planned]
