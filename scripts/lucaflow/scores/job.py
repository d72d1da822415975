"""Run a job of scores: compute the passes that are missing, of a whole dataset or of a part of it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from lucaflow.checkpoints.converted_checkpoint import HEAD_ENTRY, read_record
from lucaflow.config.datasets import Dataset
from lucaflow.config.scores import ScoreOptions
from lucaflow.embedding.estimate import assumed_speed
from lucaflow.errors import CheckpointError
from lucaflow.records.variant_files import VariantsOfDataset
from lucaflow.scores.pass_store import PassStore, locked_store
from lucaflow.scores.passes import LanguageModel
from lucaflow.scores.passes_job import ALL, Part, PassesJob
from lucaflow.scores.preflight import already_computed, estimate_scores
from lucaflow.scores.proof import require_proven
from lucaflow.scores.requests import passes_of_variants
from lucaflow.scores.sequence_files import ScoredRecords
from lucaflow.scores.stored_scores import reads_byte_pairs

logger = logging.getLogger(__name__)


def variants_of(dataset: Dataset, scores: ScoreOptions, records: Path, sequences: Path) -> VariantsOfDataset | None:
    """Return the variants of a dataset; None without a file of them. Raises InputError if none can be scored."""
    if dataset.variants is None:
        return None
    found = VariantsOfDataset.read(
        dataset.variants, records, sequences, dataset.seq_type, scores.first_residue, scores.methods
    )
    found.require_some()
    return found


def require_head(record: Mapping[str, Any], model: str) -> None:
    """Raise CheckpointError if a checkpoint has no head of a language model. record: of the converted one."""
    entry = record.get(HEAD_ENTRY) or {}
    if "sha256" not in entry:
        reason = entry.get("reason", "it was converted by an earlier version of LucaFlow")
        raise CheckpointError(
            f"{model} gives no scores of a language model: {reason}. Use another model, or leave out `scores` and "
            "`variants`."
        )


@contextmanager
def compute_passes(
    dataset: Dataset,
    records: ScoredRecords,
    variants: VariantsOfDataset | None,
    scores: ScoreOptions,
    checkpoint: Path,
    path: Path,
    config: Mapping[str, Any],
    part: Part = ALL,
) -> Iterator[PassStore]:
    """Compute the missing passes of a dataset, or of a part, and yield the store that has them.

    checkpoint: the converted one; path: of the file of this job; config: the resolved configuration.
    """
    compute, precision = config["compute"], config["embedding"]["precision"]
    record = read_record(checkpoint)
    require_head(record, dataset.model.name)

    def load() -> LanguageModel:
        model = LanguageModel.load(checkpoint, compute["device"], precision, compute["tokens_per_batch"])
        require_proven(model, checkpoint, record, dataset.seq_type, config["checkpoints"]["accept_unproven"])
        return model

    of_variants = passes_of_variants(variants.rows(), scores.methods) if variants else {}
    lengths = Counter(len(sequence.residues) for sequence in records.distinct())
    # Where all passes are there no device is needed, so that none is asked for here.
    device = compute["device"] if torch.cuda.is_available() else "cpu"
    speed = assumed_speed(device, precision, torch.get_num_threads())
    found = estimate_scores(dataset, scores, lengths, of_variants, record, speed)
    found.require_few(scores)
    by_digest = ((sequence.digest, len(sequence.residues)) for sequence in records.distinct())
    computed = already_computed(path.parent, by_digest, of_variants, scores, dataset, record)
    found = replace(found, computed=computed)
    logger.info("%s", found.describe(scores))
    with locked_store(path, f"scoring {path.stem}") as store:
        at_once = compute["tokens_per_batch"]
        job = PassesJob(store, load, scores, dataset.seq_type, reads_byte_pairs(record), at_once, part)
        job.run(records.distinct(), of_variants, found.tokens // part.count)
        yield store
