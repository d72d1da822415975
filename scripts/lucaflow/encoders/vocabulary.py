"""LucaOne's vocabulary: how residues become token ids.

Nucleotides and amino acids share one vocabulary of 39 entries. Genes use the digits 1 to 5 (A, T or U, C, G, anything
else). Proteins use all 26 letters.
"""

from __future__ import annotations

import numpy as np

VOCABULARY = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"12345", *"LAGVSERTIDPKQNFYMHWCXBUZOJ", ".", "-", "*")
PAD, UNK, CLS, SEP, MASK = range(5)
# Two tokens are added to the residues of every sequence: [CLS] before, [SEP] after.
CLS_AND_SEP = 2

TOKEN_TYPE = {"gene": 0, "prot": 1}

_NUCLEOTIDE_DIGIT = {"A": "1", "T": "2", "U": "2", "C": "3", "G": "4"}
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _table(symbol_of: dict[str, str]) -> np.ndarray:
    """Return the token id of each ASCII code, (256,); 0 for characters that are not residue codes."""
    table = np.zeros(256, dtype=np.int64)
    for letter, symbol in symbol_of.items():
        table[ord(letter)] = VOCABULARY.index(symbol)
    return table


_TABLES = {
    "gene": _table({letter: _NUCLEOTIDE_DIGIT.get(letter, "5") for letter in _LETTERS}),
    "prot": _table({letter: letter for letter in _LETTERS}),
}


def encode(sequence: str, seq_type: str) -> np.ndarray:
    """Return the token ids of a normalised sequence, (L + 2,) int64, with [CLS] first and [SEP] last.

    Raises ValueError for a character outside A to Z.

    >>> [VOCABULARY[token] for token in encode("ACGT", "gene")]
    ['[CLS]', '1', '3', '4', '2', '[SEP]']
    """
    residues = _TABLES[seq_type][np.frombuffer(sequence.encode("latin-1", "replace"), dtype=np.uint8)]
    if not residues.all():
        position = int(np.flatnonzero(residues == 0)[0])
        raise ValueError(f"{sequence[position]!r} at position {position + 1} is not a residue code (A to Z)")
    return np.concatenate(([CLS], residues, [SEP]))
