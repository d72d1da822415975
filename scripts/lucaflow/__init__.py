"""The library of LucaFlow: embeddings of DNA, RNA and protein sequences, and answers from them."""

from importlib import import_module

__version__ = "0.1.0"
__all__ = ["EmbeddingDataset", "Embeddings", "__version__", "open_embeddings"]

# What `*` does not bring takes torch.
_PLACES = {
    "Embeddings": "store.embeddings",
    "open_embeddings": "store.embeddings",
    "EmbeddingDataset": "store.training_examples",
    "embed": "embedding.notebook",
    "load_encoder": "checkpoints.loading",
    "models": "checkpoints.named",
    "log_probabilities": "scores.notebook",
    "score_variants": "scores.notebook",
}


def __getattr__(name: str) -> object:
    """Load what needs h5py or torch only when it is asked for."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f"lucaflow.{_PLACES[name]}"), name)
    except ModuleNotFoundError as error:
        what = "/path/to/LucaFlow" if name in __all__ else "'/path/to/LucaFlow[embed]'"
        raise ImportError(
            f"lucaflow.{name} needs {error.name}, which is not installed; pip install {what} brings it"
        ) from error
