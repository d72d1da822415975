"""Functions of rules/neighbours.smk: the datasets that are compared, and the jobs among which a search is divided."""

from snakemake.exceptions import IncompleteCheckpointException

from lucaflow.config import result_files
from lucaflow.config.neighbours import NeighbourOptions
from lucaflow.files.json_files import DIGEST_LENGTH
from lucaflow.records.counts import Counts

NEIGHBOURS = NeighbourOptions.from_config(config["neighbours"])


def searched_in(dataset):
    """Return the dataset in which the neighbours of one are searched, as the same model embeds it: itself, or its reference."""
    return DATASETS[dataset.reference].with_model(dataset.model.name) if dataset.reference else dataset


def sizes_of_search(dataset):
    """Return the distinct sequences of a dataset, and of the one that is searched, once both are normalised."""
    return distinct_of(dataset), distinct_of(searched_in(dataset))


def distinct_of(dataset):
    return Counts.read(Path(checkpoints.normalize.get(dataset=dataset.name).output.counts)).distinct


def has_search(dataset):
    """Return whether the neighbours of a dataset are searched by a job of its own; wait for the datasets to know."""
    return bool(neighbour_names(labelled=False)) and NEIGHBOURS.has_job(*sizes_of_search(dataset))


def number_of_neighbours(wildcards):
    return NEIGHBOURS.number(distinct_of(dataset_of(wildcards)))


def is_reference_labelled(wildcards):
    dataset = dataset_of(wildcards)
    return bool(dataset.reference) and dataset.neighbours_have_labels


def embeddings_compared(wildcards):
    """Return the embeddings of a dataset, and of its reference. The name of a part says its content, so times do not matter."""
    dataset = dataset_of(wildcards)
    compared = [dataset, searched_in(dataset)] if dataset.reference else [dataset]
    return regardless_of_times(
        [f"{result_files.folder_of(each)}/embeddings.h5" for each in compared], if_=True
    )


def reference_files(wildcards):
    """Return the files of the dataset in which neighbours are searched, if it is another one.

    These are its embeddings, records, labels and distinct sequences.
    """
    dataset = dataset_of(wildcards)
    if not dataset.reference:
        return []
    other = DATASETS[dataset.reference].with_model(dataset.model.name)
    folder = f"results/{other.name}"
    names = ["records.tsv", "sequences/labels.tsv", "sequences/distinct.fasta"]
    return [
        *regardless_of_times(
            [f"{folder}/{other.model.name}/embeddings.h5"],
            if_=is_settled(other, f"assemble-{other.model.name}"),
        ),
        *regardless_of_times([f"{folder}/{name}" for name in names], if_=is_settled(other, "normalize")),
    ]


def folder_of_search(wildcards):
    return str(MOVED(search_folder(dataset_of(wildcards))))


def search_folder(dataset):
    """Return the folder of the neighbours of each shard. Its name depends on the vectors that are compared, and on k."""
    searched = searched_in(dataset)
    table = Path(checkpoints.normalize.get(dataset=searched.name).output.shards)
    content = {
        "embedding": OPTIONS.fingerprint(sha256_of(dataset.model)),
        "reference": read_shard_names(table),
    }
    number = number_of_neighbours(dataset)
    settings = step_settings.found_neighbours_settings(NEIGHBOURS, number, content)
    return f"{result_files.folder_of(dataset)}/nearest/{digest_of_settings(settings)[:DIGEST_LENGTH]}"


def parts_of_search(wildcards):
    """Return the files of the shards of a dataset, if one job would take too long."""
    dataset = dataset_of(wildcards)
    sizes = sizes_of_search(dataset)
    if not workflow.is_main_process or is_settled(dataset, f"search-{dataset.model.name}"):
        return []
    if not NEIGHBOURS.is_divided(*sizes, on_gpu=device_to_guess_by() != "cpu"):
        return []
    table = Path(checkpoints.normalize.get(dataset=dataset.name).output.shards)
    folder = search_folder(dataset)
    return known_shards(f"{folder}/{shard}.h5" for shard in read_shard_names(table))


def gpus_of_search(wildcards, input):
    """Return the GPUs of a job: none if others have searched, and no labels are left out in a reference."""
    return 0 if input.parts and not is_reference_labelled(wildcards) else GPUS


def memory_of_search(wildcards, attempt):
    """Return MB: a block of vectors, and some bytes for each sequence and each neighbour.

    A digest takes 64 bytes and is compared as copies; a neighbour takes eight bytes, three times.
    """
    dataset = dataset_of(wildcards)
    try:
        distinct, searched = sizes_of_search(dataset)
        if NEIGHBOURS.search == "approximate":
            # The width is in the record of the converted model.
            sha256_of(dataset.model)
    except IncompleteCheckpointException:
        return attempt * 4000
    neighbours = distinct * NEIGHBOURS.number(distinct)
    megabytes = (300 * (distinct + searched) + 24 * neighbours) // 10**6
    if NEIGHBOURS.search == "approximate":
        # The graph in memory while it is made: two bytes for each number, and the links of each vector.
        width = converted.read_record(checkpoint_folder(dataset.model))["encoder"]["hidden_size"]
        megabytes += searched * (2 * width + 700) // 10**6
    return attempt * (
        4000 + megabytes + (memory_of_records(searched_in(dataset)) if dataset.reference else 0)
    )


def memory_of_records(dataset):
    """Return the MB that the records of a dataset take in a job that reads them: six bytes for each of their file."""
    table = Path(MOVED(f"results/{dataset.name}/records.tsv"))
    return 6 * table.stat().st_size // 10**6 if table.is_file() else 0


def nearest_file(wildcards):
    """Return the neighbours that other jobs have searched, if the dataset has such jobs."""
    if not has_search(dataset_of(wildcards)):
        return []
    return result_of("search-{model}", "results/{dataset}/{model}/nearest.h5")(wildcards)
