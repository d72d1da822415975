"""The configuration, the table of datasets, and the functions that several rule files share.

Requires: config and the schemas in config/schemas. Produces: DATASETS, EMBEDDED, SCORED, OPTIONS, REGISTRY,
PUBLISHED_TASKS, TRAININGS, and named functions.
"""

import functools
import gc
import os
import shlex
import sys
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
from snakemake_interface_executor_plugins.settings import DeploymentMethod

# Snakemake puts the interpreter's path into shell commands as it is, blanks and all.
if Path(sys.executable).exists():
    sys.executable = shlex.quote(sys.executable)

# Set before jobs load torch: threads that spin while they wait would take cores from other jobs.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# What has been imported is never freed, and most of a plan stays until the end of the run: Python looks for objects that
# are no longer used less often, and not among those imported.
gc.freeze()
gc.set_threshold(50_000, 20, 50)

ROOT = Path(str(workflow.current_basedir)).parent
sys.path.append(str(ROOT / "scripts"))


def is_missing(package):
    """Return whether this Python lacks a package that pyproject.toml names, or has another version of it."""
    needed = Requirement(package)
    if needed.name == "lucaflow" or (needed.marker and not needed.marker.evaluate()):
        return False
    try:
        return not needed.specifier.contains(metadata.version(needed.name), prereleases=True)
    except metadata.PackageNotFoundError:
        return True


project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
extras = project["optional-dependencies"]
# With conda, jobs run in an environment of their own.
WITH_CONDA = DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method
if workflow.is_main_process and not WITH_CONDA:
    if missing := [*filter(is_missing, (*project["dependencies"], *extras["embed"], *extras["workflow"]))]:
        raise WorkflowError(
            f"This Snakemake is of another environment, {sys.prefix}, which lacks {', '.join(missing)}. Use the clone's "
            "own (.venv/bin/snakemake, made by `make install`), or install what is missing there (pip install -r "
            f"{ROOT / 'envs/lock.txt'})."
        )

import lucaflow
from lucaflow import schemas
from lucaflow.checkpoints import converted_checkpoint as converted
from lucaflow.checkpoints.registry import read_checkpoints
from lucaflow.config.datasets import Dataset, read_datasets
from lucaflow.config.resolve import refuse_unavailable, resolve, why_no_neighbours
from lucaflow.downstream.registry import read_tasks
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.errors import LucaFlowError, shown
from lucaflow.records.task_folders import size_of_source, why_unusable_source
from lucaflow.training.requested import requested_trainings, trainings_on

if not Path(lucaflow.__file__).is_relative_to(ROOT / "scripts"):
    raise WorkflowError(
        f"This Python has a lucaflow of its own, {Path(lucaflow.__file__).parent}, which would be used instead of the "
        f"one that belongs to this workflow, {ROOT / 'scripts/lucaflow'}. Uninstall it here (pip uninstall lucaflow)."
    )


def lacking_packages():
    """Return problems with packages that a choice of the configuration needs, where its jobs run."""
    if not (workflow.is_main_process and config["figures"]["umap"]):
        return []
    named = ROOT / "envs/lucaflow.yaml"
    if WITH_CONDA and "umap-learn" not in named.read_text(encoding="utf-8"):
        return [f"figures.umap: the environment of the jobs lacks umap-learn; add `- umap-learn` to {named}"]
    if not WITH_CONDA and any(map(is_missing, extras["umap"])):
        install = f"{sys.executable} -m pip install {shlex.quote(extras['umap'][0])}"
        return [f"figures.umap: this environment lacks umap-learn; install it: {install}"]
    return []


def schema_of(name):
    return schemas.read_yaml(ROOT / f"config/schemas/{name}.schema.yaml")


try:
    options_there = schemas.read_yaml(ROOT / "config/schemas/lucaone_options.yaml")
    config.update(resolve(config, schema_of("config"), options_there))
    DATASETS = read_datasets(Path(config["datasets"]), schema_of("datasets"), config)
    REGISTRY = read_checkpoints(ROOT / "resources/checkpoints.tsv", schema_of("checkpoints"))
    refuse_unavailable(config, DATASETS, REGISTRY, lacking_packages())
    OPTIONS = EmbeddingOptions.from_config(config["embedding"])
    PUBLISHED_TASKS = read_tasks(ROOT / "resources/tasks.tsv", schema_of("tasks"))
    TRAININGS = requested_trainings(config["training"], DATASETS, {name for name, _ in PUBLISHED_TASKS})
except LucaFlowError as error:
    raise WorkflowError(str(error)) from None

