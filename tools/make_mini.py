"""Train and evaluate the small networks packaged with LucaFlow, and the two downstream models of the first.

The results depend only on the seed in `mini.training.Setting` and on the packages listed in `mini.sources`. An
interrupted run resumes from its last saved state.
"""

import argparse
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from mini import card, downstream, heads, weights
from mini.corpus import Corpus, Labelled, evaluation_sets, families, nucleotides, proteins, training_corpus
from mini.evidence import evidence
from mini.network import MaskedLanguageModel
from mini.pairs import Gene, chloroplast_genes, demonstration_genes, held_out, write_pairs
from mini.recipes import RECIPES, Recipe, shortened
from mini.training import train

ROOT = Path(__file__).resolve().parent.parent


def main(recipe: Recipe, root: Path, folder: Path, threads: int) -> None:
    """Write the weights and measurements of a recipe, and docs/mini.md, below `root`.

    folder: for the packages and the states of the training.
    """
    torch.set_num_threads(threads)
    resources, packages = root / "resources", folder / "packages"
    pair_genes = demonstration_genes(chloroplast_genes(packages), packages)
    test_sets = evaluation_sets(packages, resources / "demo") + [families(packages)] * recipe.families
    corpora = _corpora(recipe, packages, test_sets + held_out(pair_genes))
    states = folder / recipe.model.name
    trained = train(corpora, recipe.setting, states, threads, recipe.config, recipe.kind)
    weights.save(trained, recipe, resources)
    # The evaluation and the downstream models use the saved weights, which are rounded to float16.
    model = weights.load(recipe, resources)
    test_sets = [each.first(recipe.setting.evaluated) for each in test_sets]
    torch.manual_seed(recipe.setting.seed)
    measured = _measured(recipe, model, corpora, test_sets)
    if recipe.heads:
        write_pairs(pair_genes, resources / "demo/chloroplast_pairs.csv")
        measured |= _downstream(recipe, model, packages, test_sets, pair_genes, resources)
    weights.register(resources, recipe)
    path = weights.root_of(recipe, resources) / card.EVIDENCE
    path.write_text(json.dumps(measured, indent=2) + "\n")
    card.write(recipe, states / "losses.csv", root)


def _corpora(recipe: Recipe, packages: Path, all_held_out: list[Labelled]) -> list[Corpus]:
    """Return the training texts of a recipe, without near duplicates of held-out sequences."""
    texts = {"gene": nucleotides(packages), "prot": [sequence for sequence, _ in proteins(packages)[0]]}
    return [training_corpus(texts[seq_type], all_held_out, seq_type) for seq_type in recipe.seq_types]


def _measured(
    recipe: Recipe, model: MaskedLanguageModel, corpora: list[Corpus], test_sets: list[Labelled]
) -> dict[str, Any]:
    """Return what is measured on the held-out sets. Later recipes are compared with the first."""
    untrained = recipe.network().eval()
    if recipe.heads:
        networks = {"mini": model, "untrained": untrained}
        return {"masked tokens and neighbours": evidence(networks, corpora, test_sets)}
    first = RECIPES["mini-1"]
    networks = {"mini-1": weights.load(first, ROOT / "resources"), recipe.model.name: model, "untrained": untrained}
    return {"masked tokens and neighbours": evidence(networks, corpora, test_sets, centred=True)}


def _downstream(
    recipe: Recipe,
    model: MaskedLanguageModel,
    packages: Path,
    test_sets: list[Labelled],
    pair_genes: list[Gene],
    resources: Path,
) -> dict[str, Any]:
    """Train and save the two downstream models; return what was measured of them."""
    measured = {}
    for name, (head, task, labels, scores) in {
        "location": downstream.locations(model.encoder, packages, test_sets, recipe.setting),
        "central dogma": downstream.central_dogma(model.encoder, packages, pair_genes, recipe.setting),
    }.items():
        heads.save_head(head, resources / "heads", task, labels)
        measured[name] = scores
    return measured


def absolute_path(path: str) -> Path:
    return Path(path).resolve()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=absolute_path, default=ROOT, help="where resources and docs are written")
    parser.add_argument(
        "--folder", type=absolute_path, default=ROOT / "build/mini", help="for packages, states, losses"
    )
    parser.add_argument("names", nargs="*", metavar="name", help=f"of the networks, of {', '.join(RECIPES)}")
    parser.add_argument("--seed", type=int, help="another seed, to see how much the results vary")
    parser.add_argument("--small", action="store_true", help="run the whole recipe in minutes, as a test")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    chosen = parser.parse_args()
    if unknown := sorted(set(chosen.names) - set(RECIPES)):
        parser.error(f"{', '.join(unknown)}: expected names of {', '.join(RECIPES)}")
    is_other = chosen.small or chosen.seed not in (None, 1)
    if is_other and (chosen.root == ROOT or chosen.folder.is_relative_to(ROOT)):
        parser.error("--small or --seed would replace packaged weights: give --root and --folder outside the clone")
    for recipe in [RECIPES[name] for name in chosen.names]:
        setting = shortened(recipe.setting) if chosen.small else recipe.setting
        if chosen.seed is not None:
            setting = replace(setting, seed=chosen.seed)
        main(replace(recipe, setting=setting), chosen.root, chosen.folder, chosen.threads)
