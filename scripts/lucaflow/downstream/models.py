"""Where the files of a downstream model are, and what the record of a converted one says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from lucaflow.checkpoints.converted_checkpoint import (
    CHECKPOINT_RECORD,
    ModelSource,
    fetched_folders,
    folders_beside,
    read_record,
)
from lucaflow.checkpoints.model import Model
from lucaflow.checkpoints.registry import Place, Registry
from lucaflow.config.datasets import Dataset
from lucaflow.downstream.inputs import HeadInput
from lucaflow.downstream.lucaonetasks import OF_LUCAFLOW, Task, folder_name_problems
from lucaflow.downstream.registry import PublishedTask
from lucaflow.downstream.scope import Scope
from lucaflow.downstream.structure import EncoderStructure, HeadStructure
from lucaflow.errors import CheckpointError, ConfigError, quoted
from lucaflow.schemas import nearest

PREFIX = "head-"
# In the record of a converted model, in place of a family of encoders.
FAMILY = "lucaonetasks"
_WEIGHTS = ("model.safetensors", "pytorch_model.bin", "pytorch.pth", "pytorch.pt")


@dataclass(frozen=True)
class HeadSource(ModelSource):
    """Where a downstream model comes from; its files have LucaOneTasks' layout.

    place: where it is packaged or fetched from; scope: what it was trained on.
    """

    task: Task
    place: Place | None
    scope: Scope = field(default_factory=Scope)
    # Others of the task below the same root, which were not asked for.
    others: tuple[Task, ...] = ()

    converter = "lucaflow.downstream.conversion"

    @property
    def name(self) -> str:
        return self.task.name

    @property
    def fetched_settings(self) -> dict[str, Any]:
        return {**self.task.stated, "source": self.source}

    def places(self, _registry: Registry) -> tuple[Place, ...]:
        return (self.place,) if self.place else ()

    def located(self) -> HeadFiles:
        return locate_head(self.root, self.task)

    @property
    def recorded(self) -> TrainedHead | None:
        """The record of the converted model; None if it is not converted yet, or if the record is damaged."""
        try:
            return read_head(self.folder)
        except CheckpointError:
            return None


def resolve_heads(
    names: Mapping[str, str],
    settings: Mapping[str, Any],
    published: Mapping[tuple[str, str], PublishedTask],
    directory: Path,
    clone: Path,
) -> dict[str, HeadSource]:
    """Return where the downstream model of each task comes from.

    names: the tasks as they are asked for, such as `MyTask:<time_str>`, by their names in results; settings: `heads` in
    the configuration; published: resources/tasks.tsv, by task and source; directory: the folder of converted
    checkpoints. Raises ConfigError or CheckpointError for a task without a model.
    """
    return {name: _source(name, stated, settings, published, directory, clone) for name, stated in names.items()}


def _source(
    name: str,
    stated: str,
    settings: Mapping[str, Any],
    published: Mapping[tuple[str, str], PublishedTask],
    directory: Path,
    clone: Path,
) -> HeadSource:
    packaged = published.get((stated, "packaged"))
    if packaged:
        folders = folders_beside(directory, PREFIX + name, "packaged", clone / packaged.place.url)
        return HeadSource(*folders, packaged.task, packaged.place, packaged.scope)
    fetched = published.get((stated.partition(":")[0], "server"))
    if settings["source"] == "local":
        if not settings["path"]:
            raise ConfigError("heads.path: expected a LucaOneTasks root, because heads.source is `local`")
        _, root, folder = folders_beside(directory, PREFIX + name, "local", Path(settings["path"]))
        others: list[Task] = []
        if not root.is_dir() and (folder / CHECKPOINT_RECORD).is_file():
            # A converted model is used while its source cannot be reached.
            task = read_head(folder).task
        else:
            task, others = choose_task(root, stated, fetched.task if fetched else None)
        # A model of one's own may have the name of a published one.
        scope = fetched.scope if fetched and fetched.task == task else Scope()
        return HeadSource("local", root, folder, task, None, scope, tuple(others))
    if not fetched or ":" in stated:
        known = sorted({task for task, _ in published})
        meant = nearest(name, known)
        raise ConfigError(
            f"tasks: unknown task {quoted(stated)}{f'; did you mean {meant}?' if meant else '.'} Known tasks: "
            f"{', '.join(known)}. A model of your own needs heads.source `local` and heads.path."
        )
    folders = fetched_folders(directory, PREFIX + name, "server")
    return HeadSource(*folders, fetched.task, fetched.place, fetched.scope)


class Trained(Protocol):
    """A training of this run, of which the model is not there yet."""

    def unfit(self, dataset: Dataset) -> str:
        """Return why a dataset has sequences that the model cannot read; nothing if it can read them."""


def refuse_unfit(
    datasets: Iterable[Dataset],
    tasks: Mapping[str, Task],
    trained: Mapping[str, tuple[Trained, str | None]] = MappingProxyType({}),
) -> None:
    """Raise ConfigError for datasets with sequences that one of their tasks cannot read.

    tasks: by their names; trained: the other tasks, those that this run trains.
    """
    problems: list[str] = []
    for dataset in datasets:
        problems += filter(None, (trained[name][0].unfit(dataset) for name in dataset.tasks if name in trained))
        for task in (tasks[name] for name in dataset.tasks if name not in trained):
            reads = " and ".join(task.seq_types)
            if task.is_pair != dataset.is_pairs:
                kinds = ("pair", "single") if task.is_pair else ("single", "pair")
                problems.append(f"{dataset.name}: {task.name} reads {kinds[0]} records ({reads}), not {kinds[1]} ones")
            elif not task.is_pair and dataset.seq_type != task.seq_types[0]:
                problems.append(f"{dataset.name}: {task.name} reads {reads} sequences, not {dataset.seq_type}")
    if problems:
        raise ConfigError(
            "tasks that do not fit their dataset; correct the table of datasets:\n  " + "\n  ".join(problems)
        )


def refuse_other_model(name: str, model: Model, datasets: Iterable[Dataset]) -> None:
    """Raise ConfigError for datasets whose embeddings were made elsewhere, by another model than a task reads.

    name: of the task; model: that its downstream model was trained on.
    """
    for dataset in datasets:
        if name in dataset.tasks and dataset.made_elsewhere and model not in dataset.models:
            stated = ", ".join(each.name for each in dataset.models)
            raise ConfigError(
                f"heads.embeddings: {dataset.made_elsewhere} has embeddings by {stated} for {dataset.name}, as "
                f"llm_version and llm_step say, but {name} reads those by {model.name}. If they are by this model, "
                f"write `{model.name}` as llm_version, without llm_step; if not, leave the folder out of "
                "heads.embeddings, and the right ones are computed."
            )


def is_embedded_for(name: str, datasets: Iterable[Dataset]) -> bool:
    """Return whether a dataset is embedded for a task. name: of the task."""
    return any(name in dataset.tasks and not dataset.made_elsewhere for dataset in datasets)


@dataclass(frozen=True)
class HeadFiles:
    """The files of a downstream model below a LucaOneTasks root."""

    task: Task
    root: Path
    config: Path
    weights: Path
    log: Path

    @property
    def name(self) -> str:
        return self.task.name

    @property
    def required(self) -> tuple[Path, ...]:
        return (self.config, self.weights, self.log)

    @property
    def label_files(self) -> list[Path]:
        """The existing files that may hold the class names, from all the places where LucaOneTasks looks."""
        data = self.root / "dataset" / self.task.name / self.task.dataset_type / self.task.task_type / "label.txt"
        candidates = (data, self.log.with_name("label.txt"), self.config.with_name("label.txt"))
        return [path for path in candidates if path.is_file()]

    @property
    def files(self) -> tuple[Path, ...]:
        return (*self.required, *self.label_files)

    @property
    def stated(self) -> dict[str, Any]:
        """What the record of the converted model says of it."""
        return {"task": self.task.stated}


@dataclass(frozen=True)
class TrainedHead:
    """The record of a converted downstream model. sha256: of its network."""

    task: Task
    reading: HeadInput
    structure: HeadStructure
    labels: tuple[str, ...]
    sha256: str


def tasks_in(root: Path, name: str) -> list[Task]:
    """Return the downstream models of a task below a LucaOneTasks root: one for each training run and step."""
    found = []
    for folder in sorted(root.glob(f"models/{name}/*/*/*/*/*/*/config.json")):
        *kinds, input_type, time_str, step = folder.parts[-7:-1]
        if input_type in ("matrix", "vector"):
            dataset_type, task_type, model_type = kinds
            step = step.removeprefix("checkpoint-")
            found.append(Task(name, dataset_type, task_type, model_type, time_str, step, input_type))
    return found


def choose_task(root: Path, stated: str, published: Task | None) -> tuple[Task, list[Task]]:
    """Return the downstream model of a task below a root, and the others of the task that could have been meant.

    stated: the task's name, or `name:time_str`, or `name:time_str:step`. Of several models it is the published one, or
    else the newest. Raises CheckpointError with a list of the models that are there.
    """
    name, time_str, step = (*stated.split(":"), "", "")[:3]
    there = tasks_in(root, name)
    found = [task for task in there if time_str in ("", task.time_str) and step in ("", task.step)]
    if not found:
        raise CheckpointError(_no_task(root, stated, there))
    # LucaOneTasks' models on vectors do not say which vectors they read, and cannot be used.
    found = [task for task in found if task.input_type == "matrix" or task.time_str.startswith(OF_LUCAFLOW)] or found
    found.sort(key=_age)
    if published in found and not time_str:
        return published, [task for task in found if task.time_str != published.time_str]
    if problems := folder_name_problems(found[-1]):
        raise CheckpointError(f"task {name}, in {root / 'models' / found[-1].folder}: {'; '.join(problems)}")
    # At its end, training copies the best step into the folder `best`: others of that run are no alternatives.
    finished = {task.folder for task in found if task.step == "best"}
    return found[-1], [task for task in found[:-1] if task.step == "best" or task.folder not in finished]


def _age(task: Task) -> tuple[str, bool, int, str]:
    """Return by what models of a task are sorted, the newest last: training run, `best`, step."""
    return task.time_str, task.step == "best", int(task.step) if task.step.isdecimal() else 0, task.folder


def _no_task(root: Path, stated: str, there: Sequence[Task]) -> str:
    """Return the message for a task without a model. there: models of other runs or steps of the task."""
    name = stated.partition(":")[0]
    others = sorted(path.name for path in root.glob("models/*") if path.is_dir())
    offered = ", ".join(f"`{name}:{task.time_str}:{task.step}`" for task in there)
    return (
        f"task {stated}: {root / 'models' / name} holds no such downstream model "
        f"(models/{name}/<dataset_type>/<task_type>/<model_type>/<input_type>/<time_str>/checkpoint-<step>/"
        "config.json). "
        + (f"It holds {offered}. " if there else f"Tasks in {root}: {', '.join(others) or 'none'}. ")
        + "Correct heads.path, or `tasks` in the table of datasets."
    )


def locate_head(root: Path, task: Task) -> HeadFiles:
    """Return the files of a downstream model below a LucaOneTasks root. Raises CheckpointError if some are missing."""
    folder = root / "models" / task.folder / task.checkpoint
    weights = next((folder / name for name in _WEIGHTS if (folder / name).is_file()), folder / "pytorch_model.bin")
    files = HeadFiles(task, root, folder / "config.json", weights, root / "logs" / task.folder / "logs.txt")
    missing = [str(path.relative_to(root)) for path in files.required if not path.is_file()]
    if missing:
        raise CheckpointError(
            f"task {task.name}: {root} lacks {', '.join(missing)}. Copy these files from where it was trained, or "
            "correct heads.path: it must hold models/ and logs/ as LucaOneTasks writes them."
        )
    return files


def read_head(folder: Path) -> TrainedHead:
    """Return the record of the converted downstream model in `folder`. Raises CheckpointError."""
    record = read_record(folder)
    try:
        structure, head_input = record["structure"], record["reading"]
        encoder = structure["encoder"]
        return TrainedHead(
            Task(**record["task"]),
            HeadInput(**{**head_input, "model": Model(**head_input["model"])}),
            HeadStructure(
                **{
                    **structure,
                    "inputs": tuple(structure["inputs"]),
                    "connected": tuple(structure["connected"]),
                    "encoder": EncoderStructure(**encoder) if encoder else None,
                }
            ),
            tuple(record["labels"]),
            record["network_sha256"],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{folder / CHECKPOINT_RECORD} is not the record of a downstream model ({error!r}). `snakemake fetch` "
            "converts the model anew."
        ) from error
