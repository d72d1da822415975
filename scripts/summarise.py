"""Write the summary of a run: the table of its datasets, the pages of the report, each run.yaml, and all checksums."""

from pathlib import Path

import yaml

from lucaflow.checkpoints.converted_checkpoint import read_record
from lucaflow.files.receipts import as_list, recording_step
from lucaflow.files.writing import write_table, write_text
from lucaflow.logs import reporting_to
from lucaflow.records.counts import Counts
from lucaflow.report.completeness import require_complete
from lucaflow.report.pages import page_by_dataset, page_of_text
from lucaflow.report.summary import summarise, validation

OF_CHECKPOINT = ("llm_version", "llm_step", "layout", "origin", "model", "encoder", "parameters")


def main() -> None:
    """Check that no result is missing; then write the tables and pages from counts, checks and receipts."""
    verified = {path.parent.parent.name: path for path in map(Path, snakemake.input.verified)}
    counts = {path.parent.parent.name: Counts.read(path) for path in map(Path, snakemake.input.counts)}
    require_complete(counts, verified, map(Path, snakemake.input.predicted))
    table = Path(snakemake.output.table)
    rows = summarise(counts, verified, map(Path, snakemake.input.predicted), table.parents[1])
    write_table(table, rows)
    write_text(Path(snakemake.output.html), page_by_dataset(rows, "Summary"))
    write_text(Path(snakemake.output.validation), page_by_dataset(validation(counts, verified), "Validation"))
    write_runs()
    write_text(Path(snakemake.output.sums), as_list(table.parent, counts))


def write_runs() -> None:
    """Write run.yaml and its page for each dataset: the configuration, versions and checksums of its results."""
    records = [read_record(Path(folder)) for folder in snakemake.params.checkpoints]
    by_sha256 = {record["model"]["sha256"]: {name: record[name] for name in OF_CHECKPOINT} for record in records}
    for path, page in zip(map(Path, snakemake.output.runs), map(Path, snakemake.output.pages), strict=True):
        dataset = path.parent.name
        run = dict(snakemake.params.settings["runs"][dataset])
        if run["checkpoint_sha256"]:
            run["checkpoint"] = by_sha256[run["checkpoint_sha256"]]
        text = yaml.safe_dump(run, sort_keys=False, allow_unicode=True)
        write_text(path, text)
        write_text(page, page_of_text(text, f"{dataset}: run.yaml"))


if __name__ == "__main__":
    with reporting_to(snakemake.log[0]), recording_step(snakemake, "counts", "verified", "predicted"):
        main()
