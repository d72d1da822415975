"""The configuration, the table of datasets, and the input functions that several rules share.

Requires: config, the two schemas in config/schemas. Produces: DATASETS, OPTIONS, and named functions.
"""

import shlex
import sys
from pathlib import Path
from types import SimpleNamespace

from snakemake.exceptions import WorkflowError

# Snakemake puts the interpreter's path into shell commands as it stands, blanks and all.
if Path(sys.executable).exists():
    sys.executable = shlex.quote(sys.executable)

ROOT = Path(str(workflow.current_basedir)).parent
sys.path.append(str(ROOT / "scripts"))

from lucaflow import checkpoints as lucaone_checkpoints
from lucaflow import sequences, settings, steps, summary
from lucaflow.errors import LucaFlowError

try:
    config.update(settings.resolve(config, settings.read_schema(ROOT / "config/schemas/config.schema.yaml")))
    DATASETS = settings.read_datasets(
        Path(config["datasets"]), settings.read_schema(ROOT / "config/schemas/datasets.schema.yaml"), config
    )
    settings.refuse_unavailable(config, DATASETS)
    OPTIONS = settings.EmbeddingOptions.from_config(config["embedding"])
except LucaFlowError as error:
    raise WorkflowError(str(error)) from None

CHECKPOINTS = config["checkpoints"]["directory"]
ENVIRONMENT = "../envs/lucaflow.yaml"


wildcard_constraints:
    dataset="|".join(map(re.escape, DATASETS)),
    model="|".join(sorted({re.escape(dataset.model.name) for dataset in DATASETS.values()})),
    folder="[^/]+",
    step=r"normalise|split|assemble-[^/]+|run",
    digest="[0-9a-f]{12}",
    fingerprint="[0-9a-f]{12}",
    shard="[0-9a-f]{16}",


def source_of(model):
    return "packaged" if model.llm_version == "mini" else config["checkpoints"]["source"]


def checkpoint_root(model):
    """Return where a checkpoint comes from, as a path."""
    return ROOT / "resources/mini" if source_of(model) == "packaged" else Path(config["checkpoints"]["path"])


def checkpoint_folder(model):
    """Return the name of the folder that holds a converted checkpoint."""
    return lucaone_checkpoints.folder_name(model, source_of(model), checkpoint_root(model))


def checkpoint_record(model):
    """Return the record that stands beside a converted checkpoint."""
    return f"{CHECKPOINTS}/{checkpoint_folder(model)}/checkpoint.json"


def dataset_of(wildcards):
    return DATASETS[wildcards.dataset]


def record_of_dataset(wildcards):
    return checkpoint_record(dataset_of(wildcards).model)


def checkpoint_sha256(dataset):
    """Return the digest of a dataset's checkpoint, once it is converted."""
    converted = checkpoints.convert_checkpoint.get(folder=checkpoint_folder(dataset.model))
    return lucaone_checkpoints.read_record(Path(converted.output.record).parent)["model"]["sha256"]


def model_of_folder(wildcards):
    """Return the model whose converted checkpoint is kept in a folder."""
    return next(d.model for d in DATASETS.values() if checkpoint_folder(d.model) == wildcards.folder)


def published_files(wildcards):
    """Return the files to convert; none if they are not to be found, which the job then says in full."""
    model = model_of_folder(wildcards)
    try:
        return [str(path) for path in lucaone_checkpoints.locate(checkpoint_root(model), model).files]
    except LucaFlowError:
        return []


def origin_of_folder(wildcards):
    """Return what the files of a published checkpoint are known by."""
    return steps.origin_settings(checkpoint_root(model_of_folder(wildcards)), published_files(wildcards))


def origin_file_of_folder(wildcards):
    """Return the file that says so; its name holds a digest."""
    name = steps.settings_name("origin", origin_of_folder(wildcards))
    return f"{CHECKPOINTS}/{wildcards.folder}/{name}.json"


