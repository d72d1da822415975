"""Compare predictions with the dataset's labels."""

import logging
from pathlib import Path

from lucaflow.downstream.evaluation import compare, evaluate, read_predictions
from lucaflow.files.json_files import read_json
from lucaflow.files.writing import write_table, write_text
from lucaflow.logs import reporting_to
from lucaflow.report.pages import page

logger = logging.getLogger("lucaflow")

if __name__ == "__main__":
    with reporting_to(snakemake.log[0]):
        about = read_json(Path(snakemake.input.about))
        predictions = read_predictions(Path(snakemake.input.predictions))
        comparison = compare(predictions, about["task_type"], about["labels"])
        found = evaluate(comparison, about["task_type"])
        write_table(Path(snakemake.output.tsv), found)
        write_text(Path(snakemake.output.html), page(found, f"{about['dataset']}: {about['task']} against the labels"))
        if comparison.not_compared:
            logger.warning(
                "%s, %s: %d of %d rows have no label that the task can predict, and were not compared",
                about["dataset"], about["task"], comparison.not_compared, len(predictions),
            )  # fmt: skip
