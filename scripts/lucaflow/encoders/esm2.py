"""ESM-2's encoder, which is LucaOne's network with other letters.

It reads proteins alone. It has neither position table nor token types nor a norm after its tables, and scales its input
by 0.88 also outside of training (`token_dropout`). Its rotary frequencies are those of the checkpoint, which were
rounded to half precision in training. Its contact head is trained.
"""

from __future__ import annotations

from lucaflow.encoders.lucaone import EncoderConfig, LucaOne
from lucaflow.encoders.vocabulary import LETTERS, Vocabulary

# J (leucine or isoleucine) is none of its letters. It is read as X, so that each residue has its row.
VOCABULARY = Vocabulary(
    symbols=(
        *("<cls>", "<pad>", "<eos>", "<unk>"),
        *"LAGVSERTIDPKQNFYMHWCXBUZO",
        *(".", "-", "<null_1>", "<mask>"),
    ),
    first="<cls>",
    last="<eos>",
    mask="<mask>",
    letters={"prot": {letter: "X" if letter == "J" else letter for letter in LETTERS}},
    token_types={"prot": 0},
)


class Esm2(LucaOne):
    """The part of ESM-2 that turns token ids into embeddings."""

    family = "esm2"
    vocabulary = VOCABULARY


def architecture(layers: int, width: int, heads: int) -> EncoderConfig:
    """Return the architecture of an ESM-2 of this size. Raises ValueError for a size that is none."""
    return EncoderConfig(
        num_hidden_layers=layers,
        hidden_size=width,
        num_attention_heads=heads,
        no_position_embeddings=True,
        no_token_type_embeddings=True,
        token_dropout=True,
        use_embed_layer_norm=False,
    )
