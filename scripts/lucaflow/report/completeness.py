"""Has every record of a run its embedding and its predictions, by the files themselves?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from lucaflow.errors import StoreError
from lucaflow.files.json_files import read_json
from lucaflow.records.counts import Counts

_SHOWN = 10


def require_complete(
    counts: Mapping[str, Counts], verified: Mapping[str, Sequence[Path]], predicted: Iterable[Path]
) -> None:
    """Compare the numbers of records, embeddings and predictions. Raises StoreError if some are missing.

    counts: by dataset; verified: each verified.json, by dataset; predicted: the <task>.json of predictions.
    """
    missing = [*_missing_embeddings(counts, verified), *_missing_predictions(counts, predicted)]
    if missing:
        more = f"\n  and {len(missing) - _SHOWN} more" if missing[_SHOWN:] else ""
        raise StoreError(
            "results are missing:\n  "
            + "\n  ".join(missing[:_SHOWN])
            + f"{more}\nRun `snakemake verify`, which removes incomplete results, and run again."
        )


def _missing_embeddings(counts: Mapping[str, Counts], verified: Mapping[str, Sequence[Path]]) -> Iterator[str]:
    """Yield each embeddings.h5 without all accepted records, and each missing shard to which one links."""
    # It imports h5py, which a run without embeddings does not need.
    from lucaflow.store.format import EMBEDDINGS_FORMAT, open_hdf5

    for dataset, report in ((dataset, report) for dataset, reports in verified.items() for report in reports):
        embeddings, accepted = report.with_name("embeddings.h5"), counts[dataset].status["accepted"]
        with open_hdf5(embeddings, EMBEDDINGS_FORMAT) as file:
            found = len(file["ids"])
        if found != accepted:
            yield f"{embeddings} has {found:,} records, expected {accepted:,}"
        content = read_json(report)
        # Vectors are in embeddings.h5 itself; their shards may be deleted to make room.
        linked = {"matrix", "contacts"} & set(content["options"]["outputs"])
        for name, entry in content["files"].items() if linked else ():
            shard = report.parent / name
            if name.startswith("shards/") and not (shard.is_file() and shard.stat().st_size == entry["bytes"]):
                yield f"{shard} is missing or has another size"


def _missing_predictions(counts: Mapping[str, Counts], predicted: Iterable[Path]) -> Iterator[str]:
    for path in predicted:
        about = read_json(path)
        status = counts[about["dataset"]].status
        # Both sides of a pair are records; they are accepted or dropped together, and have one row.
        expected = (status["accepted"] + status["dropped"]) // len(about["seq_types"])
        found = about["predicted"] + about["failed"]
        if found != expected:
            yield f"{path.with_suffix('.csv')} and {path.stem}.failed.csv have {found:,} rows, expected {expected:,}"
