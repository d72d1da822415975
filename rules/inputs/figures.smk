"""What is said of a model: the input functions of rules/figures.smk."""


def note_of_model(wildcards):
    """Return the note that is shown with every result of a model."""
    return "for demonstration" if dataset_of(wildcards).model.llm_version == "mini" else ""
