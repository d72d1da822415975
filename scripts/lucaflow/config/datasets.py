"""Which datasets are in the table, with which model and which tasks?"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lucaflow.checkpoints.converted_checkpoint import own_names
from lucaflow.checkpoints.known_models import MODELS
from lucaflow.checkpoints.model import Model, RequestedModel, requested_models
from lucaflow.errors import ConfigError, quoted, shown
from lucaflow.files.usable import why_unusable
from lucaflow.records.metadata import MetadataFile
from lucaflow.records.outcomes import Requirements
from lucaflow.records.readers import PAIR_COLUMNS, Columns
from lucaflow.records.seq_types import SEQ_TYPES
from lucaflow.records.task_folders import LABEL_COLUMN, SPLIT_COLUMN, is_task_folder
from lucaflow.schemas import expanded, nearest, unknown_keys, violations, with_defaults

# Names that LucaFlow uses in results/.
_RESERVED = ("receipts", "settings", "sha256sums", "summary.tsv", "summary.html", "overview.html", "validation.html")
# Of the table, in characters.
_LONGEST_LINE = 100_000
# Snakemake takes such a name for a rule that depends on itself endlessly.
_REPEATED_ENDING = re.compile(r"(.+?)\1{19}$")


@dataclass(frozen=True)
class Dataset:
    """A row of the table of datasets."""

    name: str
    path: Path
    seq_type: str
    columns: Columns
    # The first of its models. `with_model` returns the dataset as another one embeds it.
    model: Model
    metadata: MetadataFile | None = None
    # Not in repr(), because Snakemake compares it to see whether the parameters of a job have changed.
    tasks: tuple[str, ...] = field(default=(), repr=False)
    # The tasks as the table has them; `tasks` are their names in results/.
    stated_tasks: tuple[str, ...] = field(default=(), repr=False)
    # Whether it gets embeddings of its own; if not, only predictions embed its sequences.
    is_embedded: bool = field(default=True, repr=False)
    # All models that embed it, and whether the step of each was given.
    requested: tuple[RequestedModel, ...] = field(default=(), repr=False)
    # A folder of matrices that another program has made, which its tasks read.
    made_elsewhere: Path | None = field(default=None, repr=False)
    # The dataset whose sequences are searched for neighbours; None for its own. And whether that one has labels.
    reference: str | None = field(default=None, repr=False)
    neighbours_have_labels: bool = field(default=False, repr=False)
    # Columns that say the part and the group of a row, for trainings.
    split_column: str | None = field(default=None, repr=False)
    group_column: str | None = field(default=None, repr=False)
    # Whether its sequences or variants get scores of a language model, and the file of variants.
    is_scored: bool = field(default=False, repr=False)
    variants: Path | None = field(default=None, repr=False)

    @property
    def is_pairs(self) -> bool:
        """Whether each row of the file has two sequences."""
        return self.columns.pairs

    @property
    def models(self) -> tuple[Model, ...]:
        return tuple(requested.model for requested in self.requested) or (self.model,)

    def with_model(self, name: str) -> Dataset:
        """Return the dataset as the model of this name embeds it."""
        return replace(self, model=next(model for model in self.models if model.name == name))

    def by_model(self) -> list[Dataset]:
        """Return the dataset once for each of its models."""
        return [replace(self, model=model) for model in self.models]


def read_datasets(path: Path, schema: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Dataset]:
    """Read and check the table of datasets. Raises ConfigError with file, line and value."""
    datasets: dict[str, Dataset] = {}
    problems = []
    lines: dict[str, int] = {}
    for line, cells in _read_rows(path):
        row = _with_canonical_type(cells)
        wrong = [*unknown_keys(row, schema), *violations(row, schema)]
        wrong = wrong or list(_row_problems(row, config, datasets))
        if wrong:
            problems += [f"{path}, line {line}: {problem}" for problem in wrong]
        else:
            datasets[row["dataset"]] = _dataset(with_defaults(row, schema), config)
            lines[row["dataset"]] = line
    for dataset in datasets.values():
        wrong = list(_reference_problems(dataset, datasets, config)) if dataset.reference else []
        problems += [f"{path}, line {lines[dataset.name]}: reference: {problem}" for problem in wrong]
    if problems:
        raise ConfigError("the table of datasets cannot be used:\n  " + "\n  ".join(problems))
    if not datasets:
        raise ConfigError(f"{path}: the table holds no datasets. Add a row for each file; see config/README.md.")
    _refuse_idle_folders(config["heads"]["embeddings"], datasets)
    searched = {name: datasets[dataset.reference or name] for name, dataset in datasets.items()}
    return {
        name: replace(dataset, neighbours_have_labels=searched[name].columns.label is not None)
        for name, dataset in datasets.items()
    }


def _reference_problems(dataset: Dataset, datasets: Mapping[str, Dataset], config: Mapping[str, Any]) -> Iterator[str]:
    """Yield why the neighbours of a dataset cannot be searched in its reference."""
    name = str(dataset.reference)
    settings, outputs = config["neighbours"], config["embedding"]["outputs"]
    if name == dataset.name:
        yield "it is the dataset itself, in which neighbours are searched anyway; leave it empty"
        return
    if name not in datasets:
        meant = nearest(name, datasets)
        hint = f"did you mean {meant}?" if meant else f"the table has {shown(', '.join(datasets))}"
        yield f"there is no dataset {quoted(name)} without problems; {hint}"
        return
    other = datasets[name]
    if dataset.is_pairs or other.is_pairs:
        pairs = dataset.name if dataset.is_pairs else name
        yield f"{pairs} has pairs, which have no neighbours; leave it empty"
    elif dataset.seq_type != other.seq_type:
        yield f"{name} has {other.seq_type} sequences, {dataset.name} has {dataset.seq_type}; they must be of one type"
    if absent := [model.name for model in dataset.models if model not in other.models]:
        yield f"{name} is not embedded by {', '.join(absent)}; give both datasets the same llm_version and llm_step"
    if not settings["k"] or settings["vector"] not in outputs:
        needed = f"set neighbours.k to a number or `auto`, and add `{settings['vector']}` to embedding.outputs"
        yield f"no neighbours are listed; {needed}"


def _refuse_idle_folders(folders: Any, datasets: Mapping[str, Dataset]) -> None:
    """Raise ConfigError if a folder of embeddings is named for a dataset that does not read it.

    folders: `heads.embeddings` in the configuration.
    """
    problems = []
    for name in folders if isinstance(folders, Mapping) else ():
        if name not in datasets:
            meant = nearest(shown(name), datasets)
            hint = f"did you mean {meant}?" if meant else f"the table has {shown(', '.join(datasets))}"
            problems.append(f"there is no dataset {quoted(name)}; {hint}")
        elif not datasets[name].tasks:
            problems.append(f"{name} has no tasks, which would read them; add `tasks` in the table of datasets")
    if folders and not problems and not any(dataset.tasks for dataset in datasets.values()):
        problems.append("no dataset has tasks, which would read them; add `tasks` in the table of datasets")
    if problems:
        raise ConfigError("heads.embeddings: " + "\n  ".join(problems))


def _read_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield line number and cells of each row. Empty cells are left out; lines that start with # are comments."""
    names: list[str] = []
    for number, values in _read_cells(path):
        if not any(values) or values[0].startswith("#"):
            continue
        if not names:
            names = values
            if len(names) == 1:
                raise ConfigError(
                    f"{path}, line {number}: one column, {quoted(names[0])}. Columns must be separated by tabs."
                )
        elif len(values) > len(names):
            raise ConfigError(f"{path}, line {number}: {len(values)} cells, but {len(names)} columns.")
        else:
            yield number, {name: value for name, value in zip(names, values, strict=False) if value}


