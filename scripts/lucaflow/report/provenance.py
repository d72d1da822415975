"""What the results of a dataset depend on, as a page for people; run.yaml has the same for programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lucaflow.report.pages import facts, heading, paragraph, table, title_of_page, whole_page


def page_of_run(run: Mapping[str, Any], file: Mapping[str, Any], predictions: Sequence[Mapping[str, Any]]) -> str:
    """Return the page. run: content of run.yaml; file: what identifies the input; predictions: each <task>.json."""
    dataset = run["dataset"]
    title = f"{dataset['name']}: what its results depend on"
    columns = {name: value for name, value in dataset["columns"].items() if value not in (None, False)}
    of_input = [
        ("file", near(dataset["path"])),
        *((_IDENTITY.get(name, name), value) for name, value in file.items()),
        ("type of sequences", dataset["seq_type"]),
        *((f"column of {name}s" if name != "pairs" else "pairs", value) for name, value in columns.items()),
        *((words, near(dataset[name])) for name, words in _FURTHER_COLUMNS.items() if name in dataset),
        ("predictions asked for", ", ".join(dataset["tasks"])),
    ]
    parts = [title_of_page(title), heading("Input"), facts(of_input)]
    checkpoint = run.get("checkpoint", {})
    # Of several models there is one for each.
    for each in [checkpoint] if "encoder" in checkpoint else checkpoint.values():
        parts += _checkpoint(each)
    if scored := run.get("language_model"):
        parts += [heading("Language model"), *(paragraph(f"{name}: {proof}") for name, proof in scored.items())]
    parts += _models_of(predictions) if predictions else []
    parts += [heading("Versions"), facts(run["versions"].items())]
    parts += [heading("Configuration"), paragraph("Defaults included."), facts(_flat(run["config"]))]
    return whole_page(title, parts)


# Of the table of datasets, if they are filled in.
_FURTHER_COLUMNS = {
    "metadata": "metadata",
    "metadata_id": "column of ids of the metadata",
    "reference": "neighbours are searched in",
    "split_column": "column of parts",
    "group_column": "column of groups",
    "variants": "variants",
}
_IDENTITY = {"sha256": "SHA-256", "bytes": "size in bytes", "mtime_ns": "time of its last change, in ns since 1970"}


def _checkpoint(checkpoint: Mapping[str, Any]) -> list[str]:
    made_of = checkpoint["origin"]
    rows = [
        ("name (llm_version)", checkpoint["llm_version"]),
        ("training step (llm_step)", "none" if checkpoint["llm_step"] is None else checkpoint["llm_step"]),
        ("parameters", checkpoint["parameters"]),
        ("SHA-256 of the network", checkpoint["network_sha256"]),
        ("SHA-256 of the file of converted weights", checkpoint["model"]["sha256"]),
    ]
    columns = {
        "published file": [Path(name).name for name in made_of],
        "bytes": [entry["bytes"] for entry in made_of.values()],
        "SHA-256": [entry["sha256"] for entry in made_of.values()],
    }
    # The tokenizer, which is long, has its SHA-256 among the files.
    numbers = {name: value for name, value in checkpoint["encoder"].items() if name != "tokenizer"}
    network = ((name.replace("_", " "), value) for name, value in numbers.items())
    files = [paragraph("Made of:"), table(columns)]
    return [heading("Checkpoint"), facts(rows), *files, paragraph("The network:"), facts(network)]


def _models_of(predictions: Sequence[Mapping[str, Any]]) -> list[str]:
    columns = {
        "task": [about["task"] for about in predictions],
        "reads embeddings of": [_embeddings_of(about) for about in predictions],
        "SHA-256 of the network": [about["head_sha256"] for about in predictions],
        "computed on": [about["device"] for about in predictions],
    }
    return [heading("Downstream models"), table(columns)]


def _embeddings_of(about: Mapping[str, Any]) -> str:
    """Return the model whose embeddings a task read. about: <task>.json."""
    if "embeddings" not in about:
        return str(about["model"])
    folder = near(about["embeddings"]["folder"])
    return f"{about['model']} by the configuration, from {folder}: made elsewhere, not checked"


def _flat(config: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the keys of a configuration, with dots between levels, and their values as a page shows them."""
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{place}{name}.")
        else:
            yield place + name, _words(value)


def _words(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return near(value) if isinstance(value, str) else value


def near(path: str) -> str:
    """Return a path relative to the working directory; the name alone if it is elsewhere. Other texts stay as they are.

    >>> near("/home/somebody/sequences.fasta")
    'sequences.fasta'
    """
    if not Path(path).is_absolute():
        return path
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else Path(path).name
