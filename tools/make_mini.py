"""Train and evaluate `mini`, the small checkpoint packaged with LucaFlow, and its two downstream models.

The results depend only on the seed in `mini.training.Setting` and on the packages listed in `mini.sources`. An
interrupted run resumes from its last saved state.
"""

import argparse
import json
import logging
from dataclasses import replace
from pathlib import Path

import torch

from mini import card, downstream, heads, weights
from mini.corpus import evaluation_sets, nucleotides, proteins, training_corpus
from mini.evidence import evidence
from mini.network import MaskedLanguageModel
from mini.pairs import chloroplast_genes, demonstration_genes, held_out, write_pairs
from mini.training import SMALL, Setting, train

ROOT = Path(__file__).resolve().parent.parent


def main(root: Path, folder: Path, setting: Setting, threads: int) -> None:
    """Write resources/mini, resources/heads and docs/mini.md below `root`; keep packages and states in `folder`."""
    torch.set_num_threads(threads)
    resources, packages = root / "resources", folder / "packages"
    pair_genes = demonstration_genes(chloroplast_genes(packages), packages)
    write_pairs(pair_genes, resources / "demo/chloroplast_pairs.csv")
    test_sets = evaluation_sets(packages, resources / "demo")
    all_held_out = test_sets + held_out(pair_genes)
    corpora = [
        training_corpus(nucleotides(packages), all_held_out, "gene"),
        training_corpus([sequence for sequence, _ in proteins(packages)[0]], all_held_out, "prot"),
    ]
    test_sets = [each.first(setting.evaluated) for each in test_sets]
    trained = train(corpora, setting, folder / "training", threads)
    weights.save(trained, resources / "mini")
    # The evaluation and the downstream models use the saved weights, which are rounded to float16.
    model = weights.load(resources / "mini")
    torch.manual_seed(setting.seed)
    measurements = {"masked tokens and neighbours": evidence(model, MaskedLanguageModel().eval(), corpora, test_sets)}
    for name, (head, task, labels, measured) in {
        "location": downstream.locations(model.encoder, packages, test_sets, setting),
        "central dogma": downstream.central_dogma(model.encoder, packages, pair_genes, setting),
    }.items():
        heads.save_head(head, resources / "heads", task, labels)
        measurements[name] = measured
    weights.register(resources)
    (resources / "mini/evidence.json").write_text(json.dumps(measurements, indent=2) + "\n")
    card.write(measurements, folder / "training/losses.csv", root)


def absolute_path(path: str) -> Path:
    return Path(path).resolve()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=absolute_path, default=ROOT, help="where resources and docs are written")
    parser.add_argument(
        "--folder", type=absolute_path, default=ROOT / "build/mini", help="for packages, states, losses"
    )
    parser.add_argument("--seed", type=int, help="another seed, to see how much the results vary")
    parser.add_argument("--small", action="store_true", help="run the whole recipe in minutes, as a test")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    chosen = parser.parse_args()
    setting = SMALL if chosen.small else Setting()
    if chosen.seed is not None:
        setting = replace(setting, seed=chosen.seed)
    if setting != Setting() and (chosen.root == ROOT or chosen.folder.is_relative_to(ROOT)):
        parser.error("--small or --seed would replace packaged weights: give --root and --folder outside the clone")
    main(chosen.root, chosen.folder, setting, chosen.threads)
