"""Which genes of the Arabidopsis chloroplast are in the demonstration, and how are they paired with proteins?"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from Bio import SeqIO
from scipy.spatial.distance import cdist

from mini.corpus import Labelled, near_duplicates, normalised, proteins, tokens
from mini.sources import CHLOROPLAST, read

DEMONSTRATION_GENES = 24
LONGEST_PROTEIN = 250
HEADER = ("seq_id_a", "seq_id_b", "seq_type_a", "seq_type_b", "seq_a", "seq_b", "label")


@dataclass(frozen=True)
class Gene:
    """Coding DNA and the protein it encodes."""

    locus: str
    protein_id: str
    dna: str
    protein: str


def chloroplast_genes(packages: Path) -> list[Gene]:
    """Return the distinct genes in the order of the genome."""
    record = SeqIO.read(io.StringIO(read(CHLOROPLAST, packages).decode()), "genbank")
    found: dict[tuple[str, str], Gene] = {}
    for feature in record.features:
        if feature.type == "CDS" and "translation" in feature.qualifiers:
            named = {name: feature.qualifiers[name][0] for name in ("locus_tag", "protein_id", "translation")}
            dna = normalised(str(feature.extract(record.seq)), "gene")
            gene = Gene(named["locus_tag"], named["protein_id"], dna, named["translation"])
            found.setdefault((dna, gene.protein), gene)
    return list(found.values())


def demonstration_genes(genes: Sequence[Gene], packages: Path) -> list[Gene]:
    """Return the first short genes whose proteins are not near duplicates of training proteins."""
    short = [gene for gene in genes if len(gene.protein) <= LONGEST_PROTEIN]
    known = [tokens(sequence, "prot") for sequence, _ in proteins(packages)[0]]
    near = near_duplicates([tokens(gene.protein, "prot") for gene in short], known, "prot")
    return [gene for gene, is_near in zip(short, near, strict=True) if not is_near][:DEMONSTRATION_GENES]


def held_out(genes: Iterable[Gene]) -> list[Labelled]:
    """Return the DNA and the proteins of genes as two held-out sets."""
    genes = list(genes)
    return [
        Labelled("genes of the pairs", "gene", [gene.dna for gene in genes], [gene.locus for gene in genes]),
        Labelled("proteins of the pairs", "prot", [gene.protein for gene in genes], [gene.locus for gene in genes]),
    ]


def most_similar_others(proteins: Sequence[str]) -> list[int]:
    """Return for each protein the index of the most similar other one, by composition and length."""
    letters = "ACDEFGHIKLMNPQRSTVWY"
    features = np.array([[p.count(x) / len(p) for x in letters] + [np.log(len(p))] for p in proteins])
    distances = cdist(features, features, "sqeuclidean")
    kinds = np.unique(proteins, return_inverse=True)[1]
    distances[kinds[:, None] == kinds] = np.inf
    return distances.argmin(1).tolist()


def write_pairs(genes: Sequence[Gene], path: Path) -> None:
    """Write each gene with its protein (label 1) and with the most similar other protein (label 0)."""
    others = most_similar_others([gene.protein for gene in genes])
    pairs = [(gene, gene, 1) for gene in genes] + [
        (gene, genes[other], 0) for gene, other in zip(genes, others, strict=True)
    ]
    with path.open("w", encoding="utf-8", newline="") as lines:
        table = csv.writer(lines, lineterminator="\n")
        table.writerow(HEADER)
        for coding, coded, label in pairs:
            table.writerow((coding.locus, coded.protein_id, "gene", "prot", coding.dna, coded.protein, label))
