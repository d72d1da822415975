"""What is the configuration with its defaults, and can it be run? Errors are raised before any job starts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lucaflow.checkpoints.converted_checkpoint import own_place
from lucaflow.checkpoints.known_models import MODELS
from lucaflow.checkpoints.layouts import is_huggingface
from lucaflow.checkpoints.model import Model
from lucaflow.checkpoints.registry import Registry
from lucaflow.config.datasets import Dataset
from lucaflow.config.networks import problems_of_networks
from lucaflow.engine.options import VECTORS
from lucaflow.errors import ConfigError, quoted
from lucaflow.schemas import has_more_values, unknown_keys, violations, with_defaults, with_expanded_paths

# Many more than there are keys.
_MOST_VALUES = 1000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
# Of the folders of converted downstream models.
_PREFIX_OF_HEADS = "head-"
# Folders in results/<dataset>.
_TAKEN_NAMES = ("sequences", "settings", "heads", "predictions", "training", "receipts")


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
    problems = problems or [*_name_problems(resolved["checkpoints"])]
    if problems:
        raise ConfigError("the configuration cannot be used:\n  " + "\n  ".join(problems))
    return dict(with_expanded_paths(resolved, schema))


def _name_problems(settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield a message for each name in the mapping checkpoints.path that cannot be one. settings: `checkpoints`."""
    names = list(settings["path"]) if isinstance(settings["path"], Mapping) else []
    known: dict[str, str] = {}
    for name in names:
        if not isinstance(name, str):
            yield f"checkpoints.path: {name} is not text; write it in quotation marks"
            continue
        if not _NAME.fullmatch(name) or f"{name}-".startswith(_PREFIX_OF_HEADS):
            yield (
                f"checkpoints.path: {quoted(name)} is not a name; use letters, digits, `_`, `.` and `-`, and not "
                f"`{_PREFIX_OF_HEADS}` at the beginning"
            )
        elif name.lower() in _TAKEN_NAMES:
            yield f"checkpoints.path: {quoted(name)} is a name that LucaFlow uses in results/<dataset>; choose another"
        elif other := known.get(name.lower()):
            yield f"checkpoints.path: {quoted(name)} and {quoted(other)} differ only in case; choose another name"
        known[name.lower()] = name


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


def refuse_unavailable(
    config: Mapping[str, Any], datasets: Mapping[str, Dataset], registry: Registry, lacks: Iterable[str] = ()
) -> None:
    """Raise ConfigError for choices that LucaFlow cannot run, and for checkpoints that are not available.

    lacks: problems with packages that a choice needs.
    """
    source, path = config["checkpoints"]["source"], config["checkpoints"]["path"]
    datasets = {name: dataset for name, dataset in datasets.items() if dataset.is_embedded or dataset.is_scored}
    models = {requested.model: requested.step_stated for d in datasets.values() for requested in d.requested}
    # In the directory that checkpoints.path is, or from the Hub or a server.
    elsewhere = {
        model: stated
        for model, stated in models.items()
        if not model.packaged and not own_place(model, config["checkpoints"])
    }
    problems = [*_problems_of_own_places(config["checkpoints"]), *problems_of_networks(datasets.values(), config)]
    if config["embedding"]["precision"] == "tfloat32" and config["compute"]["device"] == "cpu":
        problems.append(
            "embedding.precision: `tfloat32` needs a GPU, but compute.device is `cpu`; use `float32` or `bfloat16`"
        )
    problems += [*_output_problems(config), *lacks]
    directory = Path(config["checkpoints"]["directory"])
    if directory.exists() and not directory.is_dir():
        problems.append(f"checkpoints.directory: {directory} is a file; give a directory, which need not exist yet")
    if source != "local":
        problems += _missing_checkpoints(elsewhere, source, registry)
        problems += _problems_of_licences(elsewhere, config["checkpoints"], registry)
    elif elsewhere and not path:
        problems.append(
            "checkpoints.path: expected the directory of the checkpoint, since checkpoints.source is `local`"
        )
    elif elsewhere and isinstance(path, Mapping):
        names = ", ".join(sorted(model.name for model in elsewhere))
        problems.append(f"checkpoints.path: it has no directory for {names}, and checkpoints.source is `local`")
    elif elsewhere and is_huggingface(Path(path)):
        problems += _huggingface_problems(elsewhere, path)
    if problems:
        raise ConfigError("the configuration cannot be run:\n  " + "\n  ".join(problems))


def refuse_missing_checkpoint(
    task: str, model: Model, config: Mapping[str, Any], stated: Iterable[Model], registry: Registry
) -> None:
    """Raise ConfigError if the checkpoint that a task needs is not available from the configured source.

    stated: models whose step the user gives. A Hugging Face directory must hold one of them.
    """
    source, path = config["checkpoints"]["source"], config["checkpoints"]["path"]
    if model.packaged or own_place(model, config["checkpoints"]):
        return
    why = f"task {task}: its model was trained on embeddings by {model.name}"
    if source != "local":
        try:
            registry.places(model, source)
        except ConfigError as error:
            raise ConfigError(f"{why}. {error}") from None
        for problem in _problems_of_licences([model], config["checkpoints"], registry):
            raise ConfigError(f"{why}. {problem}")
    elif not path or isinstance(path, Mapping):
        raise ConfigError(f"{why}: set checkpoints.path to the directory that holds it, or add it there by name")
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
    return stated + [each.model for dataset in datasets for each in dataset.requested if each.step_stated]


