"""The trained downstream models that datasets ask for, and the input functions that concern them.

Requires: the table of datasets. Produces: HEADS, and named functions.
"""

STATED_MODELS = stated_models(config, DATASETS.values())
try:
    HEADS = trained.resolve(
        sorted({task for dataset in DATASETS.values() for task in dataset.tasks}),
        config["heads"],
        read_tasks(ROOT / "resources/tasks.tsv", schema_of("tasks")),
        Path(CHECKPOINTS),
        ROOT,
    )
    trained.refuse_unfit(DATASETS.values(), HEADS)
    for head in HEADS.values():
        if head.recorded:
            model = head.recorded.reading.model
            refuse_missing(head.task.name, model, config, STATED_MODELS, REGISTRY)
except LucaFlowError as error:
    raise WorkflowError(str(error)) from None


wildcard_constraints:
    task="|".join(map(re.escape, HEADS)) or "(?!)",
    head=f"{trained.PREFIX}[^/]+",
    llm=r"(lucaone|lucaone-gene|lucaone-prot|mini)-\d+",


def head_in(folder):
    """Return the trained model whose converted files are kept in a folder, by the folder's name."""
    return next(head for head in HEADS.values() if head.folder.name == folder)


def head_of_wildcards(wildcards):
    return head_in(wildcards.head)


def head_record(task):
    """Return the record of a task's converted model; what depends on it waits until it is there."""
    return checkpoints.convert_head.get(head=HEADS[task].folder.name).output.record


def head_record_of_task(wildcards):
    return head_record(wildcards.task)


def head_records_of_dataset(wildcards):
    return [head_record(task) for task in dataset_of(wildcards).tasks]


def fetched_record_of_head(wildcards):
    """Return the record that a model's files were fetched; nothing for one that is here anyway."""
    head = head_of_wildcards(wildcards)
    return [str(head.root / published.FETCHED_RECORD)] if head.is_fetched else []


def origin_of_head(folder):
    """Return what a trained model is to be converted from.

    What is converted already serves while its files are out of reach; if there is neither, the job says so in full.
    """
    head = head_in(folder)
    if head.is_fetched:
        return downstream_steps.fetched_head_settings(head)
    try:
        return downstream_steps.head_settings(trained.locate_head(head.root, head.task))
    except LucaFlowError:
        kept = sorted(head.folder.glob("settings/origin-*.json"))
        if kept and head.recorded:
            return json.loads(kept[0].read_text(encoding="utf-8"))
        return downstream_steps.head_settings(None)


def head_origin_file(head):
    return settings_file(head.folder, "origin", origin_of_head(head.folder.name))


def head_origin_file_of_wildcards(wildcards):
    return head_origin_file(head_of_wildcards(wildcards))


def wanted_by(task):
    """Return the embedding that a task's model was trained on, once it is converted."""
    reading = trained.read_head(Path(head_record(task)).parent).reading
    return wanted.EmbeddingRequest.by(reading, config["heads"]["llm_truncation_seq_length"])


def models_of_heads(dataset):
    """Return the checkpoints that the trained models of a dataset need."""
    return sorted({wanted_by(task).model for task in dataset.tasks}, key=lambda model: model.name)


def checkpoints_of_heads(wildcards):
    """Return the records of the checkpoints that the trained models of a dataset need."""
    return [checkpoint_record(model) for model in models_of_heads(dataset_of(wildcards))]


def checkpoints_of_all_heads(wildcards):
    return sorted(
        {checkpoint_record(model) for dataset in DATASETS.values() for model in models_of_heads(dataset)}
    )


def embeddings_of(dataset):
    """Return the embeddings that a dataset has anyway, or None."""
    return None if dataset.is_pairs else wanted.OwnEmbeddings(dataset.model, OPTIONS)


def heads_settings(dataset):
    digests = {model: sha256_of_checkpoint(model) for model in models_of_heads(dataset)}
    needs = [wanted_by(task) for task in dataset.tasks]
    return downstream_steps.heads_settings(needs, digests, embeddings_of(dataset), config)


def heads_settings_file(wildcards):
    return dataset_settings_file(dataset_of(wildcards), "heads")


def predict_settings(dataset, task):
    return downstream_steps.predict_settings(
        dataset, trained.read_head(Path(head_record(task)).parent), wanted_by(task), config
    )


def predict_settings_file(wildcards):
    return dataset_settings_file(dataset_of(wildcards), f"predict-{wildcards.task}")


def plan_of(dataset):
    """Return which embeddings are computed for trained models, once that is known."""
    return wanted.Plan.read(Path(checkpoints.plan_heads.get(dataset=dataset.name).output.plan))


def shards_for_heads(wildcards):
    dataset = dataset_of(wildcards)
    groups = plan_of(dataset).groups_for(wanted_by(wildcards.task))
    folder = Path(f"results/{dataset.name}/heads")
    return [str(path) for group in groups for path in group.files(folder)]


def own_shards_for_heads(wildcards):
    """Return the shards that a dataset has anyway, where a trained model reads them."""
    dataset = dataset_of(wildcards)
    return shards_of(dataset) if plan_of(dataset).own else []


def note_of_task(wildcards):
    """Return what must be said of a trained model wherever its predictions are shown."""
    return "for demonstration" if HEADS[wildcards.task].source == "packaged" else ""


def prediction_files(dataset):
    """Return what the tasks of a dataset end in."""
    suffixes = [".csv", ".failed.csv", ".json", ".png", ".html"] + [".metrics.tsv", ".metrics.html"] * bool(
        dataset.columns.label
    )
    return [
        f"results/{dataset.name}/predictions/{task}{suffix}" for task in dataset.tasks for suffix in suffixes
    ]


def prediction_reports(wildcards):
    return [
        f"results/{dataset.name}/predictions/{task}.json"
        for dataset in DATASETS.values()
        for task in dataset.tasks
    ]


def head_plans(wildcards):
    return [f"results/{dataset.name}/heads/plan.json" for dataset in DATASETS.values() if dataset.tasks]


def head_folders(wildcards):
    return [str(head.folder) for head in HEADS.values()]


def prediction_settings_files(dataset):
    """Return the settings that a dataset's predictions rest on, whose names depend on digests."""
    names = [*(["heads"] if dataset.tasks else []), *(f"predict-{task}" for task in dataset.tasks)]
    return [dataset_settings_file(dataset, name) for name in names]
