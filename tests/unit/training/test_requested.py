"""Which trainings the configuration asks for, and what is refused before anything runs."""

from dataclasses import replace
from pathlib import Path

import pytest

from lucaflow.checkpoints.model import Model
from lucaflow.config.datasets import Dataset
from lucaflow.errors import ConfigError
from lucaflow.records.readers import Columns
from lucaflow.training.options import TrainingOptions
from lucaflow.training.requested import asked_for, best_of, chosen_by, requested_trainings

MINI, ESM = Model("mini", 1), Model("esm2_t6_8M_UR50D", None)
LABELLED = Dataset("p", Path("p.csv"), "prot", Columns(label="where"), MINI)
DATASETS = {
    "p": LABELLED,
    "parts": replace(LABELLED, name="parts", split_column="part"),
    "both": replace(LABELLED, name="both", split_column="part", group_column="family"),
    "plain": Dataset("plain", Path("q.fasta"), "prot", Columns(), MINI),
    "pairs": Dataset("pairs", Path("r.csv"), "", Columns(label="label", pairs=True), MINI),
    "pairs_of_letters": replace(LABELLED, name="pairs_of_letters", seq_type="gene", model=Model("dnabert2", None)),
    "elsewhere": replace(LABELLED, name="elsewhere", made_elsewhere=Path("matrices")),
}
PUBLISHED = ("ProtLoc", "MiniProtLoc")


def requested(task="MyTask", **keys):
    stated = {"dataset": "p", "task_type": "multi_class", **keys}
    return requested_trainings({task: stated}, DATASETS, PUBLISHED)


def refusal(task="MyTask", **keys):
    with pytest.raises(ConfigError) as error:
        requested(task, **keys)
    return str(error.value)


def test_two_keys_are_enough():
    found = requested()["MyTask"]
    assert (found.dataset, found.seq_type, found.models) == ("p", "prot", (MINI,))
    assert found.options == TrainingOptions("multi_class")
    assert (found.split.method, found.given_column, found.primary) == ("cluster", None, "macro F1")
    assert found.as_task(("prot",), "1", "2").seq_types == ("prot",)


def test_pairs_have_a_tower_for_each_side_unless_something_else_is_stated():
    found = requested(dataset="pairs", task_type="binary_class")["MyTask"]
    assert (found.options.model_type, found.is_pairs) == ("lucappi2", True)
    assert found.as_task(("gene", "prot"), "1", "2").seq_types == ("gene", "prot")
    assert found.as_task(("prot", "prot"), "1", "2").seq_types == ("prot", "prot")
    recipe = requested_trainings({"T": {"dataset": "pairs", "recipe": "PPI"}}, DATASETS, PUBLISHED)["T"]
    assert recipe.options.model_type == "lucappi"
    assert "reads pair records, not single ones" in found.unfit(LABELLED)


def test_a_recipe_fills_in_a_published_tasks_values_which_may_be_replaced():
    found = requested_trainings(
        {"T": {"dataset": "p", "recipe": "ProtStab", "num_hidden_layers": 1}}, DATASETS, PUBLISHED
    )["T"].options
    assert (found.task_type, found.best_metric, found.matrix_encoder) == ("regression", "sp_statistic", True)
    assert (found.num_hidden_layers, found.warmup_steps, found.matrix_pooling_type) == (1, 1000, "value_attention")


