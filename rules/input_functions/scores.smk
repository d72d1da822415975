"""Functions of rules/scores.smk: the results of scoring, and the parts into which a large one is divided."""

import functools

from lucaflow.config import result_files
from lucaflow.config.scores import ScoreOptions
from lucaflow.files.json_files import DIGEST_LENGTH, digest_of_settings
from lucaflow.records.counts import Counts
from lucaflow.scores.proof_record import PROOF_NAME, recorded_proofs

SCORES = ScoreOptions.from_config(config["scores"])
# Category, caption and kind of the scores in the report.
SCORES_IN_REPORT = {
    "heatmaps": ("scan", "scans"),
    "contacts.png": ("score_contacts", "contacts"),
    "variants.html": ("variants", "variants"),
}


def score_paths(variants):
    """Return the paths of the results of scoring. variants: whether a file names some."""
    return [f"results/{{dataset}}/{{model}}/scores/{name}" for name in SCORES.files(variants)]


def score_outputs(variants):
    """Return the outputs of the rule that scores."""
    return [score_output(path) for path in score_paths(variants)]


def score_output(path):
    name = path.rpartition("/")[2]
    if name not in SCORES_IN_REPORT:
        return path
    caption, kind = SCORES_IN_REPORT[name]
    label = ("dataset", "{dataset} ({model})")
    if name == "heatmaps":
        return in_report(directory(path), "Scores", caption, label, kind, patterns=["{name}.png"])
    return in_report(path, "Scores", caption, label, kind)


def variants_file(wildcards):
    """Return the file of variants that a rule of the workflow around this one makes. Others the job opens itself."""
    path = dataset_of(wildcards).variants
    return [local(str(path))] if path and is_made(str(path)) else []


def folder_of_scores(wildcards):
    return str(MOVED(f"{result_files.folder_of(dataset_of(wildcards))}/scores"))


def digests_for_scores(model):
    """Return the SHA-256 of a model's network and of the head of its language model, once it is converted.

    Of a checkpoint without a head the latter is None: the job that scores says why, without stopping others.
    """
    network = sha256_of(model)
    entry = converted.read_record(checkpoint_folder(model)).get(converted.HEAD_ENTRY) or {}
    return {"checkpoint_sha256": network, "head_sha256": entry.get("sha256")}


def score_settings(dataset):
    """Return the settings of a dataset's scores, once its checkpoint is converted."""
    digests, note = digests_for_scores(dataset.model), note_of(dataset.model)
    return step_settings.score_settings(dataset, SCORES, OPTIONS.precision, digests, note)


def folder_of_passes(dataset):
    """Return the folder of the results of passes of a dataset by a model."""
    name = passes_fingerprint(dataset.model)
    return f"{result_files.folder_of(dataset)}/scores/passes/{name}"


def passes_fingerprint(model):
    digests = digests_for_scores(model)
    return step_settings.passes_fingerprint(OPTIONS.precision, digests)[:DIGEST_LENGTH]


def file_of_passes(wildcards):
    """Return the file of the passes that the job of a whole dataset computes."""
    return str(MOVED(f"{folder_of_passes(dataset_of(wildcards))}/all.sqlite"))


def gpus_of_score(wildcards, input):
    """Return the GPUs of a job: none if others have computed the passes."""
    return 0 if input.parts else GPUS


def parts_of_scores(wildcards):
    """Return the parts of the passes, if one job would take too long; say what they take before they start."""
    dataset = dataset_of(wildcards)
    settings = score_settings(dataset)
    if not workflow.is_main_process or is_settled(dataset, f"score-{dataset.model.name}"):
        return []
    parts = number_of_parts(dataset) if settings["head_sha256"] else 0
    if parts < 2:
        return []
    request = digest_of_settings({**settings, "sequences": sequences_of_scores(dataset)})[:DIGEST_LENGTH]
    folder = folder_of_passes(dataset)
    return [f"{folder}/{request}-{part}-of-{parts}.done" for part in range(1, parts + 1)]


def sequences_of_scores(dataset):
    """Return what identifies the distinct sequences of a dataset."""
    return receipts.entry_of_written(Path(MOVED(f"results/{dataset.name}/sequences/distinct.fasta")))


@functools.cache
def number_of_parts(dataset):
    """Return the jobs for the passes of a dataset, and show the estimate. Once in a run: parts that end change nothing."""
    # Imported here, because a run with nothing to score needs none of it.
    from lucaflow.scores.preflight import preflight

    sequences = checkpoints.normalize.get(dataset=dataset.name).output
    found = preflight(
        dataset,
        SCORES,
        Path(sequences.records),
        Path(sequences.sequences),
        Counts.read(Path(sequences.counts)).lengths,
        converted.read_record(checkpoint_folder(dataset.model)),
        Path(MOVED(folder_of_passes(dataset))),
        config,
        device_to_guess_by(),
        threads_of_embed(),
    )
    logger.info(f"{dataset.name}: {found.describe(SCORES)}")
    # The one job then says that these are too many.
    return 0 if found.all.passes > SCORES.most_passes else found.parts(config["compute"]["shard_tokens"])


def proofs_of_all(wildcards):
    """Return the proof of each model that reads a dataset of single sequences."""
    folders = dict.fromkeys(map(checkpoint_folder, MODELS_OF_DATASETS))
    return [f"{folder}/{PROOF_NAME}" for folder in folders if types_with(folder.name)]


def once_converted_with_head(wildcards):
    """Wait for the conversion of a checkpoint. Let its proof be made again if it lacks a type. Adds no input."""
    checkpoints.convert_checkpoint.get(folder=wildcards.folder)
    folder = Path(MOVED(f"{CHECKPOINTS}/{wildcards.folder}"))
    proof = folder / PROOF_NAME
    if proof.exists() and types_with(wildcards.folder) - set(
        recorded_proofs(proof, converted.read_record(folder))
    ):
        force([str(proof)])
    return []


def types_read_by(wildcards):
    return sorted(types_with(wildcards.folder))


def types_with(name):
    """Return the types of sequences of the datasets that a checkpoint reads. name: of its folder."""
    single = [dataset for dataset in DATASETS.values() if not dataset.is_pairs]
    return {
        each.seq_type
        for dataset in single
        for each in dataset.by_model()
        if checkpoint_folder(each.model).name == name
    }
