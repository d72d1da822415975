"""Which small networks does LucaFlow come with, and how is each of them trained?"""

from __future__ import annotations

from dataclasses import dataclass, replace

from lucaflow.checkpoints.model import Model
from lucaflow.encoders.esm2 import Esm2, architecture
from lucaflow.encoders.lucaone import EncoderConfig, LucaOne
from mini.network import CONFIG, MaskedLanguageModel
from mini.training import Setting


@dataclass(frozen=True)
class Recipe:
    """How a small network is trained.

    model: its name in LucaFlow; kind, config: its family and its architecture; setting: of its training; seq_types: of
    its texts; heads: whether the two downstream models are trained on its embeddings; families: whether the protein
    families of `mini.corpus.families` are held out, and so can be evaluated.
    """

    model: Model
    kind: type[LucaOne]
    config: EncoderConfig
    setting: Setting
    seq_types: tuple[str, ...] = ("gene", "prot")
    heads: bool = False
    families: bool = True

    def network(self) -> MaskedLanguageModel:
        """Return the network before its training."""
        return MaskedLanguageModel(self.config, self.kind)


# The means of the first recipe, vectors of 128 numbers, hold little more of a protein than its composition. Wider ones
# hold more, so fewer and wider layers are trained in the same time, on relatives too.
_WIDE = Setting(steps=2600, tokens=4096, rate=2e-3, proteins=1.0, bfloat16=True, related_from=1600)
RECIPES = {
    recipe.model.name: recipe
    for recipe in (
        Recipe(Model("mini", 1), LucaOne, CONFIG, Setting(), heads=True, families=False),
        Recipe(Model("mini-esm2", None), Esm2, architecture(3, 384, 12), _WIDE, seq_types=("prot",)),
    )
}


def shortened(setting: Setting) -> Setting:
    """Return a setting that runs the whole recipe in minutes, for its test. The trained network is not usable."""
    return replace(
        setting, steps=30, tokens=1536, warmup=10, epochs=1, of_each_location=20, back_translated=20, evaluated=30,
        related_from=None if setting.related_from is None else 20,
    )  # fmt: skip
