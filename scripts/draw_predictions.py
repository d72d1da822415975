"""Draw the predictions for a dataset, and list them with descriptions."""

from pathlib import Path

from lucaflow.downstream.evaluation import read_predictions
from lucaflow.files.json_files import read_json
from lucaflow.files.writing import write_text
from lucaflow.logs import reporting_to
from lucaflow.report.predictions import as_html, described, draw

if __name__ == "__main__":
    with reporting_to(snakemake.log[0]):
        about = read_json(Path(snakemake.input.about))
        predictions = read_predictions(Path(snakemake.input.predictions))
        draw(predictions, about, Path(snakemake.output.figure))
        listed = described(predictions, Path(snakemake.input.records), about["seq_types"])
        write_text(Path(snakemake.output.table), as_html(listed, about))
