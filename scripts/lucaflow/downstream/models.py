"""Trained downstream models: where their files are, and what is recorded of a converted one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lucaflow.checkpoints.converted import MODEL_NAME, folder_name
from lucaflow.checkpoints.model import Model
from lucaflow.checkpoints.registry import Place
from lucaflow.config.datasets import Dataset
from lucaflow.downstream.inputs import HeadInput
from lucaflow.downstream.lucaonetasks import Task, doubts
from lucaflow.downstream.registry import PublishedTask
from lucaflow.downstream.structure import EncoderStructure, HeadStructure
from lucaflow.errors import CheckpointError, ConfigError
from lucaflow.files.checksums import difference
from lucaflow.files.json_files import parse_json
from lucaflow.schemas import nearest

HEAD_RECORD = "head.json"
PREFIX = "head-"
_WEIGHTS = ("model.safetensors", "pytorch_model.bin", "pytorch.pth", "pytorch.pt")


@dataclass(frozen=True)
class HeadOrigin:
    """Where a trained model comes from: root, in LucaOneTasks' layout, holds or will hold its files.

    source: `packaged`, `server` or `local`; place: where it is fetched from; folder: where it is kept when converted.
    """

    task: Task
    source: str
    root: Path
    folder: Path
    place: Place | None

    @property
    def is_fetched(self) -> bool:
        return self.source == "server"

    @property
    def recorded(self) -> TrainedHead | None:
        """What is recorded of the converted model; None while it is not converted, or its record is damaged."""
        try:
            return read_head(self.folder)
        except CheckpointError:
            return None


def resolve_heads(
    names: Iterable[str],
    settings: Mapping[str, Any],
    published: Mapping[tuple[str, str], PublishedTask],
    directory: Path,
    clone: Path,
) -> dict[str, HeadOrigin]:
    """Return where the trained model of each task comes from.

    settings: those under `heads` in the configuration; published: resources/tasks.tsv, by task and source; directory:
    of checkpoints. Raises ConfigError or CheckpointError for a task that is nowhere.
    """
    return {name: _origin(name, settings, published, directory, clone) for name in names}


def _origin(
    name: str,
    settings: Mapping[str, Any],
    published: Mapping[tuple[str, str], PublishedTask],
    directory: Path,
    clone: Path,
) -> HeadOrigin:
    packaged = published.get((name, "packaged"))
    if packaged:
        root = clone / packaged.place.url
        folder = directory / folder_name(PREFIX + name, "packaged", str(root.resolve()))
        return HeadOrigin(packaged.task, "packaged", root, folder, packaged.place)
    fetched = published.get((name, "server"))
    if settings["source"] == "local":
        if not settings["path"]:
            raise ConfigError("heads.path: expected a LucaOneTasks root, since heads.source is `local`")
        root = Path(settings["path"])
        folder = directory / folder_name(PREFIX + name, "local", str(root.resolve()))
        if not root.is_dir() and (folder / HEAD_RECORD).is_file():
            # What was converted serves while its source is out of reach.
            return HeadOrigin(read_head(folder).task, "local", root, folder, None)
        return HeadOrigin(choose_task(root, name, fetched.task if fetched else None), "local", root, folder, None)
    if not fetched:
        known = sorted({task for task, _ in published})
        meant = nearest(name, known)
        raise ConfigError(
            f"tasks: there is no task {name!r}{f'; did you mean {meant}?' if meant else '.'} There is: "
            f"{', '.join(known)}. One of your own needs heads.source `local` and heads.path."
        )
    kept = f"{PREFIX}{name}-server"
    return HeadOrigin(fetched.task, "server", directory / "published" / kept, directory / kept, fetched.place)


def refuse_unfit(datasets: Iterable[Dataset], heads: Mapping[str, HeadOrigin]) -> None:
    """Raise ConfigError for datasets whose sequences a task cannot read."""
    problems = []
    for dataset in datasets:
        for task in (heads[name].task for name in dataset.tasks):
            reads = " and ".join(task.seq_types)
            if task.is_pair != dataset.is_pairs:
                kinds = ("pair", "single") if task.is_pair else ("single", "pair")
                problems.append(f"{dataset.name}: {task.name} reads {kinds[0]} records ({reads}), not {kinds[1]} ones")
            elif not task.is_pair and dataset.seq_type != task.seq_types[0]:
                problems.append(f"{dataset.name}: {task.name} reads {reads} sequences, not {dataset.seq_type}")
    if problems:
        raise ConfigError("tasks that do not fit their dataset:\n  " + "\n  ".join(problems))


@dataclass(frozen=True)
class HeadFiles:
    """The files of a trained model below a LucaOneTasks root."""

    task: Task
    root: Path
    config: Path
    weights: Path
    log: Path

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.config, self.weights, self.log)

    @property
    def label_files(self) -> list[Path]:
        """The files that may hold the names of the classes: all that LucaOneTasks looks for, and that are there."""
        data = self.root / "dataset" / self.task.name / self.task.dataset_type / self.task.task_type / "label.txt"
        candidates = (data, self.log.with_name("label.txt"), self.config.with_name("label.txt"))
        return [path for path in candidates if path.is_file()]

    @property
    def all_files(self) -> list[Path]:
        return [*self.files, *self.label_files]


@dataclass(frozen=True)
class TrainedHead:
    """What the record of a converted model says."""

    task: Task
    reading: HeadInput
    structure: HeadStructure
    labels: tuple[str, ...]
    sha256: str


def tasks_in(root: Path, name: str) -> list[Task]:
    """Return the trained models of a task below a LucaOneTasks root: one for each training run and step."""
    found = []
    for folder in sorted(root.glob(f"models/{name}/*/*/*/matrix/*/*/config.json")):
        dataset_type, task_type, model_type, _, time_str, step = folder.parts[-7:-1]
        found.append(Task(name, dataset_type, task_type, model_type, time_str, step.removeprefix("checkpoint-")))
    return found


def choose_task(root: Path, name: str, published: Task | None) -> Task:
    """Return the trained model that `name` means below a root: the published one, or else the only one there is.

    Raises CheckpointError that says what there is.
    """
    found = tasks_in(root, name)
    if published in found:
        return published
    # At its end, training copies what it found best into a folder of that name.
    finished = {task.folder for task in found if task.step == "best"}
    found = [task for task in found if task.step == "best" or task.folder not in finished]
    if len(found) != 1:
        there = ", ".join(f"{task.folder}/{task.checkpoint}" for task in found)
        others = sorted(path.name for path in root.glob("models/*") if path.is_dir())
        raise CheckpointError(
            f"task {name}: {root / 'models' / name} holds {len(found)} trained models, expected one "
            f"(models/{name}/<dataset_type>/<task_type>/<model_type>/matrix/<time_str>/checkpoint-<step>/config.json). "
            + (f"It holds {there}; keep one." if found else f"There is: {', '.join(others) or 'nothing'}. ")
            + ("" if found else "Correct heads.path, or `tasks` in the table of datasets.")
        )
    (task,) = found
    if problems := doubts(task):
        raise CheckpointError(f"task {name}, in {root / 'models' / task.folder}: {'; '.join(problems)}")
    return task


def locate_head(root: Path, task: Task) -> HeadFiles:
    """Find a trained model's files below a LucaOneTasks root. Raises CheckpointError that says what is missing."""
    folder = root / "models" / task.folder / task.checkpoint
    weights = next((folder / name for name in _WEIGHTS if (folder / name).is_file()), folder / "pytorch_model.bin")
    files = HeadFiles(task, root, folder / "config.json", weights, root / "logs" / task.folder / "logs.txt")
    missing = [str(path.relative_to(root)) for path in files.files if not path.is_file()]
    if missing:
        raise CheckpointError(
            f"task {task.name}: {root} lacks {', '.join(missing)}. Copy what is missing from where it was trained, or "
            "correct heads.path: it must hold models/ and logs/ as LucaOneTasks writes them."
        )
    return files


