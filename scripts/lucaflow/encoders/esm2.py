"""ESM-2's encoder, which is LucaOne's network with other letters.

It reads proteins alone. It has neither position table nor token types nor a norm after its tables, and scales its input
by 0.88 also outside of training (`token_dropout`). Its rotary frequencies are those of the checkpoint, which were
rounded to half precision in training. Its contact head is trained.

It is read as the Hugging Face Hub has it, from what config.json must say and the names of tensors there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from lucaflow.encoders.interface import renamed
from lucaflow.encoders.lucaone import EncoderConfig, LucaOne
from lucaflow.encoders.vocabulary import LETTERS, Vocabulary
from lucaflow.errors import quoted

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


# What config.json of each ESM-2 says. Other networks of the same `model_type` say something else.
_EXPECTED = {
    "position_embedding_type": ("rotary",),
    "vocab_size": (len(VOCABULARY),),
    "token_dropout": (True,),
    "layer_norm_eps": (1e-5,),
    "emb_layer_norm_before": (False, None),
    "is_folding_model": (False, None),
    "hidden_act": ("gelu", None),
    "vocab_list": (list(VOCABULARY.symbols), None),
}
_OTHERS = "ESM-1b, ESMFold and the Nucleotide Transformer have this model_type too, and are other networks"

_SHARED_FREQUENCIES = "rotary_embeddings.inv_freq"
_NAMES = {
    r"embeddings\.word_embeddings\.": "embed_tokens.",
    r"encoder\.layer\.(\d+)\.attention\.LayerNorm\.": r"layers.\1.pre_layer_norm.",
    r"encoder\.layer\.(\d+)\.attention\.self\.query\.": r"layers.\1.self_attn.q_proj.",
    r"encoder\.layer\.(\d+)\.attention\.self\.key\.": r"layers.\1.self_attn.k_proj.",
    r"encoder\.layer\.(\d+)\.attention\.self\.value\.": r"layers.\1.self_attn.v_proj.",
    r"encoder\.layer\.(\d+)\.attention\.output\.dense\.": r"layers.\1.self_attn.out_proj.",
    r"encoder\.layer\.(\d+)\.attention\.self\.rotary_embeddings\.": r"layers.\1.self_attn.rot_emb.",
    # Newer versions of transformers have one tensor for all layers, and save it under a literal star.
    r"encoder\.layer\.\*\.attention\.self\.rotary_embeddings\.": "rotary_embeddings.",
    r"encoder\.rotary_embeddings\.": "rotary_embeddings.",
    r"encoder\.layer\.(\d+)\.LayerNorm\.": r"layers.\1.post_layer_norm.",
    r"encoder\.layer\.(\d+)\.intermediate\.dense\.": r"layers.\1.fc1.",
    r"encoder\.layer\.(\d+)\.output\.dense\.": r"layers.\1.fc2.",
    r"encoder\.emb_layer_norm_after\.": "last_layer_norm.",
}
# A position table that rotary networks do not read, and heads of other tasks.
_DROPPED = re.compile(r"embeddings\.position_(embeddings|ids)\b|(pooler|lm_head|classifier|qa_outputs)\.")


class Esm2(LucaOne):
    """The part of ESM-2 that turns token ids into embeddings."""

    family = "esm2"
    title = "an ESM-2"
    vocabulary = VOCABULARY
    model_types = ("esm",)

    @classmethod
    def config_of(cls, stated: Mapping[str, Any], _layout: str, folder: Path) -> EncoderConfig:
        for key, expected in _EXPECTED.items():
            if stated.get(key) not in expected:
                raise ValueError(f"{key} is {quoted(stated.get(key))}, expected {expected[0]!r}. {_OTHERS}")
        sizes = {key: stated.get(key) for key in ("num_hidden_layers", "hidden_size", "num_attention_heads")}
        for key, value in sizes.items():
            if type(value) is not int:
                raise ValueError(f"{key} is {quoted(value)}, expected a whole number")
        config = architecture(*sizes.values())  # type: ignore[arg-type]
        if stated.get("intermediate_size") != 4 * config.hidden_size:
            raise ValueError(
                f"intermediate_size is {quoted(stated.get('intermediate_size'))}, expected {4 * config.hidden_size}"
            )
        _refuse_other_letters(folder / "vocab.txt")
        return config

    @classmethod
    def name_of_tensor(cls, published: str) -> str | None:
        name = published.removeprefix("esm.")
        return None if _DROPPED.match(name) else renamed(name, _NAMES)

    @classmethod
    def completed(cls, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the tensors with the rotary frequencies in each layer, if the file has them once for all layers."""
        found = dict(tensors)
        shared = found.pop(_SHARED_FREQUENCIES, None)
        if shared is not None:
            for layer in {name.split(".")[1] for name in tensors if name.startswith("layers.")}:
                found.setdefault(f"layers.{layer}.self_attn.rot_emb.inv_freq", shared)
        return found


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


def _refuse_other_letters(path: Path) -> None:
    if path.is_file() and (found := path.read_text(encoding="utf-8").split()) != list(VOCABULARY.symbols):
        raise ValueError(
            f"{path.name} beside it has {len(found)} tokens, and they are not the {len(VOCABULARY)} of ESM-2"
        )
