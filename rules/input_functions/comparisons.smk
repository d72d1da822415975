"""Input functions of rules/comparisons.smk: the files of a comparison."""

from lucaflow.config import result_files


def comparison_files(step):
    """Return the input function for the tables and figures of a comparison."""

    def files_of_comparison(wildcards):
        if not OPTIONS.outputs:
            raise WorkflowError(
                f"`{step}` compares embeddings, but embedding.outputs is empty. Add `mean` to it."
            )
        if step == "stitchings" and OPTIONS.embedding_fixed_len_a_time is None:
            raise WorkflowError(
                "Set embedding.embedding_fixed_len_a_time to the length of windows to compare, in residues."
            )
        return [path for dataset in EMBEDDED for path in result_files.comparison_files(dataset, step)]

    return files_of_comparison


def precision_files():
    """Return the comparisons of precisions of all datasets; none with float32, to which others are compared."""
    if OPTIONS.precision == "float32" or not EMBEDDED:
        return []
    return comparison_files("precisions")(None)


def comparison_figure(step):
    """Return the figure of a comparison, as the report shows it."""
    path = f"results/{{dataset}}/{{model}}/figures/{step}.png"
    return in_report(path, "Comparisons", step, ("dataset", "{dataset} ({model})"), step)
