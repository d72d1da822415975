"""A file to which a scoring job adds each batch of results, so that a killed job goes on where it ended.

The first line says what the results depend on, and the budget of tokens, with which the job goes on: so the batches,
and with them the last bits of values, are those of a job that was never ended. Records follow, each with a checksum. A
record that a killed job has not completed is cut off.
"""

from __future__ import annotations

import io
import json
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np

from lucaflow.scores.passes import Batch, LanguageModel

_FORMAT = "lucaflow-scores-journal"


class Journal:
    """The batches of results of a job, in a file or, without one, in memory.

    Use it as a context manager. The caller holds a lock, and removes the file when the results have their final name.
    """

    def __init__(self, path: Path | None, identity: str, model: LanguageModel) -> None:
        """Open a journal. path: None keeps nothing after the job; identity: digest of all that the values depend on.

        A journal of another identity, or one that cannot be read, begins anew. The budget of a journal that goes on
        becomes the model's.
        """
        self._found: dict[str, list[Batch]] = {}
        self._file: BinaryIO | None = None
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("r+b" if path.exists() else "w+b")
        budget = self._read(identity)
        if budget is None:
            self._begin(identity, model.budget)
        else:
            model.budget = budget

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def resumed(self, name: str, batches: Callable[[int], Iterable[Batch]]) -> Iterator[Batch]:
        """Yield the batches of a table: first those that an earlier job computed, then the rest, which are added.

        batches: returns those from a number on, of passes or what else they count.
        """
        kept = self._found.get(name, [])
        yield from kept
        for batch in batches(kept[-1].stop if kept else 0):
            self._add(name, batch)
            yield batch

    def _add(self, name: str, batch: Batch) -> None:
        """Add a batch. After a kill of this process it is in the file."""
        if self._file is None:
            return
        content = io.BytesIO()
        np.save(content, batch.rows, allow_pickle=False)
        data = content.getvalue()
        place = {"name": name, "start": batch.start, "stop": batch.stop}
        head = {**place, "bytes": len(data), "crc32": zlib.crc32(data)}
        self._file.write(json.dumps(head).encode() + b"\n" + data)
        self._file.flush()

    def _begin(self, identity: str, budget: int) -> None:
        file = self._opened
        file.seek(0)
        file.truncate()
        self._found.clear()
        file.write(json.dumps({"format": _FORMAT, "identity": identity, "budget": budget}).encode() + b"\n")
        file.flush()

    def _read(self, identity: str) -> int | None:
        """Read the records of a job with this identity; return its budget, None for another job. Cut off the rest."""
        file = self._opened
        try:
            head = json.loads(file.readline())
            if (head["format"], head["identity"]) != (_FORMAT, identity):
                return None
            budget = int(head["budget"])
        except (ValueError, KeyError, TypeError):
            return None
        end = file.tell()
        for name, batch in self._records():
            self._found.setdefault(name, []).append(batch)
            end = file.tell()
        file.seek(end)
        file.truncate()
        return budget

    def _records(self) -> Iterator[tuple[str, Batch]]:
        """Yield the records up to the first one that is not complete."""
        file = self._opened
        size = os.fstat(file.fileno()).st_size
        while file.tell() < size:
            try:
                head = json.loads(file.readline())
                data = file.read(int(head["bytes"]))
                if zlib.crc32(data) != head["crc32"] or len(data) != head["bytes"]:
                    return
                rows = np.load(io.BytesIO(data), allow_pickle=False)
                yield str(head["name"]), Batch(int(head["start"]), int(head["stop"]), rows)
            except (ValueError, KeyError, TypeError, EOFError):
                return

    @property
    def _opened(self) -> BinaryIO:
        if self._file is None:
            raise ValueError("this journal has no file")
        return self._file
