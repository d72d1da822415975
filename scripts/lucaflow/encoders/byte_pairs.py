"""How nucleotides become byte-pair tokens, of one or several letters each, by the tokenizer of a checkpoint."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from lucaflow.encoders.vocabulary import LETTERS, Vocabulary
from lucaflow.errors import CheckpointError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# Letters that are divided into tokens in one call. The library needs a hundred bytes for each token meanwhile.
_LETTERS_AT_ONCE = 1_000_000
# What the tokenizer of DNABERT-2 says of its byte pairs. Anything else would make other tokens.
_EXPECTED = {
    "type": ("BPE",),
    "unk_token": ("[UNK]",),
    "dropout": (None, 0, 0.0),
    "continuing_subword_prefix": (None, ""),
    "end_of_word_suffix": (None, ""),
    "fuse_unk": (False, None),
    "byte_fallback": (False, None),
    "ignore_merges": (False, None),
}
_PROBE = "ACGTTGCANACGT"


@dataclass(frozen=True)
class BytePairs:
    """The tokens of an encoder of nucleotides. A token is one or several letters, and has one row.

    content: JSON of the tokenizer, as in tokenizer.json. Letters that it does not know, such as N, are each the token
    `[UNK]`. U is read as T.
    """

    content: str

    rows_are_residues: ClassVar[bool] = False
    special_tokens: ClassVar[int] = Vocabulary.special_tokens
    seq_types: ClassVar[tuple[str, ...]] = ("gene",)
    token_types: ClassVar[Mapping[str, int]] = {"gene": 0}

    def __len__(self) -> int:
        return len(self._symbols)

    @property
    def mask_id(self) -> int:
        """The token for a hidden token. Raises CheckpointError if the tokenizer has none."""
        if "[MASK]" not in self._symbols:
            raise CheckpointError("the tokenizer of this checkpoint has no [MASK], so that no token can be hidden")
        return self._symbols["[MASK]"]

    def require(self, size: int) -> None:
        """Raise ValueError that says why this is not a tokenizer as DNABERT-2's, of `size` tokens."""
        try:
            content = json.loads(self.content)
            model, normalizer = content["model"], content.get("normalizer")
            stated = {key: model.get(key) for key in _EXPECTED}
            symbols = self._symbols
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise ValueError(f"tokenizer.json does not describe a tokenizer ({error!r})") from error
        for key, expected in _EXPECTED.items():
            if stated[key] not in expected:
                raise ValueError(f"tokenizer.json: {key} is {stated[key]!r}, expected {expected[0]!r}")
        if normalizer is not None:
            raise ValueError(f"tokenizer.json: normalizer is {str(normalizer)[:60]}, expected none")
        missing = [symbol for symbol in ("[UNK]", "[CLS]", "[SEP]") if symbol not in symbols]
        if missing or len(symbols) != size or sorted(symbols.values()) != list(range(len(symbols))):
            had = f"no {' and no '.join(missing)}" if missing else f"{len(symbols)} tokens"
            raise ValueError(f"tokenizer.json has {had}, but the network has a table of {size} tokens, from 0 on")
        self._require_probe()

    def _require_probe(self) -> None:
        """Raise ValueError unless a short sequence becomes `[CLS]`, tokens that cover its letters, and `[SEP]`."""
        try:
            whole = self._tokenizer.encode(_PROBE).ids
        except CheckpointError:
            raise
        # The library raises no class of its own for content that it cannot read.
        except Exception as error:
            raise ValueError(f"tokenizer.json cannot be used ({error})") from error
        found, _ = self.encode_with_spans(_PROBE, "gene")
        if whole != found.tolist():
            raise ValueError(f"tokenizer.json: {_PROBE} becomes {whole}, expected [CLS], its letters and [SEP]")

    @cached_property
    def _symbols(self) -> dict[str, int]:
        """The id of each token, also of those that are no letters."""
        content = json.loads(self.content)
        added: dict[str, int] = {token["content"]: token["id"] for token in content.get("added_tokens") or ()}
        return {**content["model"]["vocab"], **added}

    @cached_property
    def _lengths(self) -> np.ndarray:
        """The letters of each token, (tokens,); 1 for `[UNK]`."""
        found = np.zeros(len(self), dtype=np.int64)
        for symbol, number in self._symbols.items():
            found[number] = 1 if symbol == "[UNK]" else len(symbol)
        return found

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        # It takes time to load, and networks that read single residues do not need it.
        try:
            from tokenizers import Tokenizer
        except ModuleNotFoundError as error:
            raise CheckpointError(
                "this network reads byte pairs, which needs the package `tokenizers`, and it is not installed. Run "
                "`make install` in the clone, or pip install '/path/to/LucaFlow[embed]' into an environment of yours."
            ) from error

        found = Tokenizer.from_str(self.content)
        found.no_truncation()
        found.no_padding()
        return found

    def encode(self, sequence: str, seq_type: str) -> np.ndarray:
        """Return the token ids of a normalised sequence, (k + 2,) int64, with the tokens before and after it.

        Raises ValueError for a character outside A to Z, and for a type of sequence that the encoder does not read.
        """
        return self.encode_with_spans(sequence, seq_type)[0]

    def encode_with_spans(self, sequence: str, seq_type: str) -> tuple[np.ndarray, np.ndarray]:
        """Return `encode`, and the letters of the k tokens between: (k, 2) int32, the first one and the end."""
        if seq_type not in self.seq_types:
            raise ValueError(f"seq_type is {seq_type!r}, but this encoder reads {', '.join(self.seq_types)} alone")
        (found,) = self.encode_all([sequence])
        return found

    def encode_all(self, sequences: Sequence[str]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield `encode_with_spans` of each sequence. The work is divided between the cores of this machine."""
        for part in _parts(sequences):
            texts = [_letters_of(sequence).replace("U", "T") for sequence in part]
            encodings = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
            for text, encoding in zip(texts, encodings, strict=True):
                yield self._with_spans(text, np.array(encoding.ids, dtype=np.int64))

    def _with_spans(self, text: str, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        ends = np.cumsum(self._lengths[tokens])  # (k,)
        if (letters := int(self._lengths[tokens].sum())) != len(text):
            raise ValueError(f"the tokens of {text[:20]} have {letters} letters, expected {len(text)}")
        spans = np.stack([ends - self._lengths[tokens], ends], axis=1).astype(np.int32)  # (k, 2)
        return np.concatenate(([self._symbols["[CLS]"]], tokens, [self._symbols["[SEP]"]])), spans


def _letters_of(sequence: str) -> str:
    """Return a sequence. Raises ValueError for a character outside A to Z."""
    if unknown := set(sequence) - set(LETTERS):
        position = min(map(sequence.index, unknown))
        raise ValueError(f"{sequence[position]!r} at position {position + 1} is not a residue code (A to Z)")
    return sequence


def _parts(sequences: Sequence[str]) -> Iterator[list[str]]:
    """Yield the sequences in parts of at most _LETTERS_AT_ONCE letters, or one sequence each."""
    part: list[str] = []
    letters = 0
    for sequence in sequences:
        if part and letters + len(sequence) > _LETTERS_AT_ONCE:
            yield part
            part, letters = [], 0
        part.append(sequence)
        letters += len(sequence)
    if part:
        yield part


def canonical_content(content: Any) -> str:
    """Return the content of a tokenizer.json as text that does not depend on how it was written."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
