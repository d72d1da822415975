"""Compare the trained models of a task with each other and with the baselines, on the same test rows and resamples."""

import logging
from pathlib import Path

from lucaflow.files.json_files import read_json
from lucaflow.files.receipts import recording_step
from lucaflow.files.writing import write_table
from lucaflow.logs import reporting_to
from lucaflow.report.model_scores import draw_comparison
from lucaflow.training.compared import comparison_table, read_resamples, side_by_side
from lucaflow.training.requested import best_of

logger = logging.getLogger("lucaflow")


def main() -> None:
    """Write the table and the picture."""
    training = snakemake.params.training
    outputs = {Path(path).suffix: Path(path) for path in snakemake.output}
    names = [model.name for model in training.models]
    files = dict(zip(names, map(Path, snakemake.input.resamples), strict=True))
    records = dict(zip(names, (read_json(Path(path)) for path in snakemake.input.records), strict=True))
    scores, chosen = side_by_side({name: read_resamples(path) for name, path in files.items()}), best_of(records)
    write_table(outputs[".tsv"], comparison_table(scores, set(names), chosen, training.primary))
    title = f"{training.task}: models trained on {training.dataset}"
    draw_comparison(scores, training.primary, names, title, outputs[".png"])
    if len(names) > 1:
        logger.info("%s: %s is the best of %d models by dev", training.task, chosen, len(names))


if __name__ == "__main__":
    with reporting_to(snakemake.log[0], terminal_level=logging.INFO), recording_step(snakemake, "resamples", "records"):
        main()
