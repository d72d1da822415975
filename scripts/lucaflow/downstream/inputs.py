"""Which embedding a downstream model reads, and how many of its rows, by its training arguments."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from lucaflow.checkpoints.known_models import OLDER_NAMES
from lucaflow.checkpoints.model import Model
from lucaflow.downstream.stated_numbers import whole_number
from lucaflow.encoders.vocabulary import Vocabulary
from lucaflow.engine.options import VECTORS

# LucaOneTasks cuts sequences to this many residues where it embeds them whole (`embedding_complete`).
LONGEST_COMPLETE = 10240
# What a model reads, unless it reads a vector.
MATRIX = "matrix"
_OLD_CHECKPOINT = re.compile(rf"lucagplm/({'|'.join(map(re.escape, OLDER_NAMES))})/.*/checkpoint-step(\d+)$")
_NEW_CHECKPOINT = re.compile(r"lucaone/([a-z-]+)/checkpoint-step(\d+)$")


@dataclass(frozen=True)
class HeadInput:
    """How a downstream model reads an embedding, by its training arguments.

    model: the checkpoint of the embeddings it was trained on; longest_sequence, longest_matrix: the limits in training,
    in tokens and rows, [CLS] and [SEP] included; complete: whether a sequence is embedded before it is cut; special:
    whether matrices have rows of [CLS] and [SEP]; frame: if not, whether rows of zeros replace them; as_trained:
    whether the limits are those of the training, as of models that LucaFlow trained. LucaOneTasks predicts from longer
    sequences than it trains on. output: the input of the network: `matrix`, or the vector `mean`, `max` or `cls`.
    """

    model: Model
    longest_sequence: int
    longest_matrix: int
    complete: bool
    trunc_type: str
    special: bool
    frame: bool
    as_trained: bool = False
    output: str = MATRIX

    def residues_embedded(self, llm_truncation_seq_length: int) -> int:
        """Return the number of residues to which a sequence is cut before it is embedded."""
        if self.complete:
            return LONGEST_COMPLETE
        longest = 0 if self.as_trained else llm_truncation_seq_length
        return max(self.longest_sequence, longest) - Vocabulary.special_tokens

    def rows_read(self, llm_truncation_seq_length: int) -> int:
        """Return the largest number of residue rows that the model reads, from the first on."""
        longest = max(self.longest_matrix, 0 if self.as_trained else llm_truncation_seq_length)
        return longest - Vocabulary.special_tokens * (self.frame or self.special)


def head_input_of(arguments: Mapping[str, Any], config: Mapping[str, Any]) -> HeadInput:
    """Return how a model reads embeddings. Raises ValueError for options with which no LucaOne model is trained."""
    output = _output_of(arguments)
    if arguments.get("embedding_fixed_len_a_time"):
        raise ValueError("embedding_fixed_len_a_time is set: models trained on embeddings in windows are not supported")
    bos, eos = (not arguments.get(name, False) for name in ("not_prepend_bos", "not_append_eos"))
    if bos != eos:
        raise ValueError("not_prepend_bos and not_append_eos differ, expected both or neither")
    return HeadInput(
        model=_model_of(arguments),
        longest_sequence=_longest("seq_max_length", arguments, config),
        longest_matrix=_longest("matrix_max_length", arguments, config),
        complete=bool(arguments.get("embedding_complete", False)),
        trunc_type=arguments.get("trunc_type") or "right",
        special=bool(arguments.get("matrix_add_special_token", False)),
        frame=bos and output == MATRIX,
        as_trained=_is_ours(arguments),
        output=output,
    )


def _output_of(arguments: Mapping[str, Any]) -> str:
    """Return what a model reads. LucaOneTasks does not record which vector, so only LucaFlow's models read one."""
    input_type = arguments.get("input_type", MATRIX)
    if input_type == MATRIX:
        return MATRIX
    if input_type != "vector" or arguments.get("vector") not in VECTORS:
        raise ValueError(
            f"input_type is {input_type!r}, expected `matrix`, or `vector` in a model that LucaFlow trained"
        )
    return str(arguments["vector"])


def _longest(name: str, arguments: Mapping[str, Any], config: Mapping[str, Any]) -> int:
    """Return a length, or the larger one of the two sides."""
    for file, source in (("logs.txt", arguments), ("config.json", config)):
        stated = [whole_number(file, source, key) for key in (name, f"{name}_a", f"{name}_b") if source.get(key)]
        if stated:
            return max(stated)
    raise ValueError(f"neither logs.txt nor config.json states {name}")


def _is_ours(arguments: Mapping[str, Any]) -> bool:
    """Return whether LucaFlow trained a model, perhaps on the embeddings of another encoder than LucaOne's."""
    return bool(arguments.get("lucaflow_version"))


def _model_of(arguments: Mapping[str, Any]) -> Model:
    """Return the checkpoint that a model was trained on: by its path, or else by its version and step."""
    if _is_ours(arguments):
        step = str(arguments["llm_step"] or "")
        return Model(str(arguments["llm_version"]), int(step) if step else None)
    path = str(PurePosixPath(arguments.get("llm_dirpath") or ""))
    if found := _OLD_CHECKPOINT.search(path):
        return Model(OLDER_NAMES[found[1]], int(found[2]))
    if found := _NEW_CHECKPOINT.search(path):
        return _known(Model(found[1], int(found[2])))
    if path != ".":
        raise ValueError(f"it was trained on {path} (llm_dirpath), which is not a known checkpoint of LucaOne")
    version = arguments.get("llm_version")
    if not version or not str(arguments.get("llm_step", "")).isdecimal():
        raise ValueError(
            "logs.txt does not state the checkpoint it was trained on: llm_dirpath is "
            f"{arguments.get('llm_dirpath')!r}, llm_version {version!r}, llm_step {arguments.get('llm_step')!r}"
        )
    return _known(Model(OLDER_NAMES.get(version, version), int(arguments["llm_step"])))


def _known(model: Model) -> Model:
    if model.known is None or model.known.family != "lucaone":
        raise ValueError(f"it was trained on {model.name}, which is not a known checkpoint of LucaOne")
    return model


def rows_for_head(matrix: np.ndarray, longest: int, special: bool, frame: bool) -> np.ndarray:
    """Return the rows (k, E) of a matrix that a downstream model reads.

    longest: the largest number of residue rows, from the first on; special: whether the matrix has rows of [CLS] and
    [SEP], which stay (a matrix that is cut loses [SEP] and gains a residue); frame: if not, whether a row of zeros is
    added before and after the residues.
    """
    if special:
        return matrix[: min(len(matrix) - Vocabulary.special_tokens, longest) + Vocabulary.special_tokens]
    rows = matrix[:longest]
    return np.pad(rows, ((1, 1), (0, 0))) if frame else rows
