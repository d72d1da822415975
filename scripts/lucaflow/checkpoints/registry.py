"""Which checkpoints can be fetched, and from where: the table resources/checkpoints.tsv."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lucaflow.checkpoints.model import Model
from lucaflow.errors import ConfigError
from lucaflow.schemas import unknown_keys, violations


@dataclass(frozen=True)
class PublishedFile:
    """A file as it is published; for a Hub's repository a pattern of names. bytes, sha256: None where unknown."""

    name: str
    bytes: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Place:
    """Where something can be had. name: what it is, for messages; url: a folder's address, or a Hub's repository."""

    name: str
    source: str
    url: str
    files: tuple[PublishedFile, ...]
    licence: str = ""
    note: str = ""


@dataclass(frozen=True)
class Registry:
    """All places of all checkpoints; those of one checkpoint are asked in their order."""

    entries: tuple[tuple[Model, Place], ...]

    def places(self, model: Model, source: str) -> tuple[Place, ...]:
        """Return the places of a checkpoint. Raises ConfigError that says what there is instead."""
        found = tuple(place for known, place in self.entries if known == model and place.source == source)
        if not found:
            raise ConfigError(self._refusal(model, source))
        return found

    def _refusal(self, model: Model, source: str) -> str:
        offered: dict[str, list[int]] = {}
        for known, place in self.entries:
            steps = offered.setdefault(place.source, [])
            if known.llm_version == model.llm_version and known.llm_step not in steps:
                steps.append(known.llm_step)
        there = "; ".join(f"`{name}` has {_listed(steps)}" for name, steps in offered.items() if steps)
        return (
            f"checkpoints.source: there is no {model.llm_version} with {model.llm_step} steps from `{source}`. "
            f"Of {model.llm_version}, {there}. Set checkpoints.source, or model.llm_step, to what there is."
        )


def _listed(steps: Iterable[int]) -> str:
    return ", ".join(str(step) for step in sorted(steps, reverse=True))


def read_checkpoints(path: Path, schema: Mapping[str, Any]) -> Registry:
    """Read resources/checkpoints.tsv. Raises ConfigError that names file, line and value."""
    entries = []
    for row in read_rows(path, schema):
        model = Model(row["version"], int(row["step"]))
        entries.append((model, place_of(model.name, row)))
    return Registry(tuple(entries))


def read_rows(path: Path, schema: Mapping[str, Any]) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle, delimiter="\t", quoting=csv.QUOTE_NONE, restval="", restkey="further cells"))
    problems = [
        f"{path}, line {line}: {problem}"
        for line, row in enumerate(rows, start=2)
        for problem in [*unknown_keys(row, schema), *violations(row, schema), *_doubts(row)]
    ]
    if problems:
        raise ConfigError("the table cannot be used:\n  " + "\n  ".join(problems))
    return rows


def _doubts(row: Mapping[str, str]) -> list[str]:
    """Sizes and digests stand in the order of the files: as many as there are, or none at all."""
    if row["source"] == "huggingface" and (row["bytes"] or row["sha256"]):
        return ["bytes, sha256: of a repository's files the Hub says them itself; leave the cells empty"]
    expected = len(row["files"].split(","))
    counts = {column: len(row[column].split(",")) for column in ("bytes", "sha256") if row[column]}
    return [f"{column}: {count} of them for {expected} files" for column, count in counts.items() if count != expected]


def place_of(name: str, row: Mapping[str, str]) -> Place:
    names = row["files"].split(",")
    sizes = row["bytes"].split(",") if row["bytes"] else [""] * len(names)
    digests = row["sha256"].split(",") if row["sha256"] else [""] * len(names)
    files = tuple(
        PublishedFile(file, int(size) if size else None, digest or None)
        for file, size, digest in zip(names, sizes, digests, strict=True)
    )
    return Place(name, row["source"], row["url"], files, row["licence"], row["note"])
