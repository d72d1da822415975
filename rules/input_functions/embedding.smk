"""Input functions of rules/embedding.smk: the shards of a dataset, and the device for the estimate."""

import shutil

from lucaflow.embedding.estimate import THREADS as EMBED_THREADS
from lucaflow.files.json_files import DIGEST_LENGTH
from lucaflow.records.sequences import read_shard_names


def shards_of(wildcards):
    """Return the shards of a dataset, once it is split, its checkpoint converted, and space found on the disk."""
    dataset = dataset_of(wildcards)
    checkpoints.estimate.get(dataset=dataset.name, model=dataset.model.name)
    table = checkpoints.split.get(dataset=dataset.name).output.table
    fingerprint = OPTIONS.fingerprint(sha256_of(dataset.model))[:DIGEST_LENGTH]
    folder = f"results/{dataset.name}/{dataset.model.name}/shards/{fingerprint}"
    return [f"{folder}/{shard}.h5" for shard in read_shard_names(Path(table))]


def linked_shards(wildcards):
    """Return the shards that embeddings.h5 links to: none if it holds vectors alone."""
    return shards_of(wildcards) if OPTIONS.linked else []


def device_to_guess_by(wildcards):
    """Return the device for the estimate of time: `auto` means a GPU unless jobs run here and there is none here."""
    device = config["compute"]["device"]
    runs_here = workflow.resource_settings.cores is not None
    return "cpu" if device == "auto" and runs_here and shutil.which("nvidia-smi") is None else device


def threads_of_embed(wildcards):
    """Return the threads of an embedding job for the estimate of time; cores here do not limit jobs on a cluster."""
    return min(EMBED_THREADS, workflow.resource_settings.cores or EMBED_THREADS)
