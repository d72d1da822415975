"""Input functions of rules/embedding.smk: the shards of a dataset, and the estimate of its space and time."""

import shutil

from lucaflow.config import result_files
from lucaflow.embedding.estimate import THREADS as EMBED_THREADS
from lucaflow.files.json_files import DIGEST_LENGTH
from lucaflow.records.sequences import read_shard_names

# Names of datasets and models: each pair is estimated once in a run.
ESTIMATED = set()


def shards_of(wildcards):
    """Return the shards of a dataset, once it is normalised and its checkpoint converted."""
    dataset = dataset_of(wildcards)
    table = checkpoints.normalize.get(dataset=dataset.name).output.shards
    digest = sha256_of(dataset.model)
    pair = (dataset.name, dataset.model.name)
    if workflow.is_main_process and pair not in ESTIMATED:
        ESTIMATED.add(pair)
        show_estimate(dataset, Path(table), digest)
    folder = shard_folder(dataset, digest)
    return known_shards(f"{folder}/{shard}.h5" for shard in read_shard_names(Path(table)))


def known_shards(paths):
    """Return shards as inputs. The names of those that exist tell their content, so their times do not matter."""
    return [path for file in paths for path in regardless_of_times([file], if_=Path(MOVED(file)).is_file())]


def shard_folder(dataset, digest):
    """Return the folder of a dataset's shards. digest: of its checkpoint."""
    return f"{result_files.folder_of(dataset)}/shards/{OPTIONS.fingerprint(digest)[:DIGEST_LENGTH]}"


def linked_shards(wildcards):
    """Return the shards that embeddings.h5 links to: none if it holds vectors alone."""
    return shards_of(wildcards) if OPTIONS.linked else []


def shards_of_all(wildcards):
    return [shard for dataset in EMBEDDED for shard in shards_of(dataset)]


def verified_files(wildcards):
    return [f"{result_files.folder_of(dataset)}/verified.json" for dataset in EMBEDDED]


def estimated_files(wildcards):
    """Return the files that an estimate needs, and show the estimates as soon as these are there.

    The plan of downstream models shows its own.
    """
    shards_of_all(wildcards)
    for dataset in SCORED:
        parts_of_scores(dataset)
    plans = [f"results/{dataset.name}/heads/plan.json" for dataset in DATASETS.values() if has_plan(dataset)]
    return [*(f"results/{name}/sequences/counts.json" for name in DATASETS), *plans]


def show_estimate(dataset, shards, digest):
    """Say what embedding a dataset takes, if there is anything to embed; a real run also keeps the estimate."""
    # Imported here, because a run with nothing to embed needs none of it.
    from lucaflow.embedding.preflight import preflight, stored_bytes

    folder, stored = Path(MOVED(result_files.folder_of(dataset))), Path(MOVED(shard_folder(dataset, digest)))
    found = preflight(
        folder,
        shards,
        stored,
        checkpoint_folder(dataset.model),
        OPTIONS,
        config,
        device_to_guess_by(),
        threads_of_embed(),
    )
    current = is_settled(dataset, f"assemble-{dataset.model.name}")
    if found.to_compute and not (current and not OPTIONS.linked):
        logger.info(f"{dataset.name} with {dataset.model.name}: {found.describe()}")
    elif current and (folder / "preflight.json").is_file():
        return
    if runs_jobs():
        folder.mkdir(parents=True, exist_ok=True)
        found.write(folder / "preflight.json", stored_bytes(stored), shutil.disk_usage(folder).free)


def device_to_guess_by():
    """Return the device for the estimate of time: `auto` means a GPU unless jobs run here and there is none here."""
    device = config["compute"]["device"]
    runs_here = workflow.resource_settings.cores is not None
    return "cpu" if device == "auto" and runs_here and shutil.which("nvidia-smi") is None else device


def threads_of_embed():
    """Return the threads of an embedding job for the estimate of time; cores here do not limit jobs on a cluster."""
    return min(EMBED_THREADS, workflow.resource_settings.cores or EMBED_THREADS)