def _problems_of_own_places(settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield a message for each directory by a version's name that does not say which steps it holds.

    settings: `checkpoints`.
    """
    places = settings["path"] if isinstance(settings["path"], Mapping) else {}
    with_steps = {
        name: known.default_step for name, known in MODELS.items() if known.default_step and not known.packaged
    }
    for version in (name for name in places if name in with_steps):
        place = Path(places[version])
        if place.is_dir() and not (place / "llm").is_dir():
            yield (
                f"checkpoints.path: {place} does not say which step of {version} it holds. Write the step into the "
                f"name, such as `{version}-{with_steps[version]}`, or use a name of your own"
            )


def _missing_checkpoints(models: Iterable[Model], source: str, registry: Registry) -> Iterator[str]:
    """Yield a message for each checkpoint that is not available from the configured source."""
    for model in sorted(models, key=lambda model: model.name):
        try:
            registry.places(model, source)
        except ConfigError as error:
            yield str(error)


def _problems_of_licences(models: Iterable[Model], settings: Mapping[str, Any], registry: Registry) -> Iterator[str]:
    """Yield a message for each model whose licence forbids commercial use, and was not accepted by its name.

    settings: `checkpoints`.
    """
    wanted = [place for model, place in registry.entries if model in set(models) and place.source == settings["source"]]
    for name, licence in sorted({(place.name, place.licence) for place in wanted if place.forbids_commercial_use}):
        if licence != settings["accept_licence"]:
            yield (
                f"checkpoints.accept_licence: the licence of {name}, {licence}, forbids commercial use. If you accept "
                f"it, set checkpoints.accept_licence to {quoted(licence)}"
            )


def _output_problems(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield a message for each result that needs other outputs of embedding."""
    outputs = config["embedding"]["outputs"]
    for name in ("tsne", "umap"):
        if config["figures"][name] and not set(outputs) - {"contacts"}:
            yield f"figures.{name}: a map needs vectors or matrices; add `mean` to embedding.outputs"
    neighbours = config["neighbours"]
    if neighbours["k"] not in ("auto", 0) and neighbours["vector"] not in outputs:
        yield f"neighbours.vector: add `{neighbours['vector']}` to embedding.outputs, or set neighbours.k to 0"
    if neighbours["search"] == "approximate" and find_spec("usearch") is None:
        yield (
            "neighbours.search: `approximate` needs the package usearch, which this environment lacks; install it "
            '(.venv/bin/python -m pip install "usearch>=2.26"), or use `exact`'
        )
    if config["export"] and not outputs:
        yield "export: nothing is stored, since embedding.outputs is empty; add `mean` to it, or leave out `export`"
    else:
        yield from _export_problems(config["export"], outputs)


def why_no_neighbours(config: Mapping[str, Any]) -> str:
    """Return why datasets get no neighbours although `neighbours.k` is `auto`; an empty text if they get some.

    >>> why_no_neighbours({"neighbours": {"k": "auto", "vector": "mean"}, "embedding": {"outputs": ["max", "matrix"]}})
    'no neighbours are listed, since `mean` is not in embedding.outputs; add it, or set neighbours.vector to `max`'
    """
    settings, outputs = config["neighbours"], config["embedding"]["outputs"]
    if settings["k"] != "auto" or settings["vector"] in outputs or not outputs:
        return ""
    others = [f"`{name}`" for name in VECTORS if name in outputs]
    instead = f"neighbours.vector to {' or '.join(others)}" if others else "neighbours.k to 0"
    return (
        f"no neighbours are listed, since `{settings['vector']}` is not in embedding.outputs; add it, or set {instead}"
    )


def _export_problems(exports: Sequence[str], outputs: Sequence[str]) -> Iterator[str]:
    """Yield a message for each export that cannot hold the outputs, or needs others.

    LucaOneApp names its files `matrix_` and `vector_`, for any kind of vector.
    """
    vectors = [name for name in outputs if name in VECTORS]
    if "lucaone" in exports and len(vectors) > 1:
        yield f"export: `lucaone` holds one kind of vector, but embedding.outputs has {', '.join(vectors)}; keep one"
    if "lucaone" in exports and not vectors and "matrix" not in outputs:
        yield "export: `lucaone` holds matrices or vectors; add `matrix`, `mean`, `max` or `cls` to embedding.outputs"
    of_vectors = [name for name in exports if name in ("npy", "parquet", "anndata", "csv")]
    if of_vectors and not vectors:
        named = ", ".join(f"`{name}`" for name in of_vectors)
        yield f"export: {named} hold vectors; add `mean`, `max` or `cls` to embedding.outputs"
    if "by_id" in exports and len(outputs) > 1:
        several = ", ".join(outputs)
        yield (
            f"export: `by_id` holds one kind of array, but embedding.outputs has {several}; keep one, or use "
            "`standalone`, which holds them all"
        )


def _huggingface_problems(models: Mapping[Model, bool], path: str) -> Iterator[str]:
    """Yield problems with a Hugging Face directory, which holds one model and does not say which.

    models: whether the step of each is stated.
    """
    if len(models) > 1:
        names = ", ".join(sorted(model.name for model in models))
        yield f"checkpoints.path: {path} holds one model, but the datasets need {names}"
    if not all(models.values()):
        yield f"model.llm_step: must be given, since {path} is a Hugging Face directory and does not say its step"
