"""Functions of rules/training.smk: which trainings there are, what they read, and which model predicts."""

from lucaflow.config import result_files

TRAINING_FILES = result_files.FILES_OF_TRAINING
OF_TASK = "results/{{dataset}}/training/{{task}}/{}"
OF_TRAINED = "results/{{dataset}}/training/{{task}}/{{model}}/{}"


def trained_outputs():
    """Return the outputs of the rule that trains, besides the model, whose folders have names that it decides."""
    return [update(trained_output(name)) for name in TRAINING_FILES]


def trained_output(name):
    path = OF_TRAINED.format(name)
    if not name.endswith(".html"):
        return path
    return in_report(path, "Training", "training", ("result", "{task} ({model})"), "{dataset}")


def training_of(wildcards):
    return TRAININGS[wildcards.task]


def shards_for_training(wildcards):
    dataset, training = DATASETS[wildcards.dataset], TRAININGS[wildcards.task]
    shards = planned_shards(dataset, training.request(wildcards.model))
    return shards + own_shards_for(dataset, training.model(wildcards.model))


def once_encoder_is_converted(wildcards):
    """Wait for the encoder of a training, on which parameters depend. Adds no input."""
    sha256_of(TRAININGS[wildcards.task].model(wildcards.model))
    return []


def own_shard_folder(wildcards):
    """Return the folder of the dataset's own shards by an encoder, from which the job reads if the plan says so."""
    dataset, model = DATASETS[wildcards.dataset], TRAININGS[wildcards.task].model(wildcards.model)
    return str(MOVED(shard_folder(dataset.with_model(model.name), sha256_of(model))))


def width_of_model(wildcards):
    """Return the width of the embeddings by an encoder, once it is converted."""
    model = TRAININGS[wildcards.task].model(wildcards.model)
    sha256_of(model)
    return converted.read_record(checkpoint_folder(model))["encoder"]["hidden_size"]


def note_of_encoder(wildcards):
    """Return the note that is shown with every result of an encoder."""
    return note_of(TRAININGS[wildcards.task].model(wildcards.model))


def models_of_trained(task):
    """Return the names of the encoders among whose models a task predicts with the best: all, or the one that is named."""
    training, model = TRAINED[task]
    return [model] if model else [each.name for each in training.models]


def trained_records(wildcards):
    """Return the records of the models that a task may predict with, if this run trains them."""
    if wildcards.task not in TRAINED:
        return []
    training, _ = TRAINED[wildcards.task]
    return [path for model in models_of_trained(wildcards.task) for path in trained_record(training, model)]


def trained_record(training, model):
    """Return the record of a trained model, and that of its converted files, as inputs."""
    folder = f"results/{training.dataset}/training/{training.task}/{model}"
    settled = is_settled(DATASETS[training.dataset], f"train-{training.task}@{model}")
    return regardless_of_times([f"{folder}/training.json"], if_=settled)


def trained_files(wildcards):
    return result_files.training_files(TRAININGS.values())


def of_each_model(name):
    """Return the input function for a file of each training of a task."""

    def files(wildcards):
        training = TRAININGS[wildcards.task]
        settled = [is_settled(wildcards, f"train-{training.task}@{model.name}") for model in training.models]
        folders = (
            f"results/{training.dataset}/training/{training.task}/{model.name}" for model in training.models
        )
        return regardless_of_times([f"{folder}/{name}" for folder in folders], if_=all(settled))

    return files


def comparison_outputs():
    """Return the outputs of the rule that compares the trained models of a task."""
    table, picture, drawing = (
        f"results/{{dataset}}/training/{{task}}/{name}" for name in result_files.OF_TASK
    )
    label = ("result", "{task}: comparison")
    return [
        table,
        in_report(picture, "Training", "comparison_of_models", label, "{dataset}"),
        drawing,
    ]


def compared_trainings():
    """Return the tables that compare the trained models of each task."""
    return [path for path in trained_files(None) if Path(path).name == "comparison.tsv"]


def trained_results(*names):
    """Return the files of these names of all trained models."""
    return [path for path in trained_files(None) if Path(path).name in names]
