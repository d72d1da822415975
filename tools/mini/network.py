"""How is an encoder computed with gradients, with a head for masked tokens?

The encoders of LucaFlow change their residual stream in place and do not keep the intermediate values that a gradient
needs. Here the same modules are called in the same order on batches (B, n) of one length.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lucaflow.encoders.lucaone import TRAINED_MASK_RATIO, VOCABULARY, Block, EncoderConfig, LucaOne
from lucaflow.encoders.pass_plan import rotary_angles
from lucaflow.encoders.vocabulary import Vocabulary

CONFIG = EncoderConfig(
    num_hidden_layers=6,
    hidden_size=128,
    num_attention_heads=4,
    no_position_embeddings=True,
    token_dropout=False,
    use_embed_layer_norm=False,
)


# The relative positions that the heads of the first layers attend to before training; the heads of other layers attend
# to all positions equally. With this start, training learns to use the context of a residue in minutes, not hours.
# Further heads attend to the positions of WIDER.
NEIGHBOURS = ((-1, 1, -2, 2), (-3, 3, -4, 4), (-6, 6, -1, 1))
WIDER = (-3, 3, -4, 4, -5, 5, -7, 7)
SHARPNESS = 5.0


def block_output(block: Block, x: Tensor, turns: Tensor) -> Tensor:
    """Map (B, n, H) to (B, n, H). turns: complex numbers (n, d / 2) that rotate queries and keys."""
    count, length, size = x.shape
    attention = block.self_attn
    heads, half = attention.heads, size // attention.heads // 2
    # The two halves of a head are the real and imaginary parts of the rotated numbers. The rows are reordered so that
    # both parts are adjacent, which changes no product of a query with a key.
    order = torch.arange(3 * size).view(3 * heads, 2, half).transpose(1, 2).reshape(-1)
    weight, bias = attention.qkv_proj.weight[order], attention.qkv_proj.bias[order]
    projected = F.linear(block.pre_layer_norm(x), weight, bias).view(count, length, 3 * heads, half, 2)
    both, v = projected.split((2 * heads, heads), dim=2)
    # Angles are turned in float32, also where products are computed in bfloat16.
    rotated = torch.view_as_real(torch.view_as_complex(both.float()) * turns[:, None]).flatten(-2).transpose(1, 2)
    q, k = rotated.to(v.dtype).split(heads, dim=1)
    attended = F.scaled_dot_product_attention(q, k, v.flatten(-2).transpose(1, 2)).transpose(1, 2)
    # Values are in this order too, so the columns of the output projection are reordered likewise.
    out = attention.out_proj
    x = x + F.linear(attended.reshape(count, length, size), out.weight[:, order[:size]], out.bias)
    return x + block.fc2(F.gelu(block.fc1(block.post_layer_norm(x))))


@torch.inference_mode()
def residue_matrix(encoder: LucaOne, sequence: str, seq_type: str) -> Tensor:
    """Return the matrix (L, H) of a sequence as LucaFlow stores it: a row for each residue, without [CLS] and [SEP]."""
    ids = torch.from_numpy(encoder.vocabulary.encode(sequence, seq_type))
    return encoder(ids, torch.full_like(ids, encoder.vocabulary.token_types[seq_type]), [len(ids)])[1:-1]


class MaskedLanguageModel(nn.Module):
    """An encoder, with a head that scores each token of its vocabulary at each position.

    Ids are those of LucaOne's vocabulary, which holds all letters; `own` are those of the encoder's own vocabulary.
    """

    def __init__(self, config: EncoderConfig = CONFIG, kind: type[LucaOne] = LucaOne) -> None:
        super().__init__()
        size, vocabulary = config.hidden_size, kind.vocabulary
        # These draws are discarded. They keep the following ones equal to those that the packaged weights started from.
        for rows in (len(VOCABULARY), config.type_vocab_size):
            torch.empty(rows, size).normal_()
        self.encoder = kind(config)
        self.config = config
        self.frequencies = 10000.0 ** (-torch.arange(config.head_size // 2) / (config.head_size // 2))
        self.blocks: list[Block] = list(self.encoder.layers)  # type: ignore[arg-type]
        for block in self.blocks:
            block.self_attn.inv_freq.copy_(self.frequencies)
        self.dense = nn.Linear(size, size)
        self.layer_norm = nn.LayerNorm(size)
        self.bias = nn.Parameter(torch.zeros(len(vocabulary)))
        self.register_buffer("own_ids", own_ids(vocabulary), persistent=False)
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                nn.init.normal_(module.weight, std=0.02 if isinstance(module, nn.Embedding) else size**-0.5 / 2)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)
        for block, offsets in zip(self.blocks, NEIGHBOURS, strict=False):
            self._attend_to(block, (*offsets, *WIDER)[: config.num_attention_heads])

    @torch.no_grad()
    def _attend_to(self, block: Block, offsets: tuple[int, ...]) -> None:
        """Let each head attend to the position at its offset, whatever the residue.

        A constant query and a constant key, rotated by their positions, give a score that depends only on their
        distance: a sum of cosines, which is largest where all are 1.
        """
        attention = block.self_attn
        q, k, _ = attention.qkv_proj.bias.view(3, attention.heads, 2, -1)
        k[:, 0] = SHARPNESS
        for head, offset in enumerate(offsets):
            angles = self.frequencies * offset
            q[head, 0], q[head, 1] = SHARPNESS * angles.cos(), SHARPNESS * angles.sin()

    def own(self, ids: Tensor) -> Tensor:
        """Return the ids of the encoder's own vocabulary. Those of letters that it lacks are -1."""
        return self.own_ids[ids]  # type: ignore[index]

    def hidden(self, ids: Tensor, seq_type: str) -> Tensor:
        """Map token ids (B, n) of one type to the last hidden states (B, n, H)."""
        encoder, config = self.encoder, self.config
        x = encoder.embed_tokens(self.own(ids))
        if not config.no_token_type_embeddings:
            x = x + encoder.embed_type.weight[VOCABULARY.token_types[seq_type]]
        if config.token_dropout:
            masked = ids == VOCABULARY.mask_id
            shown = 1 - masked.float().mean(1)[:, None, None]
            x = x.masked_fill(masked[..., None], 0.0) * (1 - TRAINED_MASK_RATIO) / shown
        turns = torch.complex(*rotary_angles(ids.shape[1], self.frequencies))
        for block in self.blocks:
            x = block_output(block, x, turns)
        return encoder.last_layer_norm(x)

    def logits(self, hidden: Tensor) -> Tensor:
        """Map hidden states (m, H) to (m, V) scores of the tokens of the vocabulary."""
        x = self.layer_norm(F.gelu(self.dense(hidden)))
        return F.linear(x, self.encoder.embed_tokens.weight, self.bias)


def own_ids(vocabulary: Vocabulary) -> Tensor:
    """Return the id that a vocabulary has for each token of LucaOne's, (39,); -1 for those that it lacks."""
    names = {VOCABULARY.first: vocabulary.first, VOCABULARY.last: vocabulary.last, VOCABULARY.mask: vocabulary.mask}
    letters = vocabulary.letters["prot"] if vocabulary is not VOCABULARY else {}
    symbols = [letters.get(symbol, names.get(symbol, symbol)) for symbol in VOCABULARY.symbols]
    return torch.tensor([vocabulary.id_of(each) if each in vocabulary.symbols else -1 for each in symbols])
