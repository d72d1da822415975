"""Run a job of scores: compute the passes that are missing, of a whole dataset or of a part of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from lucaflow.checkpoints.converted_checkpoint import read_record
from lucaflow.config.datasets import Dataset
from lucaflow.config.scores import ScoreOptions
from lucaflow.engine.devices import resolve_device
from lucaflow.records.variant_files import VariantsOfDataset
from lucaflow.scores.passes import LanguageModel
from lucaflow.scoring.pass_store import PassStore, locked_store, tokens_computed
from lucaflow.scoring.passes_job import ALL, Part, PassesJob
from lucaflow.scoring.requests import passes_of_variants, work_of_outputs, work_of_variants
from lucaflow.scoring.sequence_files import ScoredRecords
from lucaflow.scoring.stored_scores import reads_byte_pairs

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


@contextmanager
def compute_passes(
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
    # A GPU that cannot be used is an error before anything is read.
    resolve_device(compute["device"], precision)
    load = partial(LanguageModel.load, checkpoint, compute["device"], precision, compute["tokens_per_batch"])
    byte_pairs = reads_byte_pairs(read_record(checkpoint))
    of_variants = passes_of_variants(variants.rows(), scores.methods) if variants else {}
    lengths: dict[int, int] = {}
    for sequence in records.distinct():
        lengths[len(sequence.residues)] = lengths.get(len(sequence.residues), 0) + 1
    work = work_of_outputs(lengths, scores, records.seq_type) + work_of_variants(of_variants, scores)
    logger.info("%d passes of %d tokens for all scores, of which some may be there already", work.passes, work.tokens)
    left = max(0, work.tokens - tokens_computed(path.parent)) // part.count
    with locked_store(path, f"scoring {path.stem}") as store:
        job = PassesJob(store, load, scores, records.seq_type, byte_pairs, part)
        job.run(records.distinct(), of_variants, left)
        yield store
