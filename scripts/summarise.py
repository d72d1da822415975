"""Write the summary of a run: the table of its datasets, the pages of the report, each run.yaml, and all checksums."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from lucaflow.checkpoints.converted_checkpoint import read_record
from lucaflow.checkpoints.model import Model
from lucaflow.files.json_files import read_json
from lucaflow.files.receipts import Entry, as_list, receipt_path, recorded_settings, recording_step
from lucaflow.files.writing import write_table, write_text
from lucaflow.logs import reporting_to
from lucaflow.records.counts import Counts
from lucaflow.report.citations import LUCAONE, citations
from lucaflow.report.completeness import require_complete
from lucaflow.report.overview import overview, read_agreement
from lucaflow.report.overview_tables import FILES as OVERVIEW_FILES
from lucaflow.report.overview_tables import tables_of, update_overview
from lucaflow.report.pages import page
from lucaflow.report.provenance import page_of_run
from lucaflow.report.summary import summarise, validation
from lucaflow.scores.proof_record import proofs_of

OF_CHECKPOINT = ("llm_version", "llm_step", "layout", "origin", "network_sha256", "model", "encoder", "parameters")


def main(known: dict[Path, Entry]) -> None:
    """Check that no result is missing; then write the tables and pages from counts, checks and receipts.

    known: gets the checksums of files that were not written anew.
    """
    verified: dict[str, list[Path]] = {}
    for path in map(Path, snakemake.input.verified):
        verified.setdefault(path.parent.parent.name, []).append(path)
    counts = {path.parent.parent.name: Counts.read(path) for path in map(Path, snakemake.input.counts)}
    predicted = [Path(path) for path in snakemake.input.predicted]
    require_complete(counts, verified, predicted)
    table = Path(snakemake.output.table)
    trained = [path for path in map(Path, snakemake.input.trained) if path.name == "training.json"]
    rows = summarise(counts, verified, predicted, table.parents[1], trained)
    write_table(table, rows)
    write_text(Path(snakemake.output.html), page(rows, "Datasets of the run"))
    write_text(Path(snakemake.output.validation), page(validation(counts, verified), "Checks of the records and files"))
    predictions = [read_json(path) for path in predicted]
    models = {path.parent.name for paths in verified.values() for path in paths}
    # Those of embeddings that were made elsewhere computed nothing in this run.
    models |= {about["model"] for about in predictions if "embeddings" not in about}
    records = [read_record(Path(folder)) for folder in snakemake.params.checkpoints]
    families = {model_of(record).name: record["family"] for record in records}
    # Published downstream models read LucaOne's embeddings alone.
    cited = citations({model: families.get(model, LUCAONE) for model in models | families.keys()})
    labels = [row for path in map(Path, snakemake.input.metrics) for row in read_agreement(path)]
    shown = first_pictures(verified, predicted)
    page_of_key_figures = overview(table.parents[1], counts, sorted(models), predictions, *shown, labels, cited)
    write_text(Path(snakemake.output.overview), page_of_key_figures)
    write_runs(predictions, records)
    update_tables_of_records(known)
    write_text(Path(snakemake.output.sums), as_list(table.parent, counts))


def update_tables_of_records(known: dict[Path, Entry]) -> None:
    """Write all that is known of each record of single sequences, where it changed. known: gets the checksums."""
    for dataset, joined in snakemake.params.joined.items():
        folder = Path(snakemake.output.table).with_name(dataset)
        known.update(update_overview(folder, tables_of(folder, **joined)))


def tables_of_records() -> list[Path]:
    """Return the tables of records and their pages. As outputs of the rule all of them would be written anew."""
    results = Path(snakemake.output.table).parent
    return [results / dataset / name for dataset in snakemake.params.joined for name in OVERVIEW_FILES]


def first_pictures(verified: Mapping[str, Sequence[Path]], predicted: Sequence[Path]) -> tuple[list[Path], str]:
    """Return the maps of the first dataset that has some, by each model, else a figure of predictions; and words."""
    for dataset, paths in verified.items():
        maps = [path.parent / "figures/map.png" for path in paths]
        there = [path for path in maps if path.is_file()]
        if there:
            models = ", ".join(path.parents[1].name for path in there)
            of_models = f" by {models}" if len(there) > 1 else ""
            return there, f"Map of {dataset}{of_models}: each point is a sequence, near those with similar embeddings."
    for path in predicted:
        if path.with_suffix(".png").is_file():
            return [path.with_suffix(".png")], f"Predictions of {path.stem} for {path.parents[1].name}."
    return [], ""


def model_of(record: Mapping[str, Any]) -> Model:
    return Model(record["llm_version"], record["llm_step"])


def sentences_of_proofs(dataset: str, seq_type: str) -> dict[str, str]:
    """Return for each model that scores a dataset whether it tells known sequences from shuffled ones."""
    folders = {model: Path(folder) for model, folder in snakemake.params.scored.get(dataset, {}).items()}
    found = {model: proofs_of(folder, read_record(folder)).get(seq_type) for model, folder in folders.items()}
    return {model: proof.sentence for model, proof in found.items() if proof}


def write_runs(predictions: Sequence[Mapping[str, Any]], records: Sequence[Mapping[str, Any]]) -> None:
    """Write run.yaml and its page for each dataset: the configuration, versions and checksums of its results.

    records: of the checkpoints that embed the datasets.
    """
    by_model = {model_of(record).name: {name: record[name] for name in OF_CHECKPOINT} for record in records}
    for path, html in zip(map(Path, snakemake.output.runs), map(Path, snakemake.output.pages), strict=True):
        dataset = path.parent.name
        run = dict(snakemake.params.settings["runs"][dataset])
        digests = run["checkpoint_sha256"]
        if isinstance(digests, dict):
            run["checkpoint"] = {model: by_model[model] for model in digests}
        elif digests:
            run["checkpoint"] = by_model[Model(**run["dataset"]["model"]).name]
        if proofs := sentences_of_proofs(dataset, run["dataset"]["seq_type"]):
            run["language_model"] = proofs
        write_text(path, yaml.safe_dump(run, sort_keys=False, allow_unicode=True))
        read = recorded_settings(receipt_path(path.parent, "normalize")) or {"file": {}}
        write_text(
            html, page_of_run(run, read["file"], [about for about in predictions if about["dataset"] == dataset])
        )


if __name__ == "__main__":
    reads = ("counts", "verified", "predicted", "metrics", "trained")
    with reporting_to(snakemake.log[0]), recording_step(snakemake, *reads, beside=tables_of_records()) as known:
        main(known)
