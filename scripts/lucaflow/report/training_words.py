"""What is said of a trained model: the sentence on top of its page, and its warnings."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from lucaflow.records.counts import counted
from lucaflow.report.trained_task import (
    BASELINES,
    difference_of,
    is_error,
    is_regression,
    lengths_of,
    models_of,
    tested,
)  # fmt: skip
from lucaflow.training.results import TrainingResult
from lucaflow.training.statistics import FEWEST_FOR_CERTAINTY, FEWEST_FOR_INTERVALS, Difference, Scores

# Shares of test rows that resemble train from which on the page warns.
_MUCH_LEAKAGE = 0.1
# A loss of train above this share of the first one has hardly fallen.
_LEAST_FALL = 0.95
_MOST_NAMED = 10


def number(value: float) -> str:
    """Return a score as it is shown.

    >>> number(0.81234), number(123.4), number(float("nan"))
    ('0.812', '123', '-')
    """
    return "-" if math.isnan(value) else f"{value:.3g}"


def interval(low: float, high: float) -> str:
    """Return an interval in words; nothing if there is none.

    >>> interval(0.0712, 0.1), interval(float("nan"), float("nan"))
    ('0.0712 to 0.1', '')
    """
    return "" if math.isnan(low) else f"{number(low)} to {number(high)}"


def score_in_words(scores: Scores, model: str, metric: str) -> str:
    """Return a score with its interval, as `0.812 (0.78 to 0.84)`."""
    ends = interval(*scores.interval(model, metric))
    return number(scores.values[model, metric]) + (f" ({ends})" if ends else "")


def sentence(result: TrainingResult) -> str:
    """Return the sentence on top: is the model better than what needs no network?"""
    value = number(result.test.values[result.model, result.metric])
    reaches = f"has {_article(result.metric)} {result.metric} of {value} on the {tested(result)}"
    difference = difference_of(result)
    other = f"the best baseline, {BASELINES[result.baseline]}"
    if math.isnan(difference.value):
        return f"Whether {result.model} is better than {other}, is unknown: test has no {result.metric}."
    judgement = _judgement(difference)
    amount = f"{number(abs(difference.value))} {_direction(result.metric, difference.value)} than"
    beginning = f"{result.model} {reaches}, {amount if difference.value else 'the same as'} {other}"
    return f"{beginning}: {judgement} ({_evidence(difference, result.test.clusters)})."


def _article(metric: str) -> str:
    return "an" if metric[0] in "aeiouFR" else "a"


def _direction(metric: str, better: float) -> str:
    """Return `higher` or `lower`, given how much better the model is."""
    return "higher" if (better >= 0) != is_error(metric) else "lower"


def _judgement(difference: Difference) -> str:
    if difference.certainty == "none":
        return "too few clusters to tell chance from merit"
    if difference.certainty == "unreliable":
        return "few clusters, so this may be chance"
    if not difference.value:
        return "it is neither better nor worse"
    if not difference.is_clear:
        return "this may be chance"
    return "it is better" if difference.value > 0 else "it is worse"


def _evidence(difference: Difference, clusters: int) -> str:
    """Return the interval of a difference, positive where the model is better, and what it is from."""
    of = counted(clusters, "test cluster")
    if difference.certainty == "none":
        return f"no interval from {of}"
    reliability = ", unreliable" if difference.certainty == "unreliable" else ""
    return f"95 % interval of its lead {interval(difference.low, difference.high)}, {of}{reliability}"


def warnings_of(result: TrainingResult) -> list[str]:
    """Return what a reader should know before using the model, a sentence or two each."""
    found = (
        _constant,
        _baselines_that_win,
        _dev_far_from_test,
        _hardly_learnt,
        _end,
        _missing_classes,
        _lengths,
        _leaks,
        _certainty,
    )
    return [text for function in found for text in function(result)]


def _constant(result: TrainingResult) -> Iterator[str]:
    """Warn of a model that predicts the same for all rows."""
    predicted = result.compared.predicted
    if len(predicted) < 2:
        return
    if is_regression(result):
        if np.ptp(predicted) <= 1e-6 * max(1.0, float(np.abs(predicted).max())):
            value = number(float(predicted[0]))
            yield f"The model predicts {value} for every test {result.scored.unit}: it has learnt nothing."
    elif (predicted == predicted[0]).all():
        names = [result.classes[each] for each in np.atleast_1d(np.flatnonzero(predicted[0]))]
        what = (", ".join(names) or "no class") if predicted.ndim == 2 else result.classes[int(predicted[0])]
        yield f"The model predicts {what} for every test {result.scored.unit}: it tells no classes apart."


def _baselines_that_win(result: TrainingResult) -> Iterator[str]:
    sign = -1 if is_error(result.metric) else 1
    own = sign * result.test.values[result.model, result.metric]
    for name in models_of(result):
        value = result.test.values[name, result.metric]
        if name == result.model or not sign * value >= own:
            continue
        level = "as good as" if sign * value == own else "better than"
        yield (
            f"A baseline wins: {BASELINES[name]} ({result.metric} {number(value)}) is {level} the model on the "
            f"{tested(result)}."
        )


def _dev_far_from_test(result: TrainingResult) -> Iterator[str]:
    """Warn if the scores of dev and test differ by more than their intervals let expect."""
    key = result.model, result.metric
    values, widths = [], []
    for scores in (result.dev, result.test):
        low, high = scores.interval(*key)
        values.append(scores.values[key])
        widths.append((high - low) / 2)
    if abs(values[0] - values[1]) > math.hypot(*widths):
        yield (
            f"Dev is far from test: the {result.metric} is {number(values[0])} on dev and {number(values[1])} on test, "
            "more apart than chance explains. The parts differ in kind, or the epoch was fitted to dev."
        )


def _hardly_learnt(result: TrainingResult) -> Iterator[str]:
    """Warn if the loss of train stays where it was."""
    first, *others = (record.train_loss for record in result.records)
    lowest = min(others, default=-math.inf)
    if first > 0 and lowest > _LEAST_FALL * first:
        yield (
            f"The loss of train fell from {number(first)} to {number(lowest)} only: the model has hardly learnt. Raise "
            "learning_rate or num_train_epochs."
        )


def _end(result: TrainingResult) -> Iterator[str]:
    """Warn of a kept epoch at the beginning or the end."""
    most = result.options.num_train_epochs
    if result.kept == 1 and most > 1:
        yield (
            "The first epoch was the best one: later ones fitted train alone. Lower learning_rate, or train a smaller "
            "network."
        )
    elif result.kept == len(result.records) == most and most > 1:
        yield f"The last of {most} epochs was the best one: more may be better. Raise num_train_epochs."


def _missing_classes(result: TrainingResult) -> Iterator[str]:
    truth = result.compared.truth
    if is_regression(result):
        return
    counts = truth.sum(axis=0) if truth.ndim == 2 else np.bincount(truth, minlength=len(result.classes))
    missing = [name for name, count in zip(result.classes, counts, strict=True) if not count]
    if missing:
        unit = result.scored.unit
        yield f"Test has no {unit}s of {_listed(missing)}: nothing is known of how well they are predicted."


def _lengths(result: TrainingResult) -> Iterator[str]:
    """Warn of sequences that are longer than any that was trained on, or that are cut."""
    evaluated, trained = lengths_of(result, "dev", "test"), lengths_of(result, "train")
    longest, limit = int(trained.max(initial=0)), result.options.longest
    if (longer := int((evaluated > longest).sum())) and longest:
        yield (
            f"{counted(longer, 'sequence')} of dev and test {'is' if longer == 1 else 'are'} longer than any of train "
            f"({longest:,} residues): predictions of such lengths are less certain."
        )
    cut = int((lengths_of(result, "train", "dev", "test") > limit).sum())
    if cut and result.options.input_type == "matrix":
        yield (
            f"Of {counted(cut, 'sequence')} the network reads the first {limit:,} residues alone. Raise "
            "matrix_max_length."
        )


def _leaks(result: TrainingResult) -> Iterator[str]:
    """Warn if many test rows resemble train over most of their length, at the lowest identity that is reported."""
    table = result.leakage[(result.leakage["split"] == "test") & (result.leakage["identity"] != "any part")]
    if not len(table):
        return
    shares = table["share"].astype(float).fillna(0).to_numpy()
    share, identity = float(shares.max()), float(table["identity"].iloc[int(shares.argmax())])
    if share > _MUCH_LEAKAGE:
        yield (
            f"{share:.0%} of the test rows resemble a sequence of train at {identity:.0%} identity or more. The score "
            "says how well the model does on relatives of train, not on new families: for those, use split.method "
            "cluster."
        )


def _certainty(result: TrainingResult) -> Iterator[str]:
    clusters = counted(result.test.clusters, "cluster")
    if result.test.certainty == "none":
        yield f"Test has {clusters}: fewer than {FEWEST_FOR_INTERVALS}, so there are no intervals."
    elif result.test.certainty == "unreliable":
        yield f"Test has {clusters}: fewer than {FEWEST_FOR_CERTAINTY}, so the intervals are unreliable."


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more classes" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more
