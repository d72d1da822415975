"""On which settings the steps of a training depend."""

from dataclasses import replace

from lucaflow.checkpoints.model import Model
from lucaflow.config.datasets import Dataset
from lucaflow.records.readers import Columns
from lucaflow.training.requested import requested_trainings
from lucaflow.training.step_settings import divide_settings, predict_settings, train_settings

MODEL = Model("mini", 1)


def requested(dataset, **stated):
    keys = {"dataset": dataset.name, "task_type": "multi_class", **stated}
    return requested_trainings({"T": keys}, {dataset.name: dataset}, ())["T"]


def test_a_class_without_a_row_divides_anew(tmp_path):
    """Where LucaOneTasks' computation is asked for, it has an output."""
    for part in ("train", "dev", "test"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "a.csv").write_text("seq_id,seq_type,seq,label\n")
    dataset = Dataset("p", tmp_path, "prot", Columns(label="label"), MODEL, split_column="split")
    training = requested(dataset)
    without = divide_settings(training, dataset)
    found = []
    for names in ("a\nb\n", "a\nb\nc\n"):
        (tmp_path / "label.txt").write_text(f"label\n{names}")
        found.append(divide_settings(training, dataset)["classes"])
    assert found == [["a", "b"], ["a", "b", "c"]]
    assert "classes" not in without
    assert divide_settings(training, replace(dataset, path=tmp_path / "train/a.csv")) == without


def test_only_trainings_on_vectors_depend_on_the_kind_of_vector(tmp_path):
    dataset = Dataset("p", tmp_path / "p.csv", "prot", Columns(label="label"), MODEL)
    config = {"heads": {"topk": 1, "threshold": 0.5}}

    def settings(**stated):
        training = requested(dataset, **stated)
        return train_settings(training, "mini-1", "0" * 64), predict_settings(dataset, training, ["mini-1"], config)

    assert settings() == settings(vector="max")
    of_mean, of_max = (settings(input_type="vector", vector=kind) for kind in ("mean", "max"))
    assert all(first != second for first, second in zip(of_mean, of_max, strict=True))
    assert of_mean[0]["fingerprint"] != of_max[0]["fingerprint"]
