"""Byte-pair tokens are those of the rule: of all neighbours the pair of lowest rank is joined, the leftmost first."""

from __future__ import annotations

import json
import random
from itertools import pairwise

import numpy as np
import pytest
from golden_cases import PACKAGED
from hypothesis import given
from hypothesis import strategies as st

from lucaflow.encoders.byte_pairs import BytePairs

CONTENT = json.loads((PACKAGED / "encoders/checkpoints/D2/tokenizer.json").read_text())
TOKENS = BytePairs(json.dumps(CONTENT))
VOCAB = CONTENT["model"]["vocab"]
RANKS = {tuple(pair.split()): rank for rank, pair in enumerate(CONTENT["model"]["merges"])}


def by_the_rule(text):
    """Return the tokens of a sequence, in quadratic time."""
    parts = list(text.replace("U", "T"))
    while pairs := [(RANKS[pair], place) for place, pair in enumerate(pairwise(parts)) if pair in RANKS]:
        _, place = min(pairs)
        parts[place : place + 2] = [parts[place] + parts[place + 1]]
    return parts


@given(st.lists(st.text("ACGT", max_size=30) | st.sampled_from("NRU"), min_size=1).map("".join).filter(bool))
def test_tokens_of_the_rule_and_their_letters(text):
    ids, spans = TOKENS.encode_with_spans(text, "gene")
    parts = by_the_rule(text)
    assert ids.tolist() == [1, *(VOCAB.get(part, 0) for part in parts), 2]
    ends = np.cumsum([len(part) for part in parts])
    np.testing.assert_array_equal(spans, np.stack([ends - [len(part) for part in parts], ends], axis=1))


def test_sequences_are_divided_apart_and_in_their_order():
    rng = random.Random(1)
    texts = ["".join(rng.choices("ACGTN", k=length)) for length in (1, 400_000, 700_000, 3, 1_200_000, 5)]
    for text, (ids, spans) in zip(texts, TOKENS.encode_all(texts), strict=True):
        assert (spans[0, 0], spans[-1, 1], len(ids)) == (0, len(text), len(spans) + 2)
        if len(text) < 10:
            np.testing.assert_array_equal(ids, TOKENS.encode(text, "gene"))


def test_what_is_no_sequence_of_nucleotides_is_refused():
    with pytest.raises(ValueError, match="'a' at position 3 is not a residue code"):
        TOKENS.encode("ACaG", "gene")
    with pytest.raises(ValueError, match="seq_type is 'prot', but this encoder reads gene alone"):
        TOKENS.encode("MKV", "prot")


def changed(**model):
    return {**CONTENT, "model": {**CONTENT["model"], **model}}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([], "does not describe a tokenizer"),
        ({"model": 1}, "does not describe a tokenizer"),
        (changed(type="WordPiece"), "type is 'WordPiece', expected 'BPE'"),
        (changed(dropout=0.1), "dropout is 0.1, expected None"),
        (changed(fuse_unk=True), "fuse_unk is True, expected False"),
        (changed(unk_token="A"), "unk_token is 'A', expected '\\[UNK\\]'"),
        ({**CONTENT, "normalizer": {"type": "Lowercase"}}, "normalizer is .*Lowercase.*, expected none"),
        (changed(vocab={"[UNK]": 0, "[CLS]": 1}), "does not|has no|tokens"),
        (changed(vocab={**VOCAB, "ACGTACGT": 96}), "has 97 tokens, but the network has a table of 96 tokens"),
        (changed(merges=["A Z"]), "cannot be used"),
        ({**CONTENT, "post_processor": None}, r"becomes \[.*\], expected \[CLS\], its letters and \[SEP\]"),
    ],
    ids=str,
)
def test_another_tokenizer_is_refused(content, said):
    TOKENS.require(len(VOCAB))
    with pytest.raises(ValueError, match=f"tokenizer.json:? .*({said})|{said}"):
        BytePairs(json.dumps(content)).require(len(VOCAB))