# The job that reads the file will refuse it without stopping the others. This warning shows in a dry run too.
if workflow.is_main_process:
    for dataset in DATASETS.values():
        others = (dataset.metadata and dataset.metadata.path, dataset.variants)
        for path in [dataset.path, *filter(None, others)]:
            if reason := why_unusable_source(path):
                logger.warning(f"dataset {dataset.name}: {shown(path)}: {reason}.")
        is_used = dataset.is_embedded or dataset.is_scored or dataset.tasks
        if not (is_used or trainings_on(dataset.name, TRAININGS.values())):
            why = "pairs are embedded only for tasks" if dataset.is_pairs else "embedding.outputs is empty"
            logger.warning(
                f"dataset {dataset.name}: it is only read and checked, since {why} and it has no tasks."
            )
    if (reason := why_no_neighbours(config)) and any(dataset.is_embedded for dataset in DATASETS.values()):
        logger.warning(f"neighbours: {reason}.")

IS_MODULE = not workflow.modifier.is_main_snakefile()
# In a module with a prefix Snakemake moves the inputs and outputs of rules, but not the paths that functions build.
MOVED = workflow.modifier.path_modifier.modify
if MOVED("results") != "results":
    config["checkpoints"]["directory"] = str(Path(config["checkpoints"]["directory"]).absolute())

# Jobs read converted models, and go on with working files, which a storage provider does not carry to them.
if workflow.storage_settings.default_storage_provider:
    raise WorkflowError(
        "LucaFlow needs a directory that all machines share, and results, models and working files in it; a storage "
        f"provider ({workflow.storage_settings.default_storage_provider}) does not carry them. Run in such a directory "
        "with `--default-storage-provider none`."
    )

CHECKPOINTS = config["checkpoints"]["directory"]
ENVIRONMENT = "../envs/lucaflow.yaml"
GPUS = 0 if config["compute"]["device"] == "cpu" else 1
# Only predictions embed the others: pairs, and all datasets if `embedding.outputs` is empty.
# A dataset is in the list once for each of its models.
EMBEDDED = [each for dataset in DATASETS.values() if dataset.is_embedded for each in dataset.by_model()]
# Likewise those that get scores of a language model.
SCORED = [each for dataset in DATASETS.values() if dataset.is_scored for each in dataset.by_model()]
MODELS_OF_DATASETS = {dataset.model for dataset in [*EMBEDDED, *SCORED]}
MODELS_OF_DATASETS |= {model for training in TRAININGS.values() for model in training.models}


wildcard_constraints:
    dataset="|".join(map(re.escape, DATASETS)),
    model="|".join(sorted({re.escape(model.name) for model in MODELS_OF_DATASETS})) or "(?!)",
    digest="[0-9a-f]{12}",
    fingerprint="[0-9a-f]{12}",
    shard="[0-9a-f]{16}",


def growing(megabytes, records=False):
    """Return the MB of memory of a job: more at each attempt, and six bytes for each byte of records.tsv it reads.

    Jobs that would fail again have `retries: 0`.
    """

    def memory(wildcards, input, attempt):
        table = Path(input.records) if records else None
        return attempt * (megabytes + (6 * table.stat().st_size // 10**6 if table and table.is_file() else 0))

    return memory


def dataset_of(wildcards):
    """Return the dataset that wildcards name, and as their model embeds it.

    A dataset is returned as it is, so that functions take either.
    """
    if isinstance(wildcards, Dataset):
        return wildcards
    dataset, names = DATASETS[wildcards.dataset], dict(wildcards)
    return dataset.with_model(names["model"]) if "model" in names else dataset


def version_and_step(wildcards):
    model = dataset_of(wildcards).model
    return model.llm_version, model.llm_step


@functools.cache
def checkpoint_folder(model):
    """Return the folder that holds a converted checkpoint."""
    return converted.converted_folder(model, config["checkpoints"], ROOT)


def sha256_of(model):
    """Return the SHA-256 of a checkpoint's network, once it is converted."""
    folder = checkpoint_folder(model)
    checkpoints.convert_checkpoint.get(folder=folder.name)
    try:
        found = (folder / converted.CHECKPOINT_RECORD).stat()
    except OSError:
        found = None  # Reading the record says why.
    return recorded_sha256(folder, found and (found.st_ino, found.st_size, found.st_mtime_ns))


@functools.cache
def recorded_sha256(folder, state):
    """Return the SHA-256 of a checkpoint's network, from its record. Read once for all datasets, unless it changes.

    state: of the file.
    """
    return converted.read_record(folder)["network_sha256"]
