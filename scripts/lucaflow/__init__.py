"""LucaFlow: LucaOne embeddings of nucleotide and protein sequences, as a Snakemake workflow."""

__version__ = "0.1.0"
