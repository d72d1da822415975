"""Estimate the disk space and, roughly, the time that embedding a dataset needs."""

from __future__ import annotations

import csv
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lucaflow.checkpoints.known_models import has_trained_contacts, untrained_contacts
from lucaflow.config.result_files import CSV_NUMBER, csv_suffix
from lucaflow.encoders.vocabulary import Vocabulary
from lucaflow.engine.options import VECTORS, EmbeddingOptions
from lucaflow.engine.windows import Window
from lucaflow.errors import DAMAGE, ConfigError, SpaceError, damage
from lucaflow.files.space import human_bytes
from lucaflow.files.writing import write_json
from lucaflow.records.counts import Counts, counted

logger = logging.getLogger(__name__)

# Threads of an embedding job, on machines with at least that many cores.
THREADS = 8
# Nucleotides in a token of byte pairs. DNABERT-2's have about five; a letter that it does not know has its own token.
_LETTERS_PER_BYTE_PAIR = 4
# Bytes that HDF5 needs for an array besides its values, and for a link to it.
_BYTES_PER_ARRAY = 4096
_BYTES_PER_LINK = 512
_BYTES_PER_RECORD = 128
# Rough operations per second of one CPU core and of a data-centre GPU, used until a run has been measured.
_OPERATIONS_PER_CORE = 3e10
_OPERATIONS_PER_GPU = {"float32": 2e13, "tfloat32": 1e14, "bfloat16": 2e14}
# Bytes of matrices that one job writes in a second, at best (docs/speed.md, row d).
_WRITTEN_BYTES_PER_SECOND = 0.8e9
_SHORTEST_MEASURED_SECONDS = 60.0
_ITEM_BYTES = {"float32": 4, "float16": 2}


@dataclass(frozen=True)
class Estimate:
    """The expected size and time of a dataset's embeddings.

    to_compute: distinct sequences without an embedding; kept: those that have one; bytes: by kind of output, for
    shards, embeddings.h5 and exports together; seconds: for the sequences to compute, if one job does it all;
    rate_source: the origin of residues_per_second.
    """

    records: int
    distinct_sequences: int
    residues: int
    longest: int
    residues_embedded: int
    windows: int
    to_compute: int
    kept: int
    bytes: dict[str, int]
    seconds: float
    residues_per_second: float
    rate_source: str

    @property
    def total_bytes(self) -> int:
        return sum(self.bytes.values())

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "total_bytes": self.total_bytes}

    def write(self, path: Path, present: int, free: int) -> None:
        """Write preflight.json. present: bytes of embeddings that exist already; free: free bytes of the disk."""
        write_json(path, {**self.to_dict(), "present_bytes": present, "free_bytes": free})

    def describe(self) -> str:
        """Return the estimate as a few lines of text."""
        parts = ", ".join(f"{name} {human_bytes(size)}" for name, size in self.bytes.items())
        return (
            f"{self.to_compute:,} of {counted(self.distinct_sequences, 'sequence')} to compute, {self.kept:,} kept "
            f"from earlier runs; {counted(self.residues, 'residue')} in all, longest {self.longest:,}\n"
            f"  disk: {human_bytes(self.total_bytes)} ({parts})\n"
            f"  time: about {human_seconds(self.seconds)} of one job at {self.residues_per_second:,.0f} residues/s "
            f"({self.rate_source})"
        )


def human_seconds(seconds: float) -> str:
    """Return a duration with its unit, as `9 minutes`."""
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(1, round(seconds))} s"


def _rate(measured: float | None, computing: float, writing: float, device: str) -> tuple[float, str]:
    """Return the residues per second, and where they come from, in words.

    measured: of an earlier run; computing, writing: of what a job computes and writes in a second.
    """
    if measured:
        return measured, "as in the last run with this model"
    if writing < computing:
        written = human_bytes(_WRITTEN_BYTES_PER_SECOND)
        return writing, f"the disk bounds it, at {written}/s, with {device}"
    return computing, f"a rough guess for {device}"


