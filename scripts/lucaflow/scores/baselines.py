"""How would a table of amino acids score a variant, without any model?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache

from lucaflow.records.variants import Substitution

BLOSUM62 = "blosum62"
HYDROPATHY = "hydropathy"


@cache
def _blosum62() -> Mapping[tuple[str, str], float]:
    from Bio.Align import substitution_matrices  # takes time to import

    matrix = substitution_matrices.load("BLOSUM62")  # type: ignore[no-untyped-call]
    return {(old, new): float(matrix[old, new]) for old in matrix.alphabet for new in matrix.alphabet}


@cache
def _hydropathies() -> Mapping[str, float]:
    from Bio.SeqUtils.ProtParamData import kd

    return kd


def blosum62(changes: Sequence[Substitution]) -> float | None:
    """Return the sum over all substitutions of BLOSUM62's score of the new letter minus that of the old one.

    As in a score by the model, both are compared with the old letter: `B(old, new) - B(old, old)`, 0 for no change
    (Henikoff and Henikoff 1992). None if a letter is not in the matrix.

    >>> blosum62([Substitution(1, "K", "R")]), blosum62([Substitution(1, "W", "A"), Substitution(4, "L", "I")])
    (-3.0, -16.0)
    """
    table = _blosum62()
    try:
        return sum((table[old, new] - table[old, old] for _, old, new in changes), 0.0)
    except KeyError:
        return None


def hydropathy(changes: Sequence[Substitution]) -> float | None:
    """Return minus the sum of the changes of hydropathy, on the scale of Kyte and Doolittle (1982).

    The larger the changes, in either direction, the lower the score. None if the scale lacks a letter.

    >>> hydropathy([Substitution(1, "I", "V")]), hydropathy([Substitution(1, "I", "R")])
    (-0.2999999999999998, -9.0)
    """
    scale = _hydropathies()
    try:
        return -sum((abs(scale[new] - scale[old]) for _, old, new in changes), 0.0)
    except KeyError:
        return None


# By the types of sequences. BLOSUM62 and hydropathy are of amino acids.
BASELINES: Mapping[str, Mapping[str, Callable[[Sequence[Substitution]], float | None]]] = {
    "prot": {BLOSUM62: blosum62, HYDROPATHY: hydropathy},
    "gene": {},
}
