"""How long will the scores of a dataset take, and into how many jobs are they divided?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lucaflow.config.datasets import Dataset
from lucaflow.config.scores import WT, ScoreOptions
from lucaflow.embedding.estimate import THREADS, assumed_speed, human_seconds, letters_per_token
from lucaflow.errors import ConfigError, InputError
from lucaflow.records.sequences import index_sequences
from lucaflow.records.sharding import MOST_SHARDS
from lucaflow.records.variant_files import VariantsOfDataset
from lucaflow.scores.pass_store import tokens_computed
from lucaflow.scores.requests import (
    VariantPasses,
    Work,
    passes_of_variants,
    tokens_by_kind,
    work_of_outputs,
    work_of_variants,
)

# Parameters of a layer, as a multiple of the squared width.
_PER_LAYER = 12
# A run that takes longer is told what would be faster.
_LONG = 120


@dataclass(frozen=True)
class ScoreEstimate:
    """What the scores of a dataset take.

    all: the passes for all scores; computed: tokens of those that have a result already, roughly; cheap: the passes if
    variants and scans were scored by wt_marginals; rate: tokens per second, roughly, on `device`.
    """

    dataset: str
    model: str
    all: Work
    computed: int
    cheap: Work
    rate: float
    device: str

    @property
    def tokens(self) -> int:
        """The tokens that are left to compute."""
        return max(0, self.all.tokens - self.computed)

    def parts(self, tokens_a_job: int) -> int:
        """Return the jobs that compute them. tokens_a_job: `compute.shard_tokens`."""
        return min(MOST_SHARDS, -(-self.tokens // tokens_a_job))

    def describe(self, scores: ScoreOptions) -> str:
        """Return the estimate as a few lines of text."""
        text = (
            f"scores by {self.model}: {passes_in_words(self.all.passes)}, {self.all.tokens:,} tokens\n"
            f"  {self.tokens:,} tokens to compute, about {human_seconds(self.tokens / self.rate)} of one job at "
            f"{self.rate:,.0f} tokens/s (a rough guess for {self.device})"
        )
        return "\n  ".join(filter(None, [text, self._advice(scores)]))

    def _advice(self, scores: ScoreOptions) -> str:
        """Return what would take much less time, if the scores take long and there is such a choice."""
        if self.tokens / self.rate < _LONG or self.cheap.tokens * 10 > self.all.tokens:
            return ""
        return (
            f"`scores.methods: [{WT}]` would take {passes_in_words(self.cheap.passes)}, about "
            f"{human_seconds(self.cheap.tokens / self.rate)}"
            + (", without `likelihood` and `residues`" if {"likelihood", "residues"} & set(scores.outputs) else "")
        )

    def require_few(self, scores: ScoreOptions) -> None:
        """Raise ConfigError if there are more passes than the configuration allows."""
        if self.all.passes <= scores.most_passes:
            return
        hours = human_seconds(self.all.tokens / self.rate)
        advice = self._advice(scores)
        raise ConfigError(
            f"dataset {self.dataset}: its scores by {self.model} need {self.all.passes:,} passes, "
            f"{self.all.tokens:,} tokens, about {hours} of one job (a rough guess for {self.device}); "
            f"scores.most_passes is {scores.most_passes:,}. {advice + '. ' if advice else ''}Ask for fewer outputs or "
            f"methods, use fewer sequences, or set scores.most_passes to {self.all.passes}."
        )


def passes_in_words(count: int) -> str:
    """Return a number of passes with its noun.

    >>> passes_in_words(1), passes_in_words(1200)
    ('1 pass', '1,200 passes')
    """
    return f"{count:,} pass{'es' * (count != 1)}"


def preflight(
    dataset: Dataset,
    scores: ScoreOptions,
    records: Path,
    sequences: Path,
    lengths: Mapping[int, int],
    record: Mapping[str, Any],
    passes: Path,
    config: Mapping[str, Any],
    device: str,
    threads: int,
) -> ScoreEstimate:
    """Return the estimate for a dataset and a model.

    records, sequences: of the dataset; lengths: number of its distinct sequences of each length; record: of the
    converted checkpoint; passes: folder of the results of passes; device, threads: of a job.
    """
    found = _variants(dataset, scores, records, sequences)
    speed = assumed_speed(device, config["embedding"]["precision"], threads)
    estimated = estimate_scores(dataset, scores, lengths, found, record, speed)
    index = index_sequences(sequences)
    found_sequences = zip((row.tobytes().hex() for row in index.digests), index.lengths.tolist(), strict=True)
    return replace(estimated, computed=already_computed(passes, found_sequences, found, scores, dataset, record))


def already_computed(
    passes: Path,
    sequences: Iterable[tuple[str, int]],
    variants: Mapping[str, VariantPasses],
    scores: ScoreOptions,
    dataset: Dataset,
    record: Mapping[str, Any],
) -> int:
    """Return the tokens, roughly, of the passes that sequences need and that have a result in a folder.

    Results of other sequences, or of passes for other scores, do not count. passes: the folder; sequences: digest and
    length of each; variants, record: as for estimate_scores.
    """
    stored = tokens_computed(passes) if passes.is_dir() else None
    if not stored:
        return 0
    letters, total = letters_per_token(record["encoder"]), 0
    having = {sequence for sequence, _ in stored}
    for digest, length in sequences:
        key = bytes.fromhex(digest)
        if key not in having:
            continue
        needed = tokens_by_kind(length, scores, dataset.seq_type, variants.get(digest), letters)
        total += sum(min(tokens, stored[key, kind]) for kind, tokens in needed.items())
    return total


def estimate_scores(
    dataset: Dataset,
    scores: ScoreOptions,
    lengths: Mapping[int, int],
    variants: Mapping[str, VariantPasses],
    record: Mapping[str, Any],
    speed: tuple[float, str],
) -> ScoreEstimate:
    """Return the estimate of all passes. variants: by digest; speed: operations per second, and the device's name."""
    letters = letters_per_token(record["encoder"])
    total = work_of_outputs(lengths, scores, dataset.seq_type, letters) + work_of_variants(variants, scores)
    quick = tuple(name for name in scores.outputs if name in ("scan", "contacts"))
    fast = replace(scores, methods=(WT,), outputs=quick)
    unmasked = {key: VariantPasses(each.residues, unmasked=True) for key, each in variants.items()}
    cheap = work_of_outputs(lengths, fast, dataset.seq_type, letters) + work_of_variants(unmasked, fast)
    rate = speed[0] / _operations_a_token(total, record)
    return ScoreEstimate(dataset.name, dataset.model.name, total, 0, cheap, rate, speed[1])


