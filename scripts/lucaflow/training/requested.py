"""Which trainings does the configuration ask for? All that is wrong with them is said at once, before anything runs."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, get_args, get_type_hints

from lucaflow.checkpoints.model import Model
from lucaflow.config.datasets import Dataset
from lucaflow.downstream.inputs import MATRIX, HeadInput
from lucaflow.downstream.lucaonetasks import Task
from lucaflow.downstream.required_embeddings import EmbeddingRequest
from lucaflow.errors import ConfigError, quoted, shown
from lucaflow.records.task_folders import is_task_folder
from lucaflow.schemas import nearest
from lucaflow.training.metric_names import LOWER_IS_BETTER, primary_metric
from lucaflow.training.options import TrainingOptions, options_of
from lucaflow.training.recipes import RECIPES
from lucaflow.training.splits import Method, SplitOptions

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
# Keys of a training that are no options of the network.
_OWN_KEYS = ("dataset", "split", "split_column", "group_column", "recipe")
_SPLIT_KEYS = tuple(field.name for field in fields(SplitOptions))
_MODEL_OF_PAIRS = "lucappi2"
_DATASET_TYPES = {"prot": "protein", "gene": "gene"}


@dataclass(frozen=True)
class RequestedTraining:
    """A training that the configuration asks for.

    dataset: its name; seq_type: of its sequences, empty for pairs, whose file says it; given_column: the column that
    says the part or the group of a row, as the method of the split needs; models: those that embed the dataset; each
    gets a downstream model of its own.
    """

    task: str
    dataset: str
    seq_type: str
    options: TrainingOptions
    split: SplitOptions
    given_column: str | None
    models: tuple[Model, ...]

    @property
    def primary(self) -> str:
        """The metric of the report that was fixed beforehand, by which models are compared."""
        return primary_metric(self.options.task_type, self.options.best_metric)

    def model(self, name: str) -> Model:
        return next(model for model in self.models if model.name == name)

    def reading(self, model: str) -> HeadInput:
        """Return how the downstream model reads embeddings. model: the name of the encoder."""
        options = self.options
        longest = options.matrix_max_length
        return HeadInput(
            model=self.model(model),
            longest_sequence=longest,
            longest_matrix=longest,
            complete=True,
            trunc_type="right",
            special=options.matrix_add_special_token,
            frame=options.frame,
            as_trained=True,
            output=options.vector if options.reads_vectors else MATRIX,
        )

    def request(self, model: str) -> EmbeddingRequest:
        """Return the embedding that is trained on. model: the name of the encoder."""
        return EmbeddingRequest.by(self.reading(model), 0)

    @property
    def is_pairs(self) -> bool:
        return self.options.sides == 2

    def as_task(self, seq_types: Sequence[str], time_str: str, step: str) -> Task:
        """Return the names of its folders in LucaOneTasks. seq_types: of the sides."""
        kinds = dict.fromkeys(_DATASET_TYPES[kind] for kind in seq_types)
        options = self.options
        names = self.task, "_".join(kinds), options.task_type, options.model_type, time_str, step
        return Task(*names, input_type=options.input_type)

    def unfit(self, dataset: Dataset) -> str:
        """Return why a dataset has sequences that the model of this task cannot read; nothing if it can read them."""
        if self.is_pairs != dataset.is_pairs:
            kinds = ("pair", "single") if self.is_pairs else ("single", "pair")
            return f"{dataset.name}: {self.task} reads {kinds[0]} records, not {kinds[1]} ones"
        if not self.is_pairs and dataset.seq_type != self.seq_type:
            return f"{dataset.name}: {self.task} reads {self.seq_type} sequences, not {dataset.seq_type}"
        if self.options.reads_vectors and dataset.made_elsewhere:
            return f"{dataset.name}: {self.task} reads vectors, and heads.embeddings has matrices"
        return ""

    def unreadable(self, seq_types: Iterable[str]) -> list[str]:
        """Return what refuses sequences of these types: encoders that do not read them."""
        known = [(model.name, model.known) for model in self.models]
        return [
            f"- {name} reads only {' and '.join(row.seq_types)} sequences, not {kind}; leave it out of llm_version."
            for name, row in known
            for kind in dict.fromkeys(seq_types)
            if row and kind not in row.seq_types
        ]

    def division_settings(self) -> dict[str, Any]:
        """Return the settings on which the division into train, dev and test depends, besides the records."""
        options = self.options
        return {
            "split": asdict(self.split),
            "given_column": self.given_column,
            "task_type": options.task_type,
            "task_level_type": options.task_level_type,
            "compatibility": options.compatibility,
        }


def requested_trainings(
    stated: Mapping[str, Any], datasets: Mapping[str, Dataset], published: Collection[str]
) -> dict[str, RequestedTraining]:
    """Return the trainings by the names of their tasks.

    stated: `training` in the configuration; published: names of tasks that are published or packaged. Raises
    ConfigError with all problems.
    """
    found: dict[str, RequestedTraining] = {}
    problems: list[str] = []
    names: dict[str, str] = {}
    for task, keys in stated.items():
        wrong = list(_problems_of_name(task, published))
        if other := names.get(str(task).lower()):
            wrong.append(f"it differs from {quoted(other)} in case only; choose another name")
        names[str(task).lower()] = task
        dataset = datasets.get(keys["dataset"]) if isinstance(keys.get("dataset"), str) else None
        wrong += _problems_of_dataset(keys, dataset, datasets)
        try:
            split, column = _split_of(keys, dataset)
        except ConfigError as error:
            wrong += str(error).split("\n")
        try:
            options = _options_of(keys, dataset)
            wrong += _problems_of_options(options, dataset)
        except ConfigError as error:
            wrong += str(error).split("\n")
        if wrong:
            problems += [f"training.{shown(task)}: {problem}" for problem in wrong]
        elif dataset:
            found[task] = RequestedTraining(
                task, dataset.name, dataset.seq_type, options, split, column, dataset.models
            )
    if problems:
        raise ConfigError("trainings that cannot be run:\n  " + "\n  ".join(problems))
    return found


def _problems_of_name(task: Any, published: Collection[str]) -> Iterator[str]:
    if not isinstance(task, str) or not _NAME.fullmatch(task):
        yield "the name of a task has letters, digits, `_` and `-`, a letter or digit first; choose another"
    elif task.lower() in (name.lower() for name in published):
        yield "a published task has this name; choose another"


def _problems_of_dataset(
    keys: Mapping[str, Any], dataset: Dataset | None, datasets: Mapping[str, Dataset]
) -> Iterator[str]:
    if "dataset" not in keys:
        yield f"dataset is missing, expected one of the table: {shown(', '.join(datasets))}"
    elif dataset is None:
        meant = nearest(shown(keys["dataset"]), datasets)
        hint = f"did you mean {meant}?" if meant else f"the table has {shown(', '.join(datasets))}"
        yield f"dataset: there is no dataset {quoted(keys['dataset'])}; {hint}"
    elif dataset.columns.label is None:
        yield f"dataset: {dataset.name} has no labels; name their column as `label_column` in the table of datasets"
    elif dataset.made_elsewhere:
        yield (
            f"dataset: {dataset.name} has embeddings that were made elsewhere, on which nothing is trained; leave it "
            "out of heads.embeddings"
        )


def _options_of(keys: Mapping[str, Any], dataset: Dataset | None) -> TrainingOptions:
    """Return the options of a training, those of its recipe among them. Raises ConfigError, a problem a line."""
    stated = {key: value for key, value in keys.items() if key not in _OWN_KEYS}
    if dataset and dataset.is_pairs:
        # It has a tower for each side, so it reads sides of different types as well as of one.
        stated = {"model_type": _MODEL_OF_PAIRS, **stated}
    recipe = keys.get("recipe")
    if recipe is not None:
        if recipe not in RECIPES:
            meant = nearest(shown(recipe), RECIPES)
            hint = f"did you mean {meant}?" if meant else f"expected one of {', '.join(RECIPES)}"
            raise ConfigError(f"recipe: there is no recipe {quoted(recipe)}; {hint}")
        stated = {**RECIPES[recipe], **{key: value for key, value in keys.items() if key not in _OWN_KEYS}}
    try:
        return options_of(stated)
    except ConfigError as error:
        raise ConfigError("\n".join(line.strip() for line in str(error).split("\n")[1:])) from None


def _problems_of_options(options: TrainingOptions, dataset: Dataset | None) -> Iterator[str]:
    if options.is_token_level:
        for model in dataset.models if dataset else ():
            if model.known and model.known.byte_pairs:
                yield (
                    f"task_level_type: {model.name} has no row for each residue, which token_level needs; leave it out "
                    "of llm_version"
                )
    if dataset and dataset.is_pairs and options.sides == 1:
        yield f"model_type: {options.model_type} reads single sequences; expected lucappi or lucappi2 for pairs"
    elif dataset and not dataset.is_pairs and options.sides == 2:
        yield f"model_type: {options.model_type} reads pairs; expected luca_base for single sequences"
    try:
        primary_metric(options.task_type, options.best_metric)
    except ConfigError as error:
        yield str(error)


def _split_of(keys: Mapping[str, Any], dataset: Dataset | None) -> tuple[SplitOptions, str | None]:
    """Return how rows are divided, and the column that the method reads. Raises ConfigError, a problem a line."""
    stated = keys.get("split", {})
    if not isinstance(stated, Mapping):
        raise ConfigError(f"split is {quoted(stated)}, expected keys such as `method: random`")
    columns = {
        "column": keys.get("split_column", dataset.split_column if dataset else None),
        "group": keys.get("group_column", dataset.group_column if dataset else None),
    }
    named = [method for method, column in columns.items() if column is not None]
    # A column that is named says how to divide, unless the method is stated.
    implied = {"method": named[0]} if len(named) == 1 else {}
    problems = [*_problems_of_split(stated)]
    problems += [
        f"{method}_column is {quoted(columns[method])}, expected the name of a column"
        for method, key in (("split", "column"), ("group", "group"))
        if (column := columns[key]) is not None and not isinstance(column, str)
    ]
    method = stated.get("method")
    if dataset and dataset.is_pairs and not is_task_folder(dataset.path) and (named or method in columns):
        problems.append("split.method: files of pairs have no column of parts or groups; use `cluster` or `random`")
    if len(named) == 2 and method is None:
        problems.append("split_column and group_column are both named; set split.method to `column` or `group`")
    if method in columns and columns[method] is None:
        name = "split_column" if method == "column" else "group_column"
        problems.append(f"split.method is `{method}`, but {name} names no column")
    if problems:
        raise ConfigError("\n".join(problems))
    values = {**implied, **stated}
    if "fractions" in values:
        values["fractions"] = tuple(map(float, values["fractions"]))
    options = SplitOptions(**values)
    return options, columns.get(options.method)


def _problems_of_split(stated: Mapping[str, Any]) -> Iterator[str]:
    """Yield the problems with the keys of a split and their values."""
    for name in stated:
        if name not in _SPLIT_KEYS:
            meant = nearest(shown(name), _SPLIT_KEYS)
            hint = f"did you mean {meant}?" if meant else f"known here: {', '.join(_SPLIT_KEYS)}"
            yield f"split.{shown(name)}: there is no such key; {hint}"
    hints = get_type_hints(SplitOptions)
    known = {
        "method": get_args(Method),
        **{name: get_args(hints[name]) for name in ("across", "contradictions", "pairs")},
    }
    for name, values in known.items():
        if name in stated and stated[name] not in values:
            yield f"split.{name} is {quoted(stated[name])}, expected one of {', '.join(values)}"
    fractions = stated.get("fractions", (0.8, 0.1, 0.1))
    if not (_are_numbers(fractions) and len(fractions) == 3 and min(fractions) > 0 and abs(sum(fractions) - 1) < 1e-6):
        yield f"split.fractions is {quoted(fractions)}, expected three numbers above 0 that add up to 1"
    seed = stated.get("seed", 0)
    if type(seed) is not int or seed < 0:
        yield f"split.seed is {quoted(seed)}, expected a whole number from 0 on"
    for name in ("min_seq_id", "coverage"):
        value = stated.get(name, 0.5)
        empty = value is None and name == "min_seq_id"
        if not empty and not (_are_numbers([value]) and 0 < value <= 1):
            yield f"split.{name} is {quoted(value)}, expected a number above 0 and at most 1"


def _are_numbers(values: Any) -> bool:
    return isinstance(values, list | tuple) and all(type(value) in (int, float) for value in values)


def asked_for(name: str, trainings: Mapping[str, RequestedTraining]) -> tuple[RequestedTraining, str | None] | None:
    """Return the training that a task of the table of datasets means, and the model if it names one; None for another.

    name: such as `MyTask` or `MyTask@mini-1`. Raises ConfigError for a model that the task is not trained with.
    """
    task, _, model = name.partition("@")
    training = trainings.get(task)
    if training is None:
        if model:
            known = f"those are {', '.join(trainings)}" if trainings else "there are none"
            raise ConfigError(
                f"tasks: {quoted(name)} names a model of a task under `training`; {known}. Leave out what follows @."
            )
        return None
    models = [each.name for each in training.models]
    if model and model not in models:
        raise ConfigError(f"tasks: {quoted(name)}: {task} is trained with {', '.join(models)}; name one of these.")
    return training, model or (models[0] if len(models) == 1 else None)


def chosen_by(records: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the metric of dev by which the best of trained models is chosen, from training.json of each.

    Where the primary metric is undefined, since dev is small, it is the one that chose the epochs.
    """
    first = next(iter(records.values()))
    defined = all(record["dev"] is not None for record in records.values())
    return str(first["metric"] if defined else first["epoch_metric"])


def best_of(records: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the name of the model that is best on dev, the first of equals.

    records: training.json by the names of models; a value that is not defined is null.
    """
    metric = chosen_by(records)

    def value(name: str) -> float:
        record = records[name]
        if metric == record["metric"]:
            return -record["dev"] if metric in LOWER_IS_BETTER else record["dev"]
        found = record["epoch_value"]
        return -math.inf if found is None else float(found)

    return max(records, key=value)


def trainings_on(dataset: str, trainings: Iterable[RequestedTraining]) -> list[RequestedTraining]:
    """Return the trainings on a dataset."""
    return [training for training in trainings if training.dataset == dataset]
