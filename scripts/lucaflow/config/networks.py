"""Can the networks of the requested models read the datasets, and give the requested outputs?

The table of models says it of those that are fetched, and the files of a directory of those that are on this disk. No
network is loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lucaflow.checkpoints.converted_checkpoint import encoder_source, own_place, source_of
from lucaflow.checkpoints.known_models import FAMILIES, MODELS, KnownFamily, untrained_contacts
from lucaflow.checkpoints.model import Model
from lucaflow.checkpoints.stated_network import stated_network
from lucaflow.config.datasets import Dataset
from lucaflow.config.scores import scores_without_residues
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.errors import CheckpointError, ConfigError


@dataclass(frozen=True)
class _Network:
    """The network of a requested model.

    layers, contact_head (whether there is one): None if nobody says; says: who says so, for messages.
    """

    model: Model
    family: KnownFamily
    layers: int | None
    contact_head: bool | None = None
    says: str = ""


def problems_of_networks(datasets: Iterable[Dataset], config: Mapping[str, Any]) -> Iterator[str]:
    """Yield a message for each sequence type, output or layer that a network lacks, and each directory without one."""
    datasets = list(datasets)
    networks = {}
    for model in dict.fromkeys(model for dataset in datasets for model in dataset.models):
        found = _network_of(model, config["checkpoints"])
        if isinstance(found, str):
            yield found
        elif found:
            networks[model] = found
    for dataset in datasets:
        for model in dataset.models:
            if model in networks and dataset.seq_type not in networks[model].family.seq_types:
                yield _other_type(dataset, networks[model])
    yield from dict.fromkeys(
        problem for dataset in datasets for problem in _problems_of_scores(dataset, networks, config)
    )
    yield from dict.fromkeys(
        problem for network in networks.values() for problem in _problems_of_outputs(network, config)
    )


def _network_of(model: Model, settings: Mapping[str, Any]) -> _Network | str | None:
    """Return the network of a model, a message if there is none or another one, or None if nothing says which it is.

    settings: the section `checkpoints` of the configuration.
    """
    known = model.known
    if source_of(model, settings) != "local":
        return _Network(model, FAMILIES[known.family], known.layers) if known else None
    if not (own_place(model, settings) or isinstance(settings["path"], str)):
        return None
    try:
        stated = stated_network(encoder_source(model, settings, Path()))
    except CheckpointError as error:
        return f"checkpoints.path: {error}"
    if stated is None:
        return None
    if known and known.family != stated.family.name:
        return (
            f"checkpoints.path: {stated.path} describes {stated.family.title} model, but {model.name} is "
            f"{FAMILIES[known.family].title}; correct the directory, or give this model a name of your own there"
        )
    says = f" ({stated.path} describes {stated.family.title} model)"
    return _Network(model, stated.family, stated.layers, stated.contact_head, says)


def _other_type(dataset: Dataset, network: _Network) -> str:
    readers = (known.version for known in MODELS.values() if dataset.seq_type in known.seq_types)
    only = " and ".join(network.family.seq_types)
    return (
        f"dataset {dataset.name}: {network.model.name} reads only {only} sequences, not {dataset.seq_type}"
        f"{network.says}; use `{next(readers)}`, or correct checkpoints.path"
    )


def _problems_of_outputs(network: _Network, config: Mapping[str, Any]) -> Iterator[str]:
    layer, family = config["embedding"]["layer"], network.family
    # Steps of one version have one answer.
    name = network.model.llm_version
    known = network.model.known
    has_contacts = family.contacts and (network.says or not known or known.contacts)
    if "contacts" in config["embedding"]["outputs"] and not has_contacts:
        yield f"embedding.outputs: {untrained_contacts(name)}"
    elif "contacts" in config["embedding"]["outputs"] and network.contact_head is False:
        yield (
            f"embedding.outputs: the directory of {name} has no contact head, as after fine-tuning; leave out "
            "`contacts`, or use the published directory"
        )
    if family.byte_pairs:
        yield from _problems_of_byte_pairs(name, config)
    if layer and network.layers and layer > network.layers:
        yield f"embedding.layer: it is {layer}, but `{name}` has layers 0 to {network.layers}"


def _problems_of_scores(
    dataset: Dataset, networks: Mapping[Model, _Network], config: Mapping[str, Any]
) -> Iterator[str]:
    """Yield a message for each score of a dataset that one of its models lacks. networks: those that are known."""
    for model in dataset.models if dataset.is_scored else ():
        if model in networks and networks[model].family.byte_pairs:
            outputs, has_variants = config["scores"]["outputs"], dataset.variants is not None
            yield from scores_without_residues(model.llm_version, outputs, has_variants)


def _problems_of_byte_pairs(name: str, config: Mapping[str, Any]) -> Iterator[str]:
    """Yield a message for each choice that does not fit rows which cover several letters. name: of the model."""
    try:
        EmbeddingOptions.from_config(config["embedding"]).require_separate_windows(f"`{name}`")
    except ConfigError as error:
        yield str(error)
    if "by_id" in config["export"] and "matrix" in config["embedding"]["outputs"]:
        yield no_place_for_spans(f"`{name}`")


def no_place_for_spans(network: str) -> str:
    """Return why matrices whose rows cover several letters are not exported by id."""
    return (
        f"export: `by_id` has no place for `spans`, the letters that each row of {network} covers; use "
        "`standalone`, which has them, or embedding.outputs without `matrix`"
    )