def refuse_many_passes(dataset: Dataset, lengths: Mapping[int, int], config: Mapping[str, Any]) -> None:
    """Raise ConfigError if the outputs of a dataset need too many passes of one of its models, as far as it is known.

    So its other jobs do not start. Variants, and models of one's own, are counted by the job that scores.
    """
    scores = ScoreOptions.from_config(config["scores"])
    speed = assumed_speed(config["compute"]["device"], config["embedding"]["precision"], THREADS)
    for each in dataset.by_model() if dataset.is_scored else []:
        if known := each.model.known:
            encoder: dict[str, Any] = {"hidden_size": known.width, "num_hidden_layers": known.layers}
            encoder |= {"tokenizer": ""} if known.byte_pairs else {}
            record = {"parameters": _PER_LAYER * known.layers * known.width**2, "encoder": encoder}
            estimate_scores(each, scores, lengths, {}, record, speed).require_few(scores)


def _variants(dataset: Dataset, scores: ScoreOptions, records: Path, sequences: Path) -> Mapping[str, VariantPasses]:
    """Return the passes of variants; none of a file that cannot be used, about which its job says more."""
    if dataset.variants is None:
        return {}
    try:
        found = VariantsOfDataset.read(
            dataset.variants, records, sequences, dataset.seq_type, scores.first_residue, scores.methods
        )
        return passes_of_variants(found.rows(), scores.methods)
    except InputError:
        return {}


def _operations_a_token(work: Work, record: Mapping[str, Any]) -> float:
    """Return the operations of a network for each token. record: of the converted checkpoint."""
    encoder = record["encoder"]
    of_pairs = 4 * encoder["hidden_size"] * encoder["num_hidden_layers"] * work.pairs
    return 2 * record["parameters"] + of_pairs / max(1, work.tokens)
