"""The recorded trainings of LucaOneTasks, replayed."""

import math

import numpy as np
import pytest
from golden_cases import golden_folder
from recorded_trainings import names_in, read_training

pytestmark = pytest.mark.xdist_group("trainings")

GOLDEN = golden_folder("training")
TOLERANCE = {"atol": 1e-5, "rtol": 1e-5}
WEIGHTS = {"atol": 1e-4, "rtol": 1e-4}
# Attention without positions does not see the biases of keys: their gradients are rounding errors, which Adam turns
# into full steps. So those of BERT's encoder are not compared, and others less strictly.
KEY_BIASES = {"atol": 1e-3, "rtol": 1e-3}


def same_metrics(found, recorded):
    """Compare metrics, of which NaN is recorded as null."""
    assert set(found) == set(recorded)
    for name, value in recorded.items():
        if isinstance(value, list | dict):
            assert found[name] == value, name
        else:
            expected = math.nan if value is None else value
            assert found[name] == pytest.approx(expected, abs=1e-5, rel=1e-5, nan_ok=True), name


def same_weights(found, recorded, is_bert):
    assert set(found) == set(recorded)
    for name, values in found.items():
        expected = recorded[name].numpy()
        if name.endswith("qkv_proj.bias"):
            query, key, value = np.split(values.numpy(), 3)
            others = np.split(expected, 3)
            if not is_bert:
                np.testing.assert_allclose(key, others[1], **KEY_BIASES, err_msg=name)
            np.testing.assert_allclose([query, value], [others[0], others[2]], **WEIGHTS, err_msg=name)
        else:
            np.testing.assert_allclose(values.numpy(), expected, **WEIGHTS, err_msg=name)


@pytest.mark.parametrize("name", names_in(GOLDEN))
def test_recorded_training(name):
    recorded = read_training(GOLDEN, name)
    trained, seen = recorded.train()
    record, options = recorded.record, recorded.options
    assert seen.order == record["train_order"]
    np.testing.assert_allclose(seen.losses, record["micro_losses"], **TOLERANCE)
    np.testing.assert_allclose(seen.rates, record["update_lrs"], rtol=1e-9)
    np.testing.assert_allclose(seen.norms, record["clip_norms"], **TOLERANCE)
    for found, expected in zip(trained.records, record["epochs"], strict=True):
        same_metrics(found.dev, expected["dev"])
        same_metrics(found.test, expected["test"])
        logged = expected["logged"]
        assert (found.improved, found.epoch, found.step) == tuple(
            logged[key] for key in ("update_flag", "epoch", "step")
        )
        assert found.rate == pytest.approx(logged["lr"])
        assert found.train_loss / options.gradient_accumulation_steps == pytest.approx(
            logged["train_cur_epoch_avg_loss"], abs=1e-5, rel=1e-5
        )
    for key, logits in seen.logits.items():
        expected = recorded.arrays[key]
        np.testing.assert_allclose(logits.reshape(expected.shape), expected, **TOLERANCE, err_msg=key)
    assert {"epoch": trained.best.epoch, "global_step": trained.best.step} == record["best"]
    same_metrics(trained.dev.metrics, record["after_training"]["final_dev"])
    same_metrics(trained.test.metrics, record["after_training"]["final_test"])
    is_bert = options.model_type != "luca_base"
    same_weights(trained.head.state_dict(), recorded.weights("best"), is_bert)
    same_weights(trained.final, recorded.weights("final"), is_bert)
