"""The configuration, the table of datasets, and the input functions that several rules share.

Requires: config, the two schemas in config/schemas. Produces: DATASETS, OPTIONS, and named functions.
"""

import json
import os
import shlex
import shutil
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

# Snakemake puts the interpreter's path into shell commands as it stands, blanks and all.
if Path(sys.executable).exists():
    sys.executable = shlex.quote(sys.executable)

# For the jobs, before they load torch: threads that spin while they wait take the cores from other jobs.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

ROOT = Path(str(workflow.current_basedir)).parent
sys.path.append(str(ROOT / "scripts"))

import lucaflow
from lucaflow import schemas, versions
from lucaflow.checkpoints import fetched as published
from lucaflow.checkpoints import converted as lucaone_checkpoints
from lucaflow.checkpoints import registry
from lucaflow.config import datasets as settings
from lucaflow.config.resolve import refuse_missing, refuse_unavailable, resolve, stated_models
from lucaflow.config import step_settings as steps
from lucaflow.downstream import models as trained
from lucaflow.downstream import required_embeddings as wanted
from lucaflow.downstream import step_settings as downstream_steps
from lucaflow.downstream.registry import read_tasks
from lucaflow.embedding import estimate as preflight
from lucaflow.records import sequences
from lucaflow.report import failures, summary
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.errors import LucaFlowError
from lucaflow.files.json_files import DIGEST_LENGTH

if not Path(lucaflow.__file__).is_relative_to(ROOT / "scripts"):
    raise WorkflowError(
        f"This Python has a lucaflow of its own, {Path(lucaflow.__file__).parent}, which would be used instead of the "
        f"one that belongs to this workflow, {ROOT / 'scripts/lucaflow'}. Uninstall it here (pip uninstall lucaflow)."
    )


def schema_of(name):
    return schemas.read_yaml(ROOT / f"config/schemas/{name}.schema.yaml")


try:
    config.update(resolve(config, schema_of("config")))
    DATASETS = settings.read_datasets(Path(config["datasets"]), schema_of("datasets"), config)
    REGISTRY = registry.read_checkpoints(ROOT / "resources/checkpoints.tsv", schema_of("checkpoints"))
    refuse_unavailable(config, DATASETS, REGISTRY)
    OPTIONS = EmbeddingOptions.from_config(config["embedding"])
except LucaFlowError as error:
    raise WorkflowError(str(error)) from None

# The job that reads it will refuse it, without stopping the others; said at once, a dry run says it too.
if workflow.is_main_process:
    for dataset in DATASETS.values():
        if not dataset.path.exists():
            logger.warning(f"dataset {dataset.name}: {dataset.path}: there is no such file.")

# As a module with a prefix: Snakemake moves what rules read and write, but not what functions find by themselves.
MOVED = workflow.modifier.path_modifier.modify
if MOVED("results") != "results":
    config["checkpoints"]["directory"] = str(Path(config["checkpoints"]["directory"]).absolute())

CHECKPOINTS = config["checkpoints"]["directory"]
ENVIRONMENT = "../envs/lucaflow.yaml"
# Of each job that computes embeddings.
EMBED_THREADS = preflight.THREADS
GPUS = 0 if config["compute"]["device"] == "cpu" else 1


wildcard_constraints:
    dataset="|".join(map(re.escape, DATASETS)),
    model="|".join(sorted({re.escape(dataset.model.name) for dataset in DATASETS.values()})),
    # Trained models are kept beside checkpoints.
    folder=f"(?!{trained.PREFIX})[^/]+",
    published="[^/]+",
    kept="[^/]+",
    place="results(/[^/]+)?",
    step=r"normalize|split|heads|predict-[^/]+|(assemble|lucaone|precisions|stitchings)-[^/]+|run|summary",
    digest="[0-9a-f]{12}",
    fingerprint="[0-9a-f]{12}",
    shard="[0-9a-f]{16}",


# Of pairs the two sides are normalised and checked; predictions alone embed them.
SINGLES = [dataset for dataset in DATASETS.values() if not dataset.is_pairs]


