"""Functions of rules/figures.smk: the figures of each dataset, and how the report shows them."""

from lucaflow.config import result_files

FIGURES = result_files.figures_of(OPTIONS, config["figures"])
# Category, caption and subcategory of a figure in the report. Pages are not in it: browsers leave frames of more than 2 MB
# empty.
IN_REPORT = {
    "map.png": ("Maps", "map", "components"),
    "tsne.png": ("Maps", "tsne", "t-SNE"),
    "umap.png": ("Maps", "umap", "UMAP"),
    "lengths.png": ("Sequences", "lengths", "lengths"),
    "contacts.png": ("Sequences", "contacts", "contacts"),
}


def figure_outputs():
    """Return the outputs of the rule that draws the figures of a dataset."""
    return [figure_output(name) for name in FIGURES]


def figure_output(name):
    path = f"results/{{dataset}}/{{model}}/figures/{name}"
    if name not in IN_REPORT:
        return path
    category, caption, kind = IN_REPORT[name]
    return in_report(path, category, caption, ("dataset", "{dataset} ({model})"), kind)


def neighbour_outputs(labelled):
    """Return the outputs of the rule that draws, which lists neighbours too."""
    return [neighbour_output(name) for name in neighbour_names(labelled)]


def neighbour_names(labelled):
    return result_files.neighbour_files(OPTIONS, config["neighbours"], labelled)


def neighbour_output(name):
    path = f"results/{{dataset}}/{{model}}/{name}"
    label = "dataset", "{dataset} ({model})"
    if name.endswith(".html"):
        return in_report(path, "Maps", "neighbours", label, "neighbours")
    return in_report(path, "Maps", "similarity", label, "similarity") if name.endswith(".png") else path


def compared_sequences(wildcards):
    """Return the distinct sequences of a dataset whose neighbours are listed."""
    if not neighbour_names(labelled=False):
        return []
    return result_of("normalize", "results/{dataset}/sequences/distinct.fasta")(wildcards)


def memory_of_draw(wildcards, input, attempt):
    """Return MB: more at each attempt, for the records of the dataset and of its reference, and for all neighbours.

    A neighbour takes 24 bytes. With labels the sequences are compared as well, which take twelve times their file.
    """
    dataset = dataset_of(wildcards)
    compared = [dataset, *([searched_in(dataset)] if dataset.reference else [])]
    megabytes = sum(memory_of_records(each) for each in compared)
    if input.nearest:
        try:
            distinct = distinct_of(dataset)
        # The dataset is to be normalised again, and its job asks anew.
        except IncompleteCheckpointException:
            return attempt * 4000
        megabytes += 24 * distinct * NEIGHBOURS.number(distinct) // 10**6
        files = [Path(MOVED(f"results/{each.name}/sequences/distinct.fasta")) for each in compared]
        megabytes += sum(12 * file.stat().st_size // 10**6 for file in files if file.is_file())
    return attempt * (4000 + megabytes)


def shown_predictions(wildcards):
    """Return the predictions of a dataset, which colour the page of its map: of each task a table and its record."""
    suffixes = (".csv", ".json")
    return [
        path
        for task in dataset_of(wildcards).tasks
        for path in regardless_of_times(
            [f"results/{wildcards.dataset}/predictions/{task}{suffix}" for suffix in suffixes],
            if_=is_settled(dataset_of(wildcards), f"predict-{task}"),
        )
    ]


def shown_scores(wildcards):
    """Return the scores of the sequences of a dataset by the model that embeds it, if there are some."""
    if not result_files.has_likelihoods(dataset_of(wildcards), config):
        return []
    return [result_of("score-{model}", "results/{dataset}/{model}/scores/sequences.tsv")(wildcards)]


def drawn_shards(wildcards):
    """Return the shards that the figures read: those with contacts, or with matrices if there are no vectors."""
    return linked_shards(wildcards) if "contacts" in OPTIONS.outputs or not OPTIONS.vectors else []