def estimate(
    counts: Counts,
    options: EmbeddingOptions,
    checkpoint: Mapping[str, Any],
    speed: tuple[float, str],
    measured: float | None = None,
    exports: Sequence[str] = (),
    to_compute: Mapping[int, int] | None = None,
) -> Estimate:
    """Return the estimate for a dataset, from the lengths of its sequences.

    checkpoint: its record, for the size of the network; speed: operations per second and the name of the device;
    measured: residues per second of an earlier run, if there was one; exports: as in the configuration; to_compute:
    number of sequences of each length that are not embedded yet, by default all.
    """
    plans = {length: options.windowing.windows(length) for length in counts.lengths}
    embedded = {length: sum(window.kept for window in windows) for length, windows in plans.items()}
    remaining = counts.lengths if to_compute is None else to_compute
    residues = sum(embedded[length] * count for length, count in remaining.items())
    # A rate for a network that has nothing to compute is that for all sequences.
    lengths = remaining or counts.lengths
    operations = _operations(plans, lengths, checkpoint)
    computing = sum(embedded[length] * count for length, count in lengths.items()) / (operations / speed[0])
    sizes = bytes_by_output(counts, options, checkpoint["encoder"], exports)
    residues_embedded = sum(embedded[length] * count for length, count in counts.lengths.items())
    written = sum(sizes[name] for name in options.linked)
    writing = _WRITTEN_BYTES_PER_SECOND * residues_embedded / written if written else math.inf
    rate, source = _rate(measured, computing, writing, speed[1])
    computed = sum(remaining.values())
    return Estimate(
        records=counts.status["accepted"],
        distinct_sequences=counts.distinct,
        residues=counts.residues,
        longest=max(counts.lengths),
        residues_embedded=residues_embedded,
        windows=sum(len(plans[length]) * count for length, count in counts.lengths.items()),
        to_compute=computed,
        kept=counts.distinct - computed,
        bytes=sizes,
        seconds=residues / rate,
        residues_per_second=rate,
        rate_source=source,
    )