def origin_files(wildcards):
    """Return these files for all checkpoints: Snakemake would not miss one whose checkpoint is there."""
    folders = {checkpoint_folder(dataset.model) for dataset in DATASETS.values()}
    return [origin_file_of_folder(SimpleNamespace(folder=folder)) for folder in sorted(folders)]


def version_of_folder(wildcards):
    return model_of_folder(wildcards).llm_version


def step_of_folder(wildcards):
    return model_of_folder(wildcards).llm_step


def root_of_folder(wildcards):
    return str(checkpoint_root(model_of_folder(wildcards)))


def source_of_folder(wildcards):
    return source_of(model_of_folder(wildcards))


def dataset_file(wildcards):
    """Return the input file; nothing if it is missing, which the job then says without stopping the others."""
    path = dataset_of(wildcards).path
    return [str(path)] if path.is_file() else []


def step_settings(dataset, step):
    """Return what one step of a dataset depends on, besides the files it reads."""
    if step == "normalise":
        return steps.normalise_settings(dataset, config)
    if step == "split":
        return steps.split_settings(config)
    if step == "run":
        return steps.run_settings(dataset, config)
    return steps.assemble_settings(dataset, OPTIONS, checkpoint_sha256(dataset))


def settings_of_step(wildcards):
    return step_settings(dataset_of(wildcards), wildcards.step)


def settings_file(dataset, step):
    """Return the file that holds a step's settings; its name holds their digest."""
    return f"results/{dataset.name}/settings/{steps.settings_name(step, step_settings(dataset, step))}.json"


def normalise_settings_file(wildcards):
    return settings_file(dataset_of(wildcards), "normalise")


def split_settings_file(wildcards):
    return settings_file(dataset_of(wildcards), "split")


def run_settings_file(wildcards):
    return settings_file(dataset_of(wildcards), "run")


def assemble_settings_file(wildcards):
    dataset = dataset_of(wildcards)
    return settings_file(dataset, f"assemble-{dataset.model.name}")


def shards_of(dataset):
    """Return the shards of a dataset, once it is split and its checkpoint converted."""
    table = checkpoints.split.get(dataset=dataset.name).output.table
    fingerprint = OPTIONS.fingerprint(checkpoint_sha256(dataset))[: steps.DIGEST_LENGTH]
    folder = f"results/{dataset.name}/{dataset.model.name}/shards/{fingerprint}"
    return [f"{folder}/{shard}.h5" for shard in sequences.read_shard_names(Path(table))]


def shards_of_dataset(wildcards):
    return shards_of(dataset_of(wildcards))


def note_of_model(wildcards):
    """Return what must be said of a model wherever its results are shown."""
    return "untrained" if dataset_of(wildcards).model.llm_version == "mini" else ""


def verified_files(wildcards):
    return [f"results/{dataset.name}/{dataset.model.name}/verified.json" for dataset in DATASETS.values()]


def final_files(wildcards):
    """Return what every dataset ends in.

    The settings are among it because Snakemake would not miss a file that only serves a result which is there.
    """
    return [
        *[
            settings_file(dataset, step)
            for dataset in DATASETS.values()
            for step in ("normalise", "split", "run")
        ],
        *collect("results/{dataset}/run.yaml", dataset=DATASETS),
        *collect("results/{dataset}/records.tsv", dataset=DATASETS),
        *[
            f"results/{dataset.name}/{dataset.model.name}/{name}"
            for dataset in DATASETS.values()
            for name in ("embeddings.h5", "verified.json", "figures/map.png", "figures/map.html")
        ],
        "results/summary.tsv",
    ]


def files_known_later(wildcards):
    """Return the final files whose names depend on digests: settings, and the shards that embeddings.h5 links to."""
    return [
        name
        for dataset in DATASETS.values()
        for name in (
            settings_file(dataset, f"assemble-{dataset.model.name}"),
            *(shards_of(dataset) if "matrix" in OPTIONS.outputs else ()),
        )
    ]


def show_summary():
    """Show what a run ended in, and where to look."""
    table = Path("results/summary.tsv")
    if table.is_file():
        print(summary.as_text(table), file=sys.stderr)
