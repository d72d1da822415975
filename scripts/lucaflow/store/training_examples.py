"""How does torch's DataLoader get embeddings, one example for each id?"""

from __future__ import annotations

import os
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lucaflow.errors import StoreError, quoted
from lucaflow.store.embeddings import Embeddings, open_embeddings

if TYPE_CHECKING:
    from torch import Tensor

_SHOWN = 5


class Example(NamedTuple):
    """An id, its array, and its label: the place of a text in `EmbeddingDataset.classes`, or a number; else None."""

    id: str
    values: np.ndarray
    label: int | float | None


class EmbeddingDataset:
    """The embeddings of a dataset as examples for torch's DataLoader, `EmbeddingDataset.collate` as its `collate_fn`.

    path: of embeddings.h5; labels: by id, as a mapping or a pandas Series: only these ids are examples, so that the
    labels choose a part of the dataset. Numbers stay as they are; texts become places in `classes`, which are their
    distinct values, sorted, unless `classes` is given. output: `matrix`, `mean`, `max`, `cls` or `contacts`.
    Each process opens the file on its own, also those that a DataLoader starts by spawn, forkserver or fork.
    Raises StoreError for an output that is not stored, for ids without embeddings or with two labels, and for labels
    that are neither all texts nor all numbers, or not among `classes`.

    >>> dataset = EmbeddingDataset("results/my_proteins/mini-1/embeddings.h5", {"P12345": "in", "sp|P2|X": "out"})
    >>> len(dataset), dataset.classes, dataset[0].id, dataset[0].values.shape, dataset[1].label
    (2, ('in', 'out'), 'P12345', (12, 128), 1)
    """

    def __init__(
        self, path: str | Path, labels: Any = None, output: str = "matrix", classes: Sequence[str] | None = None
    ) -> None:
        self.path, self.output = Path(path).absolute(), output
        self._opened: tuple[int, Embeddings] | None = None
        with open_embeddings(self.path) as embeddings:
            if output not in embeddings.outputs:
                raise StoreError(
                    f"{path}: there is no output {output!r}; the outputs are {', '.join(embeddings.outputs)}"
                )
            given = None if labels is None else _by_id(labels)
            self.ids: list[str] = embeddings.ids if given is None else _in_order(given, embeddings)
        self.classes: tuple[str, ...] = ()
        self.labels: list[Any] | None = None
        if given is not None:
            self.labels, self.classes = _as_numbers(self.ids, given, classes)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, number: int) -> Example:
        identifier = self.ids[number]
        label = None if self.labels is None else self.labels[number]
        return Example(identifier, self._embeddings.read(self.output, identifier), label)

    @property
    def _embeddings(self) -> Embeddings:
        """The open file of this process; one that was open before a fork is left to the process that opened it."""
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = os.getpid(), open_embeddings(self.path)
        return self._opened[1]

    def close(self) -> None:
        """Close the file. Reading opens it again."""
        if self._opened is not None and self._opened[0] == os.getpid():
            self._opened[1].close()
        self._opened = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}

    @staticmethod
    def collate(examples: Sequence[Example]) -> dict[str, Any]:
        """Return a batch of B examples: `ids`, `values`, `lengths` (B,), `mask` and, if there are any, `labels` (B,).

        values: (B, H) of vectors; (B, L, H) of matrices and (B, L, L) of contacts, filled up with zeros to the longest.
        mask: (B, L) bool, whether a row is of the sequence; of vectors there is none.

        >>> dataset = EmbeddingDataset("results/my_proteins/mini-1/embeddings.h5")
        >>> batch = EmbeddingDataset.collate([dataset[0], dataset[1]])
        >>> batch["values"].shape, batch["lengths"].tolist(), batch["mask"].sum().item()
        (torch.Size([2, 12, 128]), [12, 8], 20)
        """
        import torch  # reading needs none of it

        values = [torch.from_numpy(np.asarray(example.values)) for example in examples]
        lengths = torch.tensor([len(value) for value in values])
        batch: dict[str, Any] = {"ids": [example.id for example in examples]}
        if values[0].ndim == 1:
            batch["values"] = torch.stack(values)
        else:
            batch |= {"values": _filled_up(values), "lengths": lengths}
            batch["mask"] = torch.arange(int(lengths.max())) < lengths[:, None]
        if examples[0].label is not None:
            batch["labels"] = torch.tensor([example.label for example in examples])
        return batch


