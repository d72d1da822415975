"""Input functions of rules/figures.smk: the note on a model."""


def note_of_model(wildcards):
    """Return the note that is shown with every result of a model."""
    return "for demonstration" if dataset_of(wildcards).model.llm_version == "mini" else ""
