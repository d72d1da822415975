"""Input functions of rules/sequences.smk: the input file and the memory to read it."""


def dataset_file(wildcards):
    """Return the input file if a rule of the workflow that uses this one makes it; a module's prefix does not apply.

    Otherwise the job opens it itself, and says if it cannot, without stopping other jobs.
    """
    path = str(dataset_of(wildcards).path)
    return [local(path)] if any(rule.is_producer(path) for rule in workflow.rules) else []


def memory_of_normalize(wildcards):
    """Return MB: the job remembers some 70 bytes of each record, and few records take less than 140 bytes in a file."""
    path = dataset_of(wildcards).path
    return 4000 + (0 if why_unusable(path) else path.stat().st_size // (2 * 10**6))