def read_head(folder: Path) -> TrainedHead:
    """Return what is recorded of the converted model in `folder`. Raises CheckpointError."""
    path = folder / HEAD_RECORD
    try:
        record = parse_json(path)
        structure, reading = record["structure"], record["reading"]
        encoder = structure["encoder"]
        return TrainedHead(
            Task(**record["task"]),
            HeadInput(**{**reading, "model": Model(**reading["model"])}),
            HeadStructure(
                **{
                    **structure,
                    "inputs": tuple(structure["inputs"]),
                    "connected": tuple(structure["connected"]),
                    "encoder": EncoderStructure(**encoder) if encoder else None,
                }
            ),
            tuple(record["labels"]),
            record["model"]["sha256"],
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path} is no record of a converted model ({error}). Delete {folder} and run again."
        ) from error


def changed_head(folder: Path) -> list[tuple[Path, str]]:
    """Compare a converted downstream model with its record; return its files if they differ, and how."""
    model, record = folder / MODEL_NAME, folder / HEAD_RECORD
    try:
        digest = read_head(folder).sha256
    except CheckpointError as error:
        return [(record, str(error)), (model, "its record is damaged")]
    how = difference(model, model.stat().st_size, digest) if model.is_file() else "missing"
    return [(model, how), (record, "speaks of a file that changed")] if how else []
