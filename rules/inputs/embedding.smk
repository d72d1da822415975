"""Which shards a dataset has, and what an embedding job may find: the input functions of rules/embedding.smk."""

import shutil

from lucaflow.embedding.estimate import THREADS as EMBED_THREADS
from lucaflow.files.json_files import DIGEST_LENGTH
from lucaflow.records.sequences import read_shard_names


def shards_of(wildcards):
    """Return the shards of a dataset, once it is split, its checkpoint converted, and its results found to fit the disk."""
    dataset = dataset_of(wildcards)
    checkpoints.estimate.get(dataset=dataset.name, model=dataset.model.name)
    table = checkpoints.split.get(dataset=dataset.name).output.table
    fingerprint = OPTIONS.fingerprint(sha256_of(dataset.model))[:DIGEST_LENGTH]
    folder = f"results/{dataset.name}/{dataset.model.name}/shards/{fingerprint}"
    return [f"{folder}/{shard}.h5" for shard in read_shard_names(Path(table))]


def linked_shards(wildcards):
    """Return the shards that embeddings.h5 links to: none where it holds all there is."""
    return shards_of(wildcards) if OPTIONS.linked else []


def device_to_guess_by(wildcards):
    """Return which device an embedding job may find, to estimate its time: where jobs run here, the GPU that is here."""
    device = config["compute"]["device"]
    runs_here = workflow.resource_settings.cores is not None
    return "cpu" if device == "auto" and runs_here and shutil.which("nvidia-smi") is None else device


def threads_of_embed(wildcards):
    """Return the threads an embedding job gets, to estimate its time. Where jobs go elsewhere, no cores bound them."""
    return min(EMBED_THREADS, workflow.resource_settings.cores or EMBED_THREADS)
