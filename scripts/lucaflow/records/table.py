"""records.tsv, read in parts: it may have more records than memory holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

RECORDS_AT_ONCE = 500_000


def accepted_records(records: Path, columns: Sequence[str], at_once: int = RECORDS_AT_ONCE) -> Iterator[pd.DataFrame]:
    """Yield columns of the accepted records, as text, in parts. The index is the record's place in embeddings.h5.

    at_once: records read at a time, accepted or not.
    """
    place = 0
    for part in pd.read_csv(
        records, sep="\t", dtype=str, keep_default_na=False, usecols=[*columns, "status"], chunksize=at_once
    ):
        accepted = part.loc[part["status"] == "accepted", list(columns)]
        accepted.index = pd.RangeIndex(place, place + len(accepted))
        place += len(accepted)
        yield accepted
