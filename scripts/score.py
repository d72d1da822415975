"""Compute what the language model says of the sequences and variants of a dataset, and write its tables and figures."""

import lucaflow.quick_start  # noqa: F401

import logging
from pathlib import Path

import torch

from lucaflow.checkpoints.converted_checkpoint import converted_folder, read_record
from lucaflow.config.scores import MOST_HEAT_MAPS, ScoreOptions
from lucaflow.files.checksums import LIST_SUFFIX, write_list
from lucaflow.files.receipts import recording
from lucaflow.files.writing import replacing_folder, write_table, write_text
from lucaflow.logs import reporting_to
from lucaflow.records.variant_files import VariantsOfDataset
from lucaflow.report.figures import MOST_CONTACT_MAPS, draw_maps, number_shown
from lucaflow.report.heat_maps import draw_heat_map, file_stem
from lucaflow.report.pages import page
from lucaflow.scores.evaluation import sentences
from lucaflow.scores.job import compute_passes, variants_of
from lucaflow.scores.pass_store import PassStore
from lucaflow.scores.sequence_files import ScoredRecords, write_arrays, write_likelihoods, write_scans
from lucaflow.scores.stored_scores import StoredScores
from lucaflow.scores.variant_tables import ScoredVariants, reasons_table, write_variants

logger = logging.getLogger("lucaflow")

CLONE = Path(snakemake.scriptdir).parent
OF_FILES = ("dataset", "model", "checkpoint_sha256", "head_sha256", "note")
SCORES = "log-probability of a letter minus that of the letter there (natural logarithm)"


def main() -> None:
    """Compute the passes that are missing, and write the results."""
    torch.set_num_threads(snakemake.threads)
    dataset, config = snakemake.params.dataset, snakemake.config
    checkpoint = converted_folder(dataset.model, config["checkpoints"], CLONE)
    records, sequences = Path(snakemake.input.records), Path(snakemake.input.sequences)
    scores = ScoreOptions.from_config(config["scores"])
    found = ScoredRecords(records, sequences, dataset.seq_type)
    variants = variants_of(dataset, scores, records, sequences)
    with compute_passes(dataset, found, variants, scores, checkpoint, Path(snakemake.params.passes), config) as store:
        Results(found, scores, StoredScores(store, read_record(checkpoint), dataset.seq_type), store).write(variants)


class Results:
    """The files of a dataset's scores."""

    def __init__(self, records: ScoredRecords, scores: ScoreOptions, stored: StoredScores, store: PassStore) -> None:
        self.records, self.scores, self.stored, self.store = records, scores, stored, store
        self.folder = Path(snakemake.params.folder)
        self.attributes = {name: snakemake.params.settings[name] for name in OF_FILES}

    def write(self, variants: VariantsOfDataset | None) -> None:
        """Write each output that was asked for, and the variants."""
        outputs = self.scores.outputs
        if "likelihood" in outputs:
            write_likelihoods(self.folder / "sequences.tsv", self.records, self.stored)
        if "residues" in outputs:
            about = {**self.attributes, "symbols": self.stored.symbols}
            write_arrays(self.folder / "residues.h5", self.records, self.stored.masked, about)
        if "scan" in outputs:
            self.write_scans()
        if "contacts" in outputs:
            write_arrays(self.folder / "contacts.h5", self.records, self.stored.contacts, self.attributes)
            self.draw_contacts()
        if variants:
            self.write_variants(variants)

    def write_scans(self) -> None:
        """Write the scans of all sequences, and tables and pictures of the first ones."""
        stored, method, first = self.stored, self.scores.scan_method, self.scores.first_residue
        letters, chosen = stored.letters.letters, self.records.first(MOST_HEAT_MAPS)
        about = {**self.attributes, "letters": [*letters], "method": method}
        write_arrays(self.folder / "scan.h5", self.records, lambda sequence: stored.scan(sequence, method), about)
        write_scans(self.folder / "scan.tsv", chosen, lambda sequence: stored.scan(sequence, method), letters, first)
        with replacing_folder(self.folder / "heatmaps") as folder:
            for number, (identifier, sequence) in enumerate(chosen, start=1):
                details = [
                    f"every substitution, scored by {snakemake.wildcards.model}",
                    method.replace("_", " "),
                    f"{len(sequence.residues):,} residues; a dot is the letter that is there",
                    self.attributes["note"],
                ]
                words = {"title": identifier, "details": " · ".join(filter(None, details)), "scores": SCORES}
                path = folder / f"{file_stem(number, identifier)}.png"
                draw_heat_map(stored.scan(sequence, method), letters, sequence.residues, words, path, first)
        write_list((self.folder / "heatmaps").with_suffix(LIST_SUFFIX), self.folder / "heatmaps")
        if len(self.records.ids) > MOST_HEAT_MAPS:
            logger.info("tables and heat maps are of the first %d records; scan.h5 has all", MOST_HEAT_MAPS)

    def draw_contacts(self) -> None:
        """Draw the maps of the first sequences."""
        chosen = self.records.first(MOST_CONTACT_MAPS)
        maps = {identifier: self.stored.contacts(sequence) for identifier, sequence in chosen}
        shown = number_shown(len(maps), len(self.records.ids)).replace(", spread evenly", ", the first ones")
        details = [
            f"categorical Jacobian of {snakemake.wildcards.model}", shown, "shades within each map",
            self.attributes["note"],
        ]  # fmt: skip
        words = (snakemake.wildcards.dataset, " · ".join(filter(None, details)), "")
        draw_maps(maps, words, None, self.folder / "contacts.png")

    def write_variants(self, variants: VariantsOfDataset) -> None:
        """Write the variants, and how well their scores fit the measurements."""
        found = write_variants(self.folder / "variants.csv", variants, self.stored.of_variant)
        logger.info("%s: %s", snakemake.wildcards.dataset, found.described)
        metrics = self.folder / "variants.metrics.tsv"
        said = []
        if found.metrics is None:
            # Of an earlier run, with measurements.
            metrics.unlink(missing_ok=True)
        else:
            write_table(metrics, found.metrics)
            WRITTEN.append(metrics)
            said = sentences(found.metrics, variants.methods)
        for sentence in said:
            logger.info("%s (%s): %s", snakemake.wildcards.dataset, snakemake.wildcards.model, sentence)
        write_text(self.folder / "variants.html", self.page_of(found, said))

    def page_of(self, found: ScoredVariants, said: list[str]) -> str:
        """Return the page of the variants: the metrics, or else why rows have no score."""
        title = f"{snakemake.wildcards.dataset} ({snakemake.wildcards.model}): variants"
        notes = [f"{found.described}.", *(f"{sentence}." for sentence in said), self.attributes["note"]]
        table = reasons_table(found.reasons) if found.metrics is None else found.metrics
        return page(table, title, filter(None, notes))


if __name__ == "__main__":
    WRITTEN: list[str | Path] = [*snakemake.output]
    with (
        reporting_to(snakemake.log[0], terminal_level=logging.INFO),
        recording(
            snakemake.output.receipt,
            snakemake.params.settings,
            WRITTEN,
            [snakemake.input.records, snakemake.input.sequences],
        ),
    ):
        main()
