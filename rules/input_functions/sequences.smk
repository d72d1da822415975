"""Input functions of rules/sequences.smk: the input file and the memory to read it."""


def dataset_file(wildcards):
    """Return the input file; nothing if it is missing, so that its job says so and no other job stops.

    It is `local`: a module's prefix for results does not apply to it.
    """
    path = dataset_of(wildcards).path
    return [local(str(path))] if path.is_file() else []


def memory_of_normalize(wildcards):
    """Return MB: the job remembers some 70 bytes of each record, and few records take less than 140 bytes in a file."""
    path = dataset_of(wildcards).path
    return 4000 + (path.stat().st_size // (2 * 10**6) if path.is_file() else 0)
