"""Train `mini`, the small checkpoint that comes with LucaFlow, and two downstream models; measure what they know.

Everything follows from the seed in `mini.training.Setting` and the packages that `mini.sources` names. A run that was
cut off goes on where it was.
"""

import argparse
import json
import logging
from dataclasses import replace
from pathlib import Path

import torch

from mini import card, downstream, heads, weights
from mini.corpus import corpus, evaluated, nucleotides, proteins
from mini.evidence import evidence
from mini.network import MaskedLanguageModel
from mini.pairs import chloroplast_genes, kept_apart, shown_genes, write_pairs
from mini.training import SMALL, Setting, train

ROOT = Path(__file__).resolve().parent.parent


def main(root: Path, folder: Path, setting: Setting, threads: int) -> None:
    """Write resources/mini, resources/heads and what was measured below `root`; `folder` keeps packages and states."""
    torch.set_num_threads(threads)
    resources, packages = root / "resources", folder / "packages"
    shown = shown_genes(chloroplast_genes(packages), packages)
    write_pairs(shown, resources / "demo/chloroplast_pairs.csv")
    apart = evaluated(packages, resources / "demo")
    everything_apart = apart + kept_apart(shown)
    corpora = [
        corpus(nucleotides(packages), everything_apart, "gene"),
        corpus([sequence for sequence, _ in proteins(packages)[0]], everything_apart, "prot"),
    ]
    apart = [each.first(setting.evaluated) for each in apart]
    trained = train(corpora, setting, folder / "training", threads)
    weights.save(trained, resources / "mini")
    # What is measured, and what the downstream models read, are the weights as they were saved.
    model = weights.load(resources / "mini")
    torch.manual_seed(setting.seed)
    found = {"masked tokens and neighbours": evidence(model, MaskedLanguageModel().eval(), corpora, apart)}
    for name, (head, task, labels, measured) in {
        "location": downstream.locations(model.encoder, packages, apart, setting),
        "central dogma": downstream.central_dogma(model.encoder, packages, shown, setting),
    }.items():
        heads.save_head(head, resources / "heads", task, labels)
        found[name] = measured
    weights.register(resources)
    (resources / "mini/evidence.json").write_text(json.dumps(found, indent=2) + "\n")
    card.write(found, folder / "training/losses.csv", root)


def placed(path: str) -> Path:
    return Path(path).resolve()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=placed, default=ROOT, help="whose resources and docs are written")
    parser.add_argument("--folder", type=placed, default=ROOT / "build/mini", help="packages, states and losses")
    parser.add_argument("--seed", type=int, help="another than the packaged weights', to see how much that changes")
    parser.add_argument("--small", action="store_true", help="all of it in minutes, to see that it runs")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    chosen = parser.parse_args()
    setting = SMALL if chosen.small else Setting()
    if chosen.seed is not None:
        setting = replace(setting, seed=chosen.seed)
    if setting != Setting() and (chosen.root == ROOT or chosen.folder.is_relative_to(ROOT)):
        parser.error("--small, --seed: give --root and --folder, so that the packaged weights are not replaced")
    main(chosen.root, chosen.folder, setting, chosen.threads)
