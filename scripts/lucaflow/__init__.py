"""LucaFlow: LucaOne embeddings of nucleotide and protein sequences, as a Snakemake workflow."""

__version__ = "0.1.0"
__all__ = ["Embeddings", "__version__", "open_embeddings"]


def __getattr__(name: str) -> object:
    """Load what needs h5py only when it is asked for."""
    if name in ("Embeddings", "open_embeddings"):
        from lucaflow import store  # noqa: PLC0415

        return getattr(store, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
