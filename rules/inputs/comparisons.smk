"""What a comparison of precisions or windows ends in: the input functions of rules/comparisons.smk."""

from lucaflow.config import results


def comparison_files(step):
    """Return the function that names a comparison's table and figure for each dataset, and what they depend on."""

    def files_of_comparison(wildcards):
        if step == "stitchings" and OPTIONS.embedding_fixed_len_a_time is None:
            raise WorkflowError(
                "Set embedding.embedding_fixed_len_a_time to the length of windows to compare, in residues."
            )
        return [
            path
            for dataset in SINGLES
            for path in (
                settings_file(dataset, "normalize"),
                settings_file(dataset, f"{step}-{dataset.model.name}"),
                *results.compared_files(dataset, step),
            )
        ]

    return files_of_comparison
