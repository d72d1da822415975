"""Input functions of rules/sequences.smk: the input file and the memory to read it."""

import functools


def dataset_file(wildcards):
    """Return the input files that a rule of the workflow that uses this one makes; a module's prefix does not apply.

    Others the job opens itself, and says if it cannot, without stopping other jobs.
    """
    dataset = dataset_of(wildcards)
    paths = [str(dataset.path), *([str(dataset.metadata.path)] if dataset.metadata else [])]
    return [local(path) for path in paths if is_made(path)]


def is_made(path):
    """Return whether a rule makes a file. What precedes the wildcards of its outputs is compared first, to save time."""
    return path.startswith(beginnings_of_outputs()) and any(r.is_producer(path) for r in workflow.rules)


@functools.cache
def beginnings_of_outputs():
    return tuple({product.constant_prefix() for rule in workflow.rules for product in rule.products()})


def memory_of_normalize(wildcards):
    """Return MB: the job remembers some 70 bytes of each record, and few records take less than 140 bytes in a file.

    It holds metadata in memory: some 300 bytes and the cells of a row, which may be packed.
    """
    dataset = dataset_of(wildcards)
    factors = {dataset.path: 0.5} | ({dataset.metadata.path: 8} if dataset.metadata else {})
    sizes = (factor * size_of_source(path) for path, factor in factors.items())
    return 4000 + int(sum(sizes) / 10**6)
