"""The options of embedding: the outputs, the residues to embed, and the precision."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from lucaflow.engine.windows import Windowing
from lucaflow.errors import ConfigError
from lucaflow.files.json_files import digest_of_settings
from lucaflow.versions import EMBEDDING_VERSION

OUTPUTS = ("mean", "max", "cls", "matrix", "contacts")
VECTORS = ("mean", "max", "cls")
LINKED = ("matrix", "contacts")


@dataclass(frozen=True)
class EmbeddingOptions:
    """The options of `embedding` in the configuration, with the same names and defaults."""

    outputs: tuple[str, ...] = ("mean",)
    layer: int | None = None
    matrix_add_special_token: bool = False
    embedding_complete: bool = Windowing.embedding_complete
    truncation_seq_length: int = Windowing.truncation_seq_length
    trunc_type: str = Windowing.trunc_type
    embedding_fixed_len_a_time: int | None = Windowing.embedding_fixed_len_a_time
    embedding_complete_seg_overlap: bool = Windowing.embedding_complete_seg_overlap
    stitching: str = Windowing.stitching
    precision: str = "float32"
    dtype: str = "float32"

    @classmethod
    def from_config(cls, embedding: Mapping[str, Any]) -> EmbeddingOptions:
        """Return the options of a resolved configuration. Raises ConfigError if windows are too short."""
        chosen = {key: embedding[key] for key in cls.__dataclass_fields__}
        options = cls(**{**chosen, "outputs": tuple(name for name in OUTPUTS if name in embedding["outputs"])})
        try:
            options.windowing.windows(1)
        except ValueError as error:
            raise ConfigError(f"embedding.{error}") from error
        return options

    @classmethod
    def from_attribute(cls, text: str) -> EmbeddingOptions:
        """Return the options that `to_attribute` wrote. Raises KeyError, TypeError or ValueError for any other text."""
        stored = json.loads(text)
        return cls(**{**stored, "outputs": tuple(stored["outputs"])})

    @property
    def is_windowed(self) -> bool:
        """Whether long sequences are embedded in windows."""
        return self.embedding_complete and self.embedding_fixed_len_a_time is not None

    @property
    def windowing(self) -> Windowing:
        return Windowing(**{field.name: getattr(self, field.name) for field in fields(Windowing)})

    @property
    def vectors(self) -> tuple[str, ...]:
        return tuple(name for name in VECTORS if name in self.outputs)

    @property
    def linked(self) -> tuple[str, ...]:
        """The outputs whose values stay in the shards; embeddings.h5 links to them."""
        return tuple(name for name in LINKED if name in self.outputs)

    def effective(self) -> dict[str, Any]:
        """Return the options that affect the stored values, without those that have no effect."""
        options = asdict(self) | {"outputs": list(self.outputs)}
        without_effect = {
            "truncation_seq_length": self.embedding_complete,
            "trunc_type": self.embedding_complete and (not self.is_windowed or self.stitching != "lucaone"),
            "embedding_fixed_len_a_time": not self.is_windowed,
            "embedding_complete_seg_overlap": not self.is_windowed or self.stitching != "lucaone",
            "stitching": not self.is_windowed,
            "matrix_add_special_token": "matrix" not in self.outputs,
        }
        if not self.embedding_complete:
            options["truncation_seq_length"] = self.embedding_fixed_len_a_time or self.truncation_seq_length
        return {name: value for name, value in options.items() if not without_effect.get(name)}

    def to_attribute(self) -> str:
        """Return the options that affect the stored values, as the JSON text of the HDF5 attribute `options`."""
        return json.dumps(self.effective(), sort_keys=True)

    def require_layer(self, layers: int) -> None:
        """Raise ConfigError if a checkpoint with `layers` layers does not have the requested one."""
        if self.layer is not None and self.layer > layers:
            raise ConfigError(f"embedding.layer is {self.layer}, but this checkpoint has layers 0 to {layers}.")

    def require_separate_windows(self, network: str = "this network") -> None:
        """Raise ConfigError if windows may overlap, for a network that reads byte pairs. network: for the message."""
        if self.is_windowed and self.stitching != "separate":
            raise ConfigError(
                f"embedding.stitching is `{self.stitching}`, whose windows overlap, but a row of {network} covers "
                "several letters, other ones in each window. Set it to `separate`, or leave out "
                "embedding_fixed_len_a_time."
            )

    def fingerprint(self, checkpoint_sha256: str, embedding_version: int = EMBEDDING_VERSION) -> str:
        """Return the hex SHA-256 of everything that the values depend on, except the sequences."""
        return digest_of_settings(
            {
                "algorithm": embedding_version,
                "checkpoint_sha256": checkpoint_sha256,
                "options": self.effective(),
            }
        )
