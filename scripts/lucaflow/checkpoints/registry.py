"""Read the table resources/checkpoints.tsv: which checkpoints can be fetched, and from where?"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lucaflow.checkpoints.known_models import MODELS
from lucaflow.checkpoints.model import Model
from lucaflow.errors import ConfigError, quoted
from lucaflow.schemas import unknown_keys, violations

# As in `CC BY-NC-SA 4.0` and `Cambrian Non-Commercial`.
_NON_COMMERCIAL = re.compile(r"\bNC\b|non-?commercial", re.IGNORECASE)


@dataclass(frozen=True)
class PublishedFile:
    """A published file. name: a pattern for a repository on the Hub; bytes, sha256: None if unknown."""

    name: str
    bytes: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Place:
    """A source of a model's files. name: of the model, for messages; url: a folder on a server, or a Hub repository."""

    name: str
    source: str
    url: str
    files: tuple[PublishedFile, ...]
    licence: str = ""
    note: str = ""

    @property
    def forbids_commercial_use(self) -> bool:
        return _NON_COMMERCIAL.search(self.licence) is not None


@dataclass(frozen=True)
class Registry:
    """The places of all checkpoints. The places of one checkpoint are tried in the order of the table."""

    entries: tuple[tuple[Model, Place], ...]

    def places(self, model: Model, source: str) -> tuple[Place, ...]:
        """Return the places of a checkpoint. Raises ConfigError that lists the available steps."""
        found = tuple(place for known, place in self.entries if known == model and place.source == source)
        if not found:
            raise ConfigError(self._not_offered(model, source))
        return found

    def _not_offered(self, model: Model, source: str) -> str:
        offered: dict[str, list[int | None]] = {}
        for known, place in self.entries:
            steps = offered.setdefault(place.source, [])
            if known.llm_version == model.llm_version and known.llm_step not in steps:
                steps.append(known.llm_step)
        if model.llm_step is None:
            sources = " or ".join(f"`{name}`" for name, steps in offered.items() if steps)
            return (
                f"checkpoints.source: there is no {model.name} from `{source}`, but from {sources}. Set "
                "checkpoints.source to this, or give a directory that holds it in checkpoints.path."
            )
        available = "; ".join(f"{_listed(steps)} from `{name}`" for name, steps in offered.items() if steps)
        return (
            f"checkpoints.source: there is no {model.llm_version} with {model.llm_step} steps from `{source}`. "
            f"Available steps of {model.llm_version}: {available}. Set checkpoints.source and model.llm_step to these."
        )


def _listed(steps: Iterable[int | None]) -> str:
    return ", ".join(str(step) for step in sorted(filter(None, steps), reverse=True))


def read_checkpoints(path: Path, schema: Mapping[str, Any]) -> Registry:
    """Read resources/checkpoints.tsv. Raises ConfigError that names file, line and value."""
    entries = []
    for line, row in enumerate(read_rows(path, schema), start=2):
        if row["version"] not in MODELS:
            known = ", ".join(MODELS)
            raise ConfigError(f"{path}, line {line}: version: {quoted(row['version'])} is not one of {known}.")
        model = Model(row["version"], int(row["step"]) if row["step"] else None)
        entries.append((model, place_of(model.name, row)))
    return Registry(tuple(entries))


def read_rows(path: Path, schema: Mapping[str, Any]) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle, delimiter="\t", quoting=csv.QUOTE_NONE, restval="", restkey="further cells"))
    problems = [
        f"{path}, line {line}: {problem}"
        for line, row in enumerate(rows, start=2)
        for problem in [*unknown_keys(row, schema), *violations(row, schema), *_count_problems(row)]
    ]
    if problems:
        raise ConfigError("the table cannot be used:\n  " + "\n  ".join(problems))
    return rows


def _count_problems(row: Mapping[str, str]) -> list[str]:
    """Return problems with the numbers of sizes and checksums: one for each file, in the same order, or none at all."""
    if row["source"] == "huggingface" and (row["bytes"] or row["sha256"]):
        return ["bytes, sha256: the Hub publishes them for the files of a repository; leave the cells empty"]
    expected = len(row["files"].split(","))
    counts = {column: len(row[column].split(",")) for column in ("bytes", "sha256") if row[column]}
    return [f"{column}: {count} values for {expected} files" for column, count in counts.items() if count != expected]


def place_of(name: str, row: Mapping[str, str]) -> Place:
    names = row["files"].split(",")
    sizes = row["bytes"].split(",") if row["bytes"] else [""] * len(names)
    digests = row["sha256"].split(",") if row["sha256"] else [""] * len(names)
    files = tuple(
        PublishedFile(file, int(size) if size else None, digest or None)
        for file, size, digest in zip(names, sizes, digests, strict=True)
    )
    return Place(name, row["source"], row["url"], files, row["licence"], row["note"])