def _operations(
    plans: Mapping[int, Sequence[Window]], lengths: Mapping[int, int], checkpoint: Mapping[str, Any]
) -> float:
    """Return the operations of a network for sequences. plans: windows by length; lengths: count of each length."""
    tokens = pairs = 0
    letters = letters_per_token(checkpoint["encoder"])
    for length, count in lengths.items():
        sizes = [-(-window.length // letters) + Vocabulary.special_tokens for window in plans[length]]
        tokens += sum(sizes) * count
        pairs += sum(size * size for size in sizes) * count
    encoder = checkpoint["encoder"]
    return 2 * checkpoint["parameters"] * tokens + 4 * encoder["hidden_size"] * encoder["num_hidden_layers"] * pairs


def letters_per_token(encoder: Mapping[str, Any]) -> int:
    """Return how many letters a token has, roughly, if it has several. encoder: the architecture in a record."""
    return _LETTERS_PER_BYTE_PAIR if "tokenizer" in encoder else 1


def bytes_by_output(
    counts: Counts, options: EmbeddingOptions, encoder: Mapping[str, Any], exports: Sequence[str]
) -> dict[str, int]:
    """Return the bytes of each output and export. encoder: its architecture; exports: as in the configuration."""
    width, letters = encoder["hidden_size"], letters_per_token(encoder)
    embedded = {length: sum(window.kept for window in options.windowing.windows(length)) for length in counts.lengths}
    item = _ITEM_BYTES[options.dtype]
    special = Vocabulary.special_tokens * options.matrix_add_special_token
    values = dict.fromkeys(VECTORS, counts.distinct * width)
    values["matrix"] = sum(
        (-(-rows // letters) + special) * width * counts.lengths[length] for length, rows in embedded.items()
    )
    values["contacts"] = sum(rows * rows * counts.lengths[length] for length, rows in embedded.items())
    of_names = _BYTES_PER_ARRAY * counts.distinct + _BYTES_PER_LINK * counts.status["accepted"]
    found = {}
    for name in options.outputs:
        # Vectors are in the shards and again in embeddings.h5. Arrays are in the shards; embeddings.h5 links to them.
        found[name] = 2 * values[name] * item if name in VECTORS else values[name] * item + of_names
    if "lucaone" in exports:
        exported = [name for name in options.outputs if name != "contacts"]
        in_float32 = sum(
            values[name] * _ITEM_BYTES["float32"] + _BYTES_PER_ARRAY * counts.distinct for name in exported
        )
        found["export lucaone"] = in_float32 * counts.status["accepted"] // counts.distinct
    of_distinct = {name: values[name] * item for name in options.outputs}
    vectors = {name: of_distinct[name] * counts.status["accepted"] // counts.distinct for name in options.vectors}
    sizes = {
        "standalone": sum(of_distinct.values()) + len(options.linked) * of_names,
        "by_id": sum({**of_distinct, **vectors}.values()) + of_names,
        "npy": sum(vectors.values()),
        **dict.fromkeys(("parquet", "anndata"), sum(vectors.values()) * _ITEM_BYTES["float32"] // item),
        "csv": _csv_bytes(counts.status["accepted"], len(options.vectors) * width),
    }
    found |= {f"export {name}": size for name, size in sizes.items() if name in exports}
    found["ids and lengths"] = _BYTES_PER_RECORD * (counts.status["accepted"] + 2 * counts.distinct)
    return found


def _csv_bytes(records: int, numbers: int) -> int:
    """Return the bytes of the export `csv`; compressed, it has half of them."""
    return records * numbers * CSV_NUMBER // (1 if csv_suffix(records, numbers) == "csv" else 2)


def assumed_speed(device: str, precision: str, threads: int) -> tuple[float, str]:
    """Return the assumed operations per second and the device's name: a GPU if one may be used, else CPU cores."""
    if device == "cpu":
        return _OPERATIONS_PER_CORE * threads, counted(threads, "CPU core")
    return _OPERATIONS_PER_GPU[precision], "a GPU; without one it takes far longer" if device == "auto" else "a GPU"


def measured_rate(summary: Path, model: str) -> float | None:
    """Return the residues per second of the largest dataset that this model embedded in the last run, or None.

    summary: the run's summary.tsv. Datasets that took less than a minute are ignored: they measure the start of Python
    rather than the network.
    """
    if not summary.is_file():
        return None
    try:
        with summary.open(encoding="utf-8", newline="") as lines:
            reader = csv.DictReader(lines, delimiter="\t")
            rows = [row for row in reader if row["model"] == model]
            if reader.fieldnames is None:
                raise ValueError("it is empty")
        measured = [
            (int(row["residues"]), float(row["residues_per_second"]))
            for row in rows
            if row["residues_per_second"] and float(row["seconds"] or 0) >= _SHORTEST_MEASURED_SECONDS
        ]
        if not all(0 < rate < math.inf for _, rate in measured):
            raise ValueError("a rate is not a positive number")
    except DAMAGE as error:
        logger.warning("%s is damaged (%s): the rate of the last run is left out.", summary, damage(error))
        return None
    return max(measured)[1] if measured else None


def check_checkpoint(options: EmbeddingOptions, checkpoint: Mapping[str, Any]) -> None:
    """Raise ConfigError if the options need contacts or a layer that a checkpoint lacks. checkpoint: its record."""
    options.require_layer(checkpoint["encoder"]["num_hidden_layers"])
    if "tokenizer" in checkpoint["encoder"]:
        options.require_separate_windows(f"`{checkpoint['llm_version']}`")
    if "contacts" not in options.outputs:
        return
    if not has_trained_contacts(checkpoint["family"]):
        raise ConfigError(f"embedding.outputs: {untrained_contacts('this checkpoint')}")
    if not checkpoint["contact_head"]:
        raise ConfigError("this checkpoint has no contact head. Remove `contacts` from embedding.outputs.")


_HOW_TO_SAVE_SPACE = "store float16 (embedding.dtype), or request fewer outputs (embedding.outputs)"


def check_space(
    expected: Mapping[str, int], present: int, free: int, folder: Path, how_to_save_space: str = _HOW_TO_SAVE_SPACE
) -> None:
    """Raise SpaceError if the embeddings do not fit on the disk.

    expected: bytes by kind of output; present: bytes of embeddings that exist already; free: free bytes of the disk of
    `folder`; how_to_save_space: advice for the message.
    """
    needed = sum(expected.values()) - present
    if needed > free:
        parts = ", ".join(f"{name} {human_bytes(size)}" for name, size in expected.items())
        raise SpaceError(
            f"the embeddings need {human_bytes(needed)} more ({parts}), but the disk of {folder} has "
            f"{human_bytes(free)} left. Make room, run in another directory (--directory), {how_to_save_space}."
        )
