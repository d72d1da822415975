"""What is the configuration with its defaults, and can it be run? Errors are raised before any job starts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lucaflow.checkpoints.layouts import is_huggingface
from lucaflow.checkpoints.model import Model
from lucaflow.checkpoints.registry import Registry
from lucaflow.config.datasets import Dataset
from lucaflow.engine.options import VECTORS
from lucaflow.errors import ConfigError
from lucaflow.schemas import has_more_values, unknown_keys, violations, with_defaults, with_expanded_paths

# Many more than there are keys.
_MOST_VALUES = 1000


def resolve(
    config: Mapping[str, Any], schema: Mapping[str, Any], options_there: Iterable[Mapping[str, str]] = ()
) -> dict[str, Any]:
    """Return the configuration with all defaults filled in, and the home directory for a leading `~` of a path.

    options_there: the options of LucaOneApp and what to write instead, as in config/schemas/lucaone_options.yaml.
    Raises ConfigError that names every unknown key (with the nearest known one) and every wrong value.
    """
    if has_more_values(config, _MOST_VALUES):
        raise ConfigError(
            f"the configuration cannot be used: it has more than {_MOST_VALUES} values, where one that an alias "
            "(`*name`) repeats counts each time. Write only the keys of config/README.md, without aliases."
        )
    resolved = with_defaults(config, schema)
    problems = [*unknown_keys(config, schema, instead=_counterparts(options_there)), *violations(resolved, schema)]
    if problems:
        raise ConfigError("the configuration cannot be used:\n  " + "\n  ".join(problems))
    return dict(with_expanded_paths(resolved, schema))


def _counterparts(options_there: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Return for each option of LucaOneApp a hint to its counterpart here, or why there is none."""
    found: dict[str, str] = {}
    for option in options_there:
        # Such as `id_idx`, `seq_idx`; or `embedding_type: matrix`, `vector`, where values follow.
        names = re.findall(r"`(\w+)(?:: \w+)?`", option["there"])
        for name in names[:1] if ":" in option["there"] else names:
            found[name] = f"instead of LucaOneApp's `{name}`: {option['here']}"
            if option["here"] == "none":
                reason = option["differs"].partition(". ")[0].strip(" .")
                found[name] = f"LucaOneApp's `{name}` is not needed: {reason[0].lower()}{reason[1:]}"
    return found


def refuse_unavailable(config: Mapping[str, Any], datasets: Mapping[str, Dataset], registry: Registry) -> None:
    """Raise ConfigError for choices that LucaFlow cannot run, and for checkpoints that are not available."""
    source, path = config["checkpoints"]["source"], config["checkpoints"]["path"]
    datasets = {name: dataset for name, dataset in datasets.items() if dataset.is_embedded}
    fetched = sorted({d.model.name for d in datasets.values() if d.model.llm_version != "mini"})
    problems = []
    if "contacts" in config["embedding"]["outputs"] and any(d.model.llm_version == "mini" for d in datasets.values()):
        problems.append("embedding.outputs: `mini` has no contact head; remove `contacts`, or use another checkpoint")
    if config["embedding"]["precision"] == "tfloat32" and config["compute"]["device"] == "cpu":
        problems.append(
            "embedding.precision: `tfloat32` needs a GPU, but compute.device is `cpu`; use `float32` or `bfloat16`"
        )
    problems += _output_problems(config)
    directory = Path(config["checkpoints"]["directory"])
    if directory.exists() and not directory.is_dir():
        problems.append(f"checkpoints.directory: {directory} is a file; give a directory, which need not exist yet")
    if source != "local":
        problems += _missing_checkpoints(datasets.values(), source, registry)
    if fetched and source == "local" and not path:
        problems.append(
            "checkpoints.path: expected the directory of the checkpoint, since checkpoints.source is `local`"
        )
    if fetched and source == "local" and path and is_huggingface(Path(path)):
        problems += _huggingface_problems(fetched, path, datasets)
    if problems:
        raise ConfigError("the configuration cannot be run:\n  " + "\n  ".join(problems))


