"""Whose work do the results of a run rest on? The paragraph of the report that says what to cite."""

from __future__ import annotations

from collections.abc import Mapping

from lucaflow.checkpoints.model import default_model

LUCAONE = "lucaone"
# By families of encoders, and by papers that known models name.
_WORKS = {
    LUCAONE: (
        "LucaOne",
        "He et al., Generalized biological foundation model with unified nucleic acid and protein language, Nature "
        "Machine Intelligence 2025, doi:10.1038/s42256-025-01044-4",
    ),
    "esm2": (
        "ESM-2",
        "Lin et al., Evolutionary-scale prediction of atomic-level protein structure with a language model, Science "
        "2023, doi:10.1126/science.ade2574",
    ),
    "dnabert": (
        "DNABERT-2",
        "Zhou et al., DNABERT-2: Efficient Foundation Model and Benchmark for Multi-Species Genome, ICLR 2024, "
        "arXiv:2306.15006",
    ),
    "dnabert-s": (
        "DNABERT-S",
        "Zhou et al., DNABERT-S: Pioneering Species Differentiation with Species-Aware DNA Embeddings, "
        "arXiv:2402.08777",
    ),
}


def citations(models: Mapping[str, str]) -> list[str]:
    """Return the sentences that say what to cite. models: the family of each, by its name.

    >>> citations({"mini-1": "lucaone"})[-1]
    'mini-1 is a small network of this kind that comes with LucaFlow: for demonstration, not for science.'
    >>> citations({})
    []
    """
    if not models:
        return []
    known = {name: default_model(name) for name in models}
    papers = {name: found.known.paper if found and found.known else None for name, found in known.items()}
    works = dict.fromkeys(_WORKS.get(papers[name] or family) for name, family in sorted(models.items()))
    named = "; ".join(f"{title} ({work})" for title, work in filter(None, works))
    sentences = [
        f"To cite: sequences were embedded with {named}, run by LucaFlow "
        "(versions, checkpoints, precision and digests: Provenance)."
    ]
    return sentences + [
        f"{name} is a small network of this kind that comes with LucaFlow: for demonstration, not for science."
        for name, found in sorted(known.items())
        if found and found.is_demonstration
    ]
