import dataclasses

import pytest

from lucaflow.downstream import networks, pooling, structure
from lucaflow.errors import ConfigError
from lucaflow.training.options import TrainingOptions, options_of, structure_of


def refusal(**stated):
    with pytest.raises(ConfigError) as error:
        options_of({"task_type": "multi_class", **stated})
    return str(error.value)


def test_what_is_not_stated_has_lucaonetasks_default():
    options = options_of({"task_type": "multi_class"})
    assert options == TrainingOptions("multi_class")
    assert (options.learning_rate, options.beta2, options.num_train_epochs, options.seed) == (1e-4, 0.98, 50, 1221)
    assert (options.compatibility, options.loss, options.best_metric) == ("corrected", "cce", "f1")
    regression = options_of({"task_type": "regression"})
    assert (regression.loss, regression.best_metric) == ("l2", "sp_statistic")


def test_names_of_poolings_and_activations_are_those_that_networks_have():
    assert structure.POOLINGS == pooling.POOLINGS
    assert tuple(networks.ACTIVATIONS) == structure.ACTIVATIONS


def test_options_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        options_of({"task_type": "regression"}).seed = 2


def test_numbers_may_be_lists_or_text():
    options = options_of({"task_type": "multi_class", "weight": "2,5,0.5", "matrix_fc_size": 128})
    assert (options.weight, options.matrix_fc_size) == ((2.0, 5.0, 0.5), (128,))
    assert options_of({"task_type": "multi_class", "matrix_fc_size": "null"}).matrix_fc_size == ()


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({"learning_rate": -1}, "learning_rate is -1, expected a number above 0"),
        ({"learning_rate": "1e-4"}, "learning_rate is '1e-4', expected a number"),
        ({"num_train_epochs": 2.5}, "num_train_epochs is 2.5, expected a whole number"),
        ({"matrix_encoder": 1}, "matrix_encoder is 1, expected true or false"),
        ({"pos_weight": 0}, "pos_weight is 0, expected a number above 0"),
        ({"dropout_prob": 1}, "dropout_prob is 1, expected a number from 0 to below 1"),
        ({"loss_type": "asl"}, "loss_type is 'asl', expected one of cce, focal_loss for multi_class"),
        ({"best_metric_type": "mse"}, "best_metric_type is 'mse', expected one of f1, acc, "),
        ({"matrix_pooling_type": "mean"}, "matrix_pooling_type is 'mean', expected one of none, avg, max, "),
        ({"weight": "2,x"}, "weight is '2,x', expected numbers separated by commas"),
        ({"weight": "2,0"}, "weight is (2.0, 0.0), expected numbers above 0"),
        ({"task_type": "regression", "weight": "2,1"}, "weight is (2.0, 1.0), expected none: only the loss"),
        ({"not_prepend_bos": True}, "not_prepend_bos is True, expected False, the value of not_append_eos"),
        ({"task_level_type": "token_level", "model_type": "lucappi"}, "expected luca_base for token_level"),
        ({"task_level_type": "token_level", "input_type": "vector"}, "input_type is 'vector', expected matrix for"),
        ({"matrix_encoder": True, "hidden_size": 12}, "expected a number that divides hidden_size, 12 of even width"),
        ({"learning_rat": 1}, "learning_rat: there is no such option; did you mean learning_rate?"),
        ({"compatibility": "lucaonetasks", "per_gpu_train_batch_size": 6}, "buffer_size is 4096, expected a multiple"),
        ({"compatibility": "lucaonetasks", "best_metric_type": "loss"}, "LucaOneTasks finds none of this name"),
    ],
)
def test_a_wrong_option_is_named_with_its_value(stated, message):
    assert message in refusal(**stated)


def test_all_wrong_options_are_told_at_once():
    message = refusal(seed=-1, beta1=1.0, max_grad_norm=float("nan"))
    assert all(name in message for name in ("seed is -1", "beta1 is 1.0", "max_grad_norm is nan"))


def test_a_network_must_fit_its_inputs():
    pair = options_of({"task_type": "binary_class", "model_type": "lucappi"})
    with pytest.raises(ConfigError, match="8 and 6 channels"):
        structure_of(pair, (8, 6), 2)
    with pytest.raises(ConfigError, match="reads 2 sequences, not 1"):
        structure_of(pair, (8,), 2)
    weighted = options_of({"task_type": "multi_class", "weight": "2,1"})
    with pytest.raises(ConfigError, match="weight has 2 numbers, expected one for each of the 3 classes"):
        structure_of(weighted, (8,), 3)