def refuse_missing_checkpoint(
    task: str, model: Model, config: Mapping[str, Any], stated: Iterable[Model], registry: Registry
) -> None:
    """Raise ConfigError if the checkpoint that a task needs is not available from the configured source.

    stated: models whose step the user gives. A Hugging Face directory must hold one of them.
    """
    source, path = config["checkpoints"]["source"], config["checkpoints"]["path"]
    if model.llm_version == "mini":
        return
    why = f"task {task}: its model was trained on embeddings by {model.name}"
    if source != "local":
        try:
            registry.places(model, source)
        except ConfigError as error:
            raise ConfigError(f"{why}. {error}") from None
    elif not path:
        raise ConfigError(f"{why}: set checkpoints.path to the directory that holds it")
    elif is_huggingface(Path(path)) and model not in stated:
        raise ConfigError(
            f"{why}, but checkpoints.path is a Hugging Face directory, which holds one checkpoint and does not say "
            "which. Set checkpoints.path to a directory in LucaOne's layout that holds all of them, or set "
            "model.llm_step if it is this one."
        )


def stated_models(config: Mapping[str, Any], datasets: Iterable[Dataset]) -> list[Model]:
    """Return the models whose step is given in the configuration or the table of datasets."""
    model = config["model"]
    stated = [Model(model["llm_version"], model["llm_step"])] if model["llm_step"] else []
    return stated + [dataset.model for dataset in datasets if dataset.step_stated]


def _missing_checkpoints(datasets: Iterable[Dataset], source: str, registry: Registry) -> Iterator[str]:
    """Yield a message for each checkpoint that is not available from the configured source."""
    for model in sorted({dataset.model for dataset in datasets}, key=lambda model: model.name):
        try:
            registry.places(model, "packaged" if model.llm_version == "mini" else source)
        except ConfigError as error:
            yield str(error)


def _output_problems(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield a message for each result that needs other outputs of embedding."""
    outputs = config["embedding"]["outputs"]
    if config["figures"]["tsne"] and not set(outputs) - {"contacts"}:
        yield "figures.tsne: a map needs vectors or matrices; add `mean` to embedding.outputs"
    if config["export"] and not outputs:
        yield "export: nothing is stored, since embedding.outputs is empty; add `mean` to it, or leave out `export`"
    else:
        yield from _export_problems(config["export"], outputs)


def _export_problems(exports: Sequence[str], outputs: Sequence[str]) -> Iterator[str]:
    """Yield a message for each export that cannot hold the outputs, or needs others.

    LucaOneApp names its files `matrix_` and `vector_`, for any kind of vector.
    """
    vectors = [name for name in outputs if name in VECTORS]
    if "lucaone" in exports and len(vectors) > 1:
        yield f"export: `lucaone` holds one kind of vector, but embedding.outputs has {', '.join(vectors)}; keep one"
    if "lucaone" in exports and not vectors and "matrix" not in outputs:
        yield "export: `lucaone` holds matrices or vectors; add `matrix`, `mean`, `max` or `cls` to embedding.outputs"
    of_vectors = [name for name in exports if name in ("npy", "parquet", "anndata")]
    if of_vectors and not vectors:
        named = ", ".join(f"`{name}`" for name in of_vectors)
        yield f"export: {named} hold vectors; add `mean`, `max` or `cls` to embedding.outputs"
    if "by_id" in exports and len(outputs) > 1:
        several = ", ".join(outputs)
        yield (
            f"export: `by_id` holds one kind of array, but embedding.outputs has {several}; keep one, or use "
            "`standalone`, which holds them all"
        )


def _huggingface_problems(fetched: list[str], path: str, datasets: Mapping[str, Dataset]) -> Iterator[str]:
    """Yield problems with a Hugging Face directory, which holds one model and does not say which."""
    if len(fetched) > 1:
        yield f"checkpoints.path: {path} holds one model, but the datasets need {', '.join(fetched)}"
    if not all(dataset.step_stated for dataset in datasets.values() if dataset.model.llm_version != "mini"):
        yield f"model.llm_step: must be given, since {path} is a Hugging Face directory and does not say its step"
