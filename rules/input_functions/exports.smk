"""Functions of rules/exports.smk: the name of the export whose name depends on its size."""

from lucaflow.config import result_files
from lucaflow.records.counts import Counts


def csv_suffixes(dataset):
    """Return the ending of the export `csv` of a dataset, once it is normalised and its checkpoint converted, if any."""
    if "csv" not in config["export"]:
        return []
    counts = Counts.read(Path(checkpoints.normalize.get(dataset=dataset.name).output.counts))
    sha256_of(dataset.model)
    width = converted.read_record(checkpoint_folder(dataset.model))["encoder"]["hidden_size"]
    return [result_files.csv_suffix(counts.status["accepted"], len(OPTIONS.vectors) * width)]


def csv_files(dataset):
    """Return the export `csv` of a dataset, if it is asked for."""
    folder = result_files.folder_of(dataset)
    return [f"{folder}/export/embeddings.{suffix}" for suffix in csv_suffixes(dataset)]