def test_a_column_that_is_named_says_how_to_divide():
    of_table = requested(dataset="parts")["MyTask"]
    assert (of_table.split.method, of_table.given_column) == ("column", "part")
    of_training = requested(group_column="family")["MyTask"]
    assert (of_training.split.method, of_training.given_column) == ("group", "family")
    stated = requested(dataset="both", split={"method": "random", "fractions": [0.5, 0.25, 0.25]})["MyTask"]
    assert (stated.split.method, stated.split.fractions, stated.given_column) == ("random", (0.5, 0.25, 0.25), None)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"dataset": "part"}, "there is no dataset 'part'; did you mean parts?"),
        ({"dataset": "plain"}, "plain has no labels; name their column as `label_column`"),
        (
            {"dataset": "pairs", "model_type": "luca_base"},
            "luca_base reads single sequences; expected lucappi or lucappi2",
        ),
        ({"dataset": "pairs", "split_column": "part"}, "files of pairs have no column of parts or groups"),
        ({"dataset": "elsewhere"}, "leave it out of heads.embeddings"),
        ({"dataset": "both"}, "split_column and group_column are both named"),
        ({"task": "protloc"}, "a published task has this name"),
        ({"task": "My Task"}, "the name of a task has letters, digits"),
        ({"learning_rates": 1}, "learning_rates: there is no such option; did you mean learning_rate?"),
        ({"best_metric_type": "top5_acc"}, "the report of a multi_class task has no metric"),
        (
            {"dataset": "pairs_of_letters", "task_level_type": "token_level"},
            "dnabert2 has no row for each residue, which token_level needs",
        ),
        (
            {"dataset": "pairs", "task_level_type": "token_level"},
            "expected luca_base for token_level: a pair has no labels of residues",
        ),
        ({"precision": "bfloat16"}, "precision: trainings compute in float32 alone"),
        ({"input_type": "vector", "vector": "sum"}, "vector is 'sum', expected one of mean, max, cls"),
        ({"input_type": "vector", "matrix_pooling_type": "max"}, "expected none for input_type vector"),
        ({"model_type": "lucappi"}, "lucappi reads pairs"),
        ({"recipe": "ProtLocs"}, "there is no recipe 'ProtLocs'; did you mean ProtLoc?"),
        ({"split": "random"}, "split is 'random', expected keys such as"),
        ({"split": {"methods": "random"}}, "split.methods: there is no such key; did you mean method?"),
        ({"split": {"method": "stratified"}}, "split.method is 'stratified', expected one of cluster, random"),
        ({"split": {"method": "column"}}, "but split_column names no column"),
        ({"split": {"fractions": [0.8, 0.2]}}, "expected three numbers above 0 that add up to 1"),
        ({"split": {"min_seq_id": 30}}, "split.min_seq_id is 30, expected a number above 0 and at most 1"),
    ],
)
def test_what_cannot_be_trained_is_refused(keys, message):
    assert message in refusal(**keys)


def test_all_problems_are_said_at_once():
    text = refusal("ProtLoc", dataset="x", seed=-1, split={"seed": 1.5})
    for words in ("a published task", "no dataset 'x'", "seed is -1, expected 0 or more", "split.seed is 1.5"):
        assert words in text


def test_names_differ_in_more_than_case():
    stated = {"dataset": "p", "task_type": "multi_class"}
    with pytest.raises(ConfigError, match="differs from 'a' in case only"):
        requested_trainings({"a": stated, "A": stated}, DATASETS, PUBLISHED)


def test_a_task_means_a_training_and_perhaps_one_of_its_models():
    found = requested()
    assert asked_for("ProtLoc", found) is None
    assert asked_for("MyTask", found) == (found["MyTask"], "mini-1")
    several = {"MyTask": replace(found["MyTask"], models=(MINI, ESM))}
    assert asked_for("MyTask", several)[1] is None
    assert asked_for("MyTask@esm2_t6_8M_UR50D", several)[1] == "esm2_t6_8M_UR50D"
    with pytest.raises(ConfigError, match="is trained with mini-1, esm2_t6_8M_UR50D; name one of these"):
        asked_for("MyTask@mini", several)
    with pytest.raises(ConfigError, match="names a model of a task under `training`; those are MyTask"):
        asked_for("Other@mini-1", several)


def test_the_best_model_is_that_with_the_best_value_on_dev():
    better = {"a": {"dev": 0.4, "metric": "accuracy"}, "b": {"dev": 0.6, "metric": "accuracy"}}
    assert best_of(better) == "b"
    # Where the primary metric is undefined on a small dev, the metric of the epochs decides.
    of_epochs = {"metric": "macro F1", "epoch_metric": "f1"}
    small = {"a": {"dev": None, "epoch_value": 0.7, **of_epochs}, "b": {"dev": 0.9, "epoch_value": 0.6, **of_epochs}}
    assert (best_of(small), chosen_by(small)) == ("a", "f1")
    errors = {name: {**record, "metric": "mean absolute error"} for name, record in better.items()}
    assert best_of(errors) == "a"


def test_a_sequence_is_read_as_in_training_whatever_the_length_of_predictions():
    found = requested(matrix_max_length=100)["MyTask"]
    reading = found.reading("mini-1")
    assert reading.rows_read(4096) == found.options.longest == 98
    assert reading.residues_embedded(4096) == reading.residues_embedded(50) == found.request("mini-1").limit
