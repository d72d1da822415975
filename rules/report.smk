"""The first page of the report, its categories, and how each result is named in them.

Requires: the configuration. Produces: named functions. Results have one label each: of several, Snakemake 9.27 takes one
with two values in equal halves for a switch, and fails where not all combinations exist.
"""


report: "../resources/report/overview.rst"


def categories():
    """Return the titles of the categories by their names. Snakemake sorts them by title, so numbers give the order."""
    may_be_there = {
        "Overview": True,
        "Maps": bool(EMBEDDED),
        "Sequences": bool(EMBEDDED),
        "Scores": bool(SCORED),
        "Predictions": any(dataset.tasks for dataset in DATASETS.values()),
        "Training": bool(TRAININGS),
        "Validation": True,
        "Provenance": True,
        "Comparisons": True,
    }
    # Rules name their categories whether or not they have jobs: those that cannot be there come last.
    names = sorted(may_be_there, key=lambda name: not may_be_there[name])
    return {name: f"{number} {name}" for number, name in enumerate(names, start=1)}


def in_report(path, category, caption, label, subcategory=None, patterns=None):
    """Return an output as the report shows it. caption: of resources/report; label: its kind and its words.

    patterns: of the files that are shown, if the output is a folder.
    """
    kind, words = label
    caption = f"../resources/report/{caption}.rst"
    found = {"category": categories()[category], "caption": caption, "labels": {kind: words}}
    found |= {"subcategory": subcategory} if subcategory else {}
    return report(path, **found, **({"patterns": patterns} if patterns else {}))
