"""Convert the head of an encoder's language model, to a file of its own beside the encoder's.

So the digest of the encoder stays the same, and with it the fingerprint of embeddings. Where the published files hold
no head that can be used, the record says why. An encoder that an earlier version of LucaFlow converted gets its head
added.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lucaflow.checkpoints.architecture import check
from lucaflow.checkpoints.converted_checkpoint import CHECKPOINT_RECORD, HEAD_ENTRY, HEAD_NAME, read_record
from lucaflow.checkpoints.layouts import Origin
from lucaflow.checkpoints.published import Published, read_config, read_published
from lucaflow.checkpoints.state_dicts import first_problems, misfits, network_sha256, shapes_of, write_parameters
from lucaflow.encoders.interface import Encoder
from lucaflow.encoders.language_model import OUTPUT_MATRIX, LanguageModelHead
from lucaflow.files.checksums import size_and_sha256
from lucaflow.files.sealed import sealed
from lucaflow.files.space import require_space
from lucaflow.files.writing import replacing, write_json


def convert(origin: Origin, folder: Path) -> dict[str, Any]:
    """Add the head of the language model to an encoder that was converted without it; return the new record.

    Raises CheckpointError if the published files cannot be used, SpaceError if the disk cannot hold the head.
    """
    network, config = read_config(origin)
    published = read_published(origin, network)
    check(published.tensors, network, config, origin.config)
    record = sealed({**read_record(folder), **head_entries(folder, network, config, published)})
    write_json(folder / CHECKPOINT_RECORD, record)
    return record


def head_entries(folder: Path, network: type[Encoder], config: Any, published: Published) -> dict[str, Any]:
    """Write the head of the language model into a folder; return what the record of the encoder says of it.

    Without a head that can be used, the record has the reason, and an existing file is removed.
    """
    path = folder / HEAD_NAME
    with torch.device("meta"):
        head = network.language_model_head(config)
    reason = _why_unusable(head, published)
    if head is None or reason:
        path.unlink(missing_ok=True)
        return {HEAD_ENTRY: {"reason": reason}, "left_out": sorted({*published.left_out, *published.head_words})}
    tensors = _with_output_matrix(published)
    shapes = shapes_of(head.state_dict())
    require_space(
        folder, 4 * sum(math.prod(shape) for shape in shapes.values()), "converting the language model's head"
    )
    with replacing(path) as temporary:
        digests = write_parameters(
            temporary, shapes, lambda name: tensors[name].float(), {"family": network.family, "part": HEAD_ENTRY}
        )
    structure = {"eps": head.layer_norm.eps}
    entry = {**size_and_sha256(path), "head_sha256": network_sha256(digests, shapes, structure)}
    return {HEAD_ENTRY: entry, "left_out": published.left_out}


def _with_output_matrix(published: Published) -> dict[str, Tensor]:
    """Return the tensors of the head. Files that lack its output matrix mean the encoder's own table of tokens."""
    return {OUTPUT_MATRIX: published.tensors["embed_tokens.weight"], **published.head}


def _why_unusable(head: LanguageModelHead | None, published: Published) -> str:
    """Return why the published files hold no head that can be used; empty if they hold one."""
    if head is None or not published.head:
        return "the published files hold no head of a language model"
    if published.unequal:
        return f"the published files hold {published.unequal[0]} of the language model's head twice, with other values"
    tensors = _with_output_matrix(published)
    if problems := misfits(tensors, shapes_of(head.state_dict())):
        return f"the head of the language model in the published files is another one: {first_problems(problems)}"
    if bad := [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]:
        return f"the head of the language model holds values that are not finite: {first_problems(bad)}"
    return ""
