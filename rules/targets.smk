"""What a run ends in: the files that rule all and the other targets ask for.

Requires: DATASETS, SINGLES, OPTIONS, HEADS, and the functions of rules/common.smk and rules/trained_models.smk.
"""


def origin_files(wildcards):
    return sorted(
        {*(origin_file(dataset.model) for dataset in SINGLES), *map(head_origin_file, HEADS.values())}
    )


def verified_files(wildcards):
    return [f"{folder}/verified.json" for folder in result_folders(wildcards)]


def count_files(wildcards):
    return [f"results/{name}/sequences/counts.json" for name in DATASETS]


def result_folders(wildcards):
    return [f"results/{dataset.name}/{dataset.model.name}" for dataset in SINGLES]


def dataset_folders(wildcards):
    return [f"results/{name}" for name in DATASETS]


def where_they_lie(paths):
    """Return what names the places of results for a job that finds them itself, with a module's prefix before them."""

    def places(wildcards):
        return [str(MOVED(path)) for path in paths(wildcards)]

    return places


def guarded_folders(wildcards):
    """Return the folder of all results, and those in it where results of any depth have their checksums beside them."""
    return ["results", "results/settings", *dataset_folders(wildcards)]


def fingerprints_now(wildcards):
    """Return the names of the folders of shards that the configuration asks for."""
    digests = {dataset.model: checkpoint_sha256(dataset) for dataset in SINGLES}
    return sorted(OPTIONS.fingerprint(digest)[: DIGEST_LENGTH] for digest in digests.values())


def checkpoint_folders(wildcards):
    """Return where the checkpoints are that anything rests on; those of trained models, once these are converted."""
    models = {dataset.model for dataset in SINGLES}
    models |= {head.recorded.reading.model for head in HEADS.values() if head.recorded}
    return sorted(str(checkpoint_folder(model)) for model in models)


def comparisons_of(dataset):
    """Return what compares the precision of a dataset with float32, where it is another."""
    if OPTIONS.precision == "float32":
        return []
    folder = f"results/{dataset.name}/{dataset.model.name}/figures"
    settings_of_comparison = dataset_settings_file(dataset, f"precisions-{dataset.model.name}")
    return [settings_of_comparison, f"{folder}/precisions.tsv", f"{folder}/precisions.png"]


def figures_of_outputs():
    """Return the figures that the outputs allow: a map takes vectors, or matrices to pool."""
    maps = ["map"] + ["tsne"] * config["figures"]["tsne"] if set(OPTIONS.outputs) - {"contacts"} else []
    lengths = ["lengths.png"] * bool(maps)
    return (
        [f"{name}.{suffix}" for name in maps for suffix in ("png", "html")]
        + lengths
        + ["contacts.png"] * ("contacts" in OPTIONS.outputs)
    )


def exported_files():
    """Return the files of the exports that are asked for, but for those of LucaOneApp."""
    of_export = {
        "standalone": ["standalone.h5"],
        "by_id": ["by_id.h5"],
        "npy": [*(f"{name}.npy" for name in OPTIONS.vectors), "ids.tsv"],
        "parquet": ["embeddings.parquet"],
        "anndata": ["embeddings.h5ad"],
    }
    return [name for choice in config["export"] for name in of_export.get(choice, [])]


def final_files(wildcards):
    """Return what every dataset ends in.

    The settings are among it because Snakemake would not miss a file that only serves a result which is there.
    """
    final = [f"results/{name}" for name in ("summary.tsv", "summary.html", "validation.html")]
    final.append(summary_settings_file(wildcards))
    for dataset in DATASETS.values():
        folder = f"results/{dataset.name}"
        final += [
            f"{folder}/run.yaml",
            f"{folder}/run.html",
            f"{folder}/records.tsv",
            dataset_settings_file(dataset, "normalize"),
        ]
        final += prediction_files(dataset)
    for dataset in SINGLES:
        folder = f"results/{dataset.name}"
        final.append(dataset_settings_file(dataset, "split"))
        final += [f"{folder}/{dataset.model.name}/{name}" for name in ("embeddings.h5", "verified.json")]
        final += [f"{folder}/{dataset.model.name}/figures/{name}" for name in figures_of_outputs()]
        final += [f"{folder}/{dataset.model.name}/export/{name}" for name in exported_files()]
        if "lucaone" in config["export"]:
            final += [
                dataset_settings_file(dataset, f"lucaone-{dataset.model.name}"),
                f"{folder}/{dataset.model.name}/export/lucaone",
            ]
    return final


def files_known_later(wildcards):
    """Return the final files whose names depend on digests: settings, and the shards that embeddings.h5 links to."""
    of_predictions = [name for dataset in DATASETS.values() for name in prediction_settings_files(dataset)]
    return (
        of_predictions
        + [dataset_settings_file(dataset, "run") for dataset in DATASETS.values()]
        + [
            name
            for dataset in SINGLES
            for name in (
                dataset_settings_file(dataset, f"assemble-{dataset.model.name}"),
                *linked_shards(dataset),
                *comparisons_of(dataset),
            )
        ]
    )


def show_summary():
    """Show what a run ended in, and where to look."""
    table = Path("results/summary.tsv")
    if table.is_file():
        print(summary.as_text(table), file=sys.stderr)


def show_failures(logs_of_run):
    """Show what failed in a run, and why, where a reader looks first: at its end."""
    text = failures.as_text(logs_of_run)
    if text:
        print(text, file=sys.stderr)