def growing(megabytes, records=False):
    """Return the memory of a job: more each time it is tried, and for each byte of records.tsv six, if it reads that.

    Jobs that would fail again have `retries: 0`.
    """

    def memory(wildcards, input, attempt):
        table = Path(input.records) if records else None
        return attempt * (megabytes + (6 * table.stat().st_size // 10**6 if table and table.is_file() else 0))

    return memory


def checkpoint_folder(model):
    """Return the folder that holds a converted checkpoint."""
    return lucaone_checkpoints.converted_folder(model, config["checkpoints"], ROOT)


def checkpoint_record(model):
    """Return the record that stands beside a converted checkpoint."""
    return str(checkpoint_folder(model) / lucaone_checkpoints.CHECKPOINT_RECORD)


def dataset_of(wildcards):
    return DATASETS[wildcards.dataset]


def version_and_step(wildcards):
    model = dataset_of(wildcards).model
    return model.llm_version, model.llm_step


def record_for_run(wildcards):
    """Return the record of the checkpoint that embeds a dataset; pairs are not embedded."""
    return [] if dataset_of(wildcards).is_pairs else record_of_dataset(wildcards)


def record_of_dataset(wildcards):
    return checkpoint_record(dataset_of(wildcards).model)


def checkpoint_sha256(dataset):
    """Return the digest of a dataset's checkpoint, once it is converted."""
    return sha256_of_checkpoint(dataset.model)


def sha256_of_checkpoint(model):
    """Return the digest of a checkpoint, once it is converted."""
    converted = checkpoints.convert_checkpoint.get(folder=checkpoint_folder(model).name)
    return lucaone_checkpoints.read_record(Path(converted.output.record).parent)["model"]["sha256"]


def model_in(folder):
    """Return the model whose converted checkpoint is kept in a folder, by the folder's name."""
    return lucaone_checkpoints.model_of_folder(folder)


def version_of_folder(wildcards):
    return model_in(wildcards.folder).llm_version


def step_of_folder(wildcards):
    return model_in(wildcards.folder).llm_step


def places_of_published(wildcards):
    """Return where the checkpoint or the trained model that belongs into a folder can be had."""
    if wildcards.published.startswith(trained.PREFIX):
        return (head_in(wildcards.published).place,)
    return REGISTRY.places(model_in(wildcards.published), config["checkpoints"]["source"])


def digests_of_folder(wildcards):
    """Return the digests of a packaged checkpoint's files; fetched ones were compared when they came."""
    model = model_in(wildcards.folder)
    if lucaone_checkpoints.source_of(model, config["checkpoints"]) != "packaged":
        return {}
    return {file.name: file.sha256 for place in REGISTRY.places(model, "packaged") for file in place.files}


def fetched_record_of_folder(wildcards):
    """Return the record that a checkpoint's files were fetched; nothing for one that is here anyway."""
    model = model_in(wildcards.folder)
    if not lucaone_checkpoints.is_fetched(model, config["checkpoints"]):
        return []
    return str(lucaone_checkpoints.published_folder(model, config["checkpoints"]) / published.FETCHED_RECORD)


def origin_of(model):
    """Return what a checkpoint is to be converted from.

    Fetched files are known by their digests, and cannot change. What is converted already serves while local files are
    out of reach; if there is neither, the job says so in full.
    """
    if lucaone_checkpoints.is_fetched(model, config["checkpoints"]):
        return steps.fetched_origin_settings(model, config["checkpoints"])
    try:
        files = lucaone_checkpoints.published_files(model, config["checkpoints"], ROOT).files
    except LucaFlowError:
        files = ()
    kept = sorted(checkpoint_folder(model).glob("settings/origin-*.json"))
    if not files and kept and Path(checkpoint_record(model)).is_file():
        return json.loads(kept[0].read_text(encoding="utf-8"))
    return steps.origin_settings(files)


def origin_file(model):
    return settings_file(checkpoint_folder(model), "origin", origin_of(model))


def origin_file_of_folder(wildcards):
    return origin_file(model_in(wildcards.folder))


def dataset_file(wildcards):
    """Return the input file; nothing if it is missing, which the job then says without stopping the others.

    It is `local`: where a table of datasets says, whatever prefix a module gives to results.
    """
    path = dataset_of(wildcards).path
    return [local(str(path))] if path.is_file() else []


def memory_of_normalize(wildcards):
    """Return megabytes: of each record some 70 bytes are remembered, and few take less than 140 in a file."""
    path = dataset_of(wildcards).path
    return 4000 + (path.stat().st_size // (2 * 10**6) if path.is_file() else 0)


def settings_file(place, step, values):
    """Return the file of a step's settings; its name holds their digest."""
    return f"{place}/settings/{steps.settings_name(step, values)}.json"


def settings_of_step(wildcards):
    """Return the settings that belong into a file of settings."""
    if wildcards.step == "summary":
        return steps.summary_settings(DATASETS.values())
    return dataset_settings(DATASETS[Path(wildcards.place).name], wildcards.step)


def origin_of_kept(wildcards):
    """Return what the checkpoint or the trained model that belongs into a folder is to be converted from."""
    if wildcards.kept.startswith(trained.PREFIX):
        return origin_of_head(wildcards.kept)
    return origin_of(model_in(wildcards.kept))


def dataset_settings(dataset, step):
    """Return what one step of a dataset depends on, besides the files it reads."""
    if step == "normalize":
        return steps.normalize_settings(dataset, config)
    if step == "split":
        return steps.split_settings(config)
    if step == "heads":
        return heads_settings(dataset)
    if step.startswith("predict-"):
        return predict_settings(dataset, step.removeprefix("predict-"))
    if step == "run":
        return steps.run_settings(dataset, config, None if dataset.is_pairs else checkpoint_sha256(dataset))
    if step.startswith("lucaone-"):
        return steps.lucaone_export_settings(config)
    if step.startswith(("precisions-", "stitchings-")):
        return steps.comparison_settings(OPTIONS, config, checkpoint_sha256(dataset))
    return steps.assemble_settings(dataset, OPTIONS, checkpoint_sha256(dataset))


def dataset_settings_file(dataset, step):
    return settings_file(f"results/{dataset.name}", step, dataset_settings(dataset, step))


def normalize_settings_file(wildcards):
    return dataset_settings_file(dataset_of(wildcards), "normalize")


def split_settings_file(wildcards):
    return dataset_settings_file(dataset_of(wildcards), "split")


def run_settings_file(wildcards):
    return dataset_settings_file(dataset_of(wildcards), "run")


def assemble_settings_file(wildcards):
    """Return the file of settings that says what embeddings.h5 is made of."""
    dataset = dataset_of(wildcards)
    return dataset_settings_file(dataset, f"assemble-{dataset.model.name}")


def summary_settings_file(wildcards):
    return settings_file("results", "summary", steps.summary_settings(DATASETS.values()))


def shards_of(dataset):
    """Return the shards of a dataset, once it is split, its checkpoint converted, and its results found to fit the disk."""
    checkpoints.preflight.get(dataset=dataset.name, model=dataset.model.name)
    table = checkpoints.split.get(dataset=dataset.name).output.table
    fingerprint = OPTIONS.fingerprint(checkpoint_sha256(dataset))[: DIGEST_LENGTH]
    folder = f"results/{dataset.name}/{dataset.model.name}/shards/{fingerprint}"
    return [f"{folder}/{shard}.h5" for shard in sequences.read_shard_names(Path(table))]


def shards_of_dataset(wildcards):
    return shards_of(dataset_of(wildcards))


def linked_shards(dataset):
    """Return the shards that embeddings.h5 links to: none where it holds all there is."""
    return shards_of(dataset) if OPTIONS.linked else []


def linked_shards_of_dataset(wildcards):
    return linked_shards(dataset_of(wildcards))


def lucaone_export_settings_file(wildcards):
    dataset = dataset_of(wildcards)
    return dataset_settings_file(dataset, f"lucaone-{dataset.model.name}")


def comparison_settings_file(step):
    def settings_of_comparison(wildcards):
        dataset = dataset_of(wildcards)
        return dataset_settings_file(dataset, f"{step}-{dataset.model.name}")

    return settings_of_comparison


def comparison_files(step):
    """Return the function that names a comparison's table and figure for each dataset, and what they depend on."""

    def files_of_comparison(wildcards):
        if step == "stitchings" and OPTIONS.embedding_fixed_len_a_time is None:
            raise WorkflowError(
                "Set embedding.embedding_fixed_len_a_time to the length of windows to compare, in residues."
            )
        settings_of_all = [
            dataset_settings_file(dataset, name)
            for dataset in SINGLES
            for name in ("normalize", f"{step}-{dataset.model.name}")
        ]
        return settings_of_all + [
            f"{folder}/figures/{step}.{suffix}"
            for folder in result_folders(wildcards)
            for suffix in ("tsv", "png")
        ]

    return files_of_comparison


def note_of_model(wildcards):
    """Return what must be said of a model wherever its results are shown."""
    return "for demonstration" if dataset_of(wildcards).model.llm_version == "mini" else ""


def device_to_guess_by(wildcards):
    """Return which device an embedding job may find, to estimate its time: where jobs run here, the GPU that is here."""
    device = config["compute"]["device"]
    runs_here = workflow.resource_settings.cores is not None
    return "cpu" if device == "auto" and runs_here and shutil.which("nvidia-smi") is None else device


def threads_of_embed(wildcards):
    """Return the threads an embedding job gets, to estimate its time. Where jobs go elsewhere, no cores bound them."""
    return min(EMBED_THREADS, workflow.resource_settings.cores or EMBED_THREADS)