def _read_cells(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield number and cells of each line. Lines are read one by one: no quotation mark takes in the next line."""
    if reason := why_unusable(path):
        raise ConfigError(f"{shown(path)}: {reason}. Correct `datasets`, the path of this table, in the configuration.")
    number = 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            for number, line in enumerate(iter(lambda: lines.readline(_LONGEST_LINE), ""), start=1):
                if len(line) == _LONGEST_LINE:
                    raise ConfigError(f"{path}, line {number}: longer than {_LONGEST_LINE:,} characters. Shorten it.")
                if not line.lstrip(" ").startswith("#"):
                    for cells in csv.reader([line], delimiter="\t", strict=True):
                        yield number, [cell.strip() for cell in cells]
    except csv.Error as error:
        raise ConfigError(
            f"{path}, line {number}: the row cannot be read ({error}). A quotation mark that opens a cell must be "
            "closed in the same line; inside a quoted cell it is written twice."
        ) from error
    except (UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"{path}: cannot be read as a table of datasets ({error}).") from error


def _with_canonical_type(row: dict[str, str]) -> dict[str, str]:
    """Return a row in which `gene` or `prot` takes the place of another word for the type."""
    return {**row, "seq_type": SEQ_TYPES.get(row["seq_type"].lower(), row["seq_type"])} if "seq_type" in row else row


def _requested(row: Mapping[str, str], config: Mapping[str, Any]) -> tuple[RequestedModel, ...]:
    """Return the models of a row, or else of the configuration. A step there is for the same versions only.

    Raises ConfigError.
    """
    of_all = config["model"]["llm_version"]
    versions = row.get("llm_version", of_all)
    step = int(row["llm_step"]) if "llm_step" in row else config["model"]["llm_step"] if versions == of_all else None
    return requested_models(versions, step, own_names(config["checkpoints"]))


def _dataset(row: Mapping[str, str], config: Mapping[str, Any]) -> Dataset:
    requested, path = _requested(row, config), Path(expanded(row["path"]))
    return Dataset(
        name=row["dataset"],
        path=path,
        seq_type=row.get("seq_type", ""),
        columns=Columns(
            header=row["header"] == "yes" if "header" in row else None,
            id=row.get("id_column"),
            sequence=row.get("seq_column"),
            label=row.get("label_column", LABEL_COLUMN if is_task_folder(path) else None),
            pairs=row["kind"] == "pair",
            seq_type=row.get("seq_type", ""),
        ),
        model=requested[0].model,
        requested=requested,
        metadata=MetadataFile(Path(expanded(row["metadata"])), row.get("metadata_id")) if "metadata" in row else None,
        tasks=tuple(name.replace(":", "-") for name in _tasks(row)),
        stated_tasks=_tasks(row),
        is_embedded=bool(config["embedding"]["outputs"]) and row["kind"] != "pair",
        made_elsewhere=_made_elsewhere(row, config["heads"]["embeddings"]),
        reference=row.get("reference"),
        split_column=row.get("split_column", SPLIT_COLUMN if is_task_folder(path) else None),
        group_column=row.get("group_column"),
        is_scored=row["kind"] != "pair" and (bool(config["scores"]["outputs"]) or "variants" in row),
        variants=Path(expanded(row["variants"])) if "variants" in row else None,
    )


def _made_elsewhere(row: Mapping[str, str], folders: Any) -> Path | None:
    """Return the folder of a dataset's embeddings that were made elsewhere. folders: `heads.embeddings`."""
    folder = folders.get(row["dataset"]) if isinstance(folders, Mapping) else folders
    return Path(folder) if folder and _tasks(row) else None


def _tasks(row: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(name.strip() for name in row.get("tasks", "").split(",") if name.strip())


def _row_problems(row: Mapping[str, str], config: Mapping[str, Any], known: Mapping[str, Dataset]) -> Iterator[str]:
    """Yield the problems of a row whose single cells are valid."""
    if row["dataset"].lower() in (name.lower() for name in known):
        yield f"dataset: {quoted(row['dataset'])} is in the table twice (case is ignored); names must be unique"
    if row["dataset"].lower() in _RESERVED:
        yield f"dataset: {quoted(row['dataset'])} is a name that LucaFlow uses in results/; choose another"
    if _REPEATED_ENDING.search(row["dataset"]):
        yield f"dataset: {quoted(row['dataset'])} ends in the same text 20 times, which Snakemake refuses; shorten it"
    if set("{}") & set(row["path"]):
        yield f"path: {quoted(row['path'])} contains a brace, which Snakemake would read as a wildcard; rename the file"
    yield from _problems_of_kind(row)
    tasks = Counter(name.replace(":", "-") for name in _tasks(row))
    repeated_tasks = sorted(name for name, count in tasks.items() if count > 1)
    if repeated_tasks:
        yield f"tasks: {shown(', '.join(repeated_tasks))} is given twice"
    yield from _problems_of_models(row, config)


def _problems_of_models(row: Mapping[str, str], config: Mapping[str, Any]) -> Iterator[str]:
    try:
        requested = _requested(row, config)
    except ConfigError as error:
        yield str(error)
        return
    seq_type = row.get("seq_type")
    for known in dict.fromkeys(each.model.known for each in requested if each.model.known):
        if seq_type and seq_type not in known.seq_types:
            readers = (other.version for other in MODELS.values() if seq_type in other.seq_types)
            only = " and ".join(known.seq_types)
            yield f"seq_type: {known.version} reads only {only} sequences, not {seq_type}; use `{next(readers)}`"


def _problems_of_kind(row: Mapping[str, str]) -> Iterator[str]:
    """Yield the problems of the columns that depend on whether a record is one sequence or a pair."""
    if row.get("kind") == "pair":
        for column in ("seq_type", "id_column", "seq_column"):
            if column in row:
                yield f"{column}: a file of pairs has LucaOne's columns ({', '.join(PAIR_COLUMNS)}); leave it empty"
        for column in ("metadata", "variants"):
            if column in row:
                yield f"{column}: a file of pairs takes none; leave it empty"
    elif "seq_type" not in row:
        yield "seq_type: expected `gene` (DNA, RNA) or `prot`, found nothing"
    if "metadata_id" in row and "metadata" not in row:
        yield "metadata_id: names a column of the file in `metadata`, which is empty"


def stated_tasks(datasets: Iterable[Dataset]) -> dict[str, str]:
    """Return the tasks of all datasets as the table has them, by their names in results.

    Raises ConfigError if two of them have one name there.
    """
    found: dict[str, str] = {}
    for dataset in datasets:
        for name, stated in zip(dataset.tasks, dataset.stated_tasks, strict=True):
            if found.setdefault(name, stated) != stated:
                raise ConfigError(
                    f"tasks: {quoted(stated)} and {quoted(found[name])} would have the same results, {name}"
                )
    return dict(sorted(found.items()))


def requirements_of(config: Mapping[str, Any], dataset: Dataset) -> Requirements:
    """Return what the configured outputs and exports require of each record; nothing of those that have neither."""
    embedding, longest = config["embedding"], None
    if dataset.is_embedded and "contacts" in embedding["outputs"]:
        # Contacts come from attention, which reaches no further than a window. Residues that are cut off need none.
        size = embedding["embedding_fixed_len_a_time"]
        longest = embedding["contacts_max_length"]
        if embedding["embedding_complete"]:
            longest = min(longest, size or longest)
        elif (size or embedding["truncation_seq_length"]) <= longest:
            longest = None
    if dataset.is_scored and "contacts" in config["scores"]["outputs"]:
        # Scores are of whole sequences.
        longest = min(longest or embedding["contacts_max_length"], embedding["contacts_max_length"])
    return Requirements(longest, file_names=dataset.is_embedded and "lucaone" in config["export"])