def _filled_up(values: Sequence[Tensor]) -> Tensor:
    """Return matrices (l, w) in one array (B, L, W) with zeros after their last rows and columns."""
    rows, columns = (max(value.shape[axis] for value in values) for axis in (0, 1))
    found = values[0].new_zeros((len(values), rows, columns))
    for place, value in zip(found, values, strict=True):
        place[: value.shape[0], : value.shape[1]] = value
    return found


def _by_id(labels: Any) -> dict[Hashable, Any]:
    """Return labels by their ids. Raises StoreError if they are not a mapping or a Series, or if an id has several."""
    # A table of pandas has a `columns`, and gives these as its items.
    if not hasattr(labels, "items") or hasattr(labels, "columns"):
        raise StoreError(
            f"labels: expected a mapping or a Series of pandas from ids to labels, found {type(labels).__name__}; of a "
            "table give one column, table.set_index('id')['label']"
        )
    found: dict[Hashable, Any] = {}
    for identifier, label in labels.items():
        if identifier in found:
            raise StoreError(
                f"labels: {quoted(str(identifier))} has several, {found[identifier]!r} and {label!r}; keep one"
            )
        found[identifier] = label
    return found


def _in_order(labels: dict[Hashable, Any], embeddings: Embeddings) -> list[str]:
    """Return the ids that have a label, in the order of the file. Raises StoreError if one has no embedding."""
    known = set(embeddings.ids)
    if unknown := [identifier for identifier in labels if identifier not in known]:
        listed = ", ".join(quoted(str(each)) for each in unknown[:_SHOWN]) + ", ..." * (len(unknown) > _SHOWN)
        raise StoreError(
            f"labels: {len(unknown)} of {len(labels)} ids have no embedding in {embeddings.path}: {listed}. "
            "Give whole ids, as `open_embeddings(...).ids` has them, and labels of this dataset only."
        )
    return [identifier for identifier in embeddings.ids if identifier in labels]


def _as_numbers(
    ids: Sequence[str], labels: dict[Hashable, Any], classes: Sequence[str] | None
) -> tuple[list[Any], tuple[str, ...]]:
    """Return the labels as numbers, in the order of ids, and the classes that the numbers of texts mean."""
    stated = [labels[identifier] for identifier in ids]
    texts = [isinstance(label, str) for label in stated]
    if stated and not any(texts) and classes is None:
        return [_number(*pair) for pair in zip(ids, stated, strict=True)], ()
    if not all(texts):
        others = "`classes` are given" if classes is not None else "others have texts"
        raise StoreError(
            f"labels: {quoted(ids[texts.index(False)])} has {stated[texts.index(False)]!r}, {others}. "
            "Give texts only or numbers only, and leave out ids without a label."
        )
    names = tuple(sorted(set(stated)) if classes is None else classes)
    code = {name: number for number, name in enumerate(names)}
    if len(code) < len(names):
        raise StoreError(f"classes: one of them is there twice: {', '.join(map(str, names))}")
    if unknown := sorted(set(stated) - set(code)):
        raise StoreError(f"labels: {quoted(unknown[0])} is not among the classes {', '.join(map(str, names))}")
    return [code[label] for label in stated], names


def _number(identifier: str, label: Any) -> Any:
    """Return a label as a number of Python's. Raises StoreError if it is none."""
    try:
        value = np.asarray(label)
    except (TypeError, ValueError):
        value = np.asarray(None)
    if value.ndim or value.dtype.kind not in "biuf" or np.isnan(value):
        raise StoreError(f"labels: {quoted(identifier)} has no number but {label!r}; leave out ids without a label")
    return value.item()
