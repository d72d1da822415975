"""Which input file, and how much memory it takes: the input functions of rules/sequences.smk."""


def dataset_file(wildcards):
    """Return the input file; none if it is missing, which the job then says without stopping the others.

    It is `local`: where a table of datasets says, whatever prefix a module gives to results.
    """
    path = dataset_of(wildcards).path
    return [local(str(path))] if path.is_file() else []


def memory_of_normalize(wildcards):
    """Return megabytes: of each record some 70 bytes are remembered, and few take less than 140 in a file."""
    path = dataset_of(wildcards).path
    return 4000 + (path.stat().st_size // (2 * 10**6) if path.is_file() else 0)
