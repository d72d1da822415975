"""How residues become token ids: the vocabulary of a family of encoders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True)
class Vocabulary:
    """The tokens of an encoder. A residue is one token.

    symbols: of all token ids, in their order; first, last: of the tokens before and after the residues; mask: of the
    token for a hidden residue; letters: the symbol of each letter, for each type of sequence that the encoder reads;
    token_types: the number that says the type of a sequence, for each of these types.
    """

    symbols: tuple[str, ...]
    first: str
    last: str
    mask: str
    letters: Mapping[str, Mapping[str, str]]
    token_types: Mapping[str, int]

    rows_are_residues: ClassVar[bool] = True
    # Two tokens are added to the residues of every sequence: one before, one after. Matrices can have rows of them.
    special_tokens: ClassVar[int] = 2

    def __len__(self) -> int:
        return len(self.symbols)

    def id_of(self, symbol: str) -> int:
        """Return the id of a token. Raises ValueError for a symbol that is none."""
        return self.symbols.index(symbol)

    @property
    def mask_id(self) -> int:
        return self.id_of(self.mask)

    @property
    def seq_types(self) -> tuple[str, ...]:
        """The types of sequences that the encoder reads."""
        return tuple(self.letters)

    @cached_property
    def _tables(self) -> dict[str, np.ndarray]:
        """Return for each type the token id of each ASCII code, (256,); -1 where none is a residue code."""
        tables = {seq_type: np.full(256, -1, dtype=np.int64) for seq_type in self.letters}
        for seq_type, symbol_of in self.letters.items():
            for letter, symbol in symbol_of.items():
                tables[seq_type][ord(letter)] = self.id_of(symbol)
        return tables

    def encode(self, sequence: str, seq_type: str) -> np.ndarray:
        """Return the token ids of a normalised sequence, (L + 2,) int64, with the tokens before and after it.

        Raises ValueError for a character outside A to Z, and for a type of sequence that the encoder does not read.
        """
        if seq_type not in self.letters:
            raise ValueError(f"seq_type is {seq_type!r}, but this encoder reads {', '.join(self.seq_types)} alone")
        residues = self._tables[seq_type][np.frombuffer(sequence.encode("latin-1", "replace"), dtype=np.uint8)]
        if (residues < 0).any():
            position = int(np.flatnonzero(residues < 0)[0])
            raise ValueError(f"{sequence[position]!r} at position {position + 1} is not a residue code (A to Z)")
        return np.concatenate(([self.id_of(self.first)], residues, [self.id_of(self.last)]))
