"""A training that is stopped goes on to the same bits."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_trainings import Seen, small_data, small_options, train_small
from workflow_runs import ROOT

from lucaflow.training.state import Place, read_state, write_state

TRAININGS = {
    "corrected": {"gradient_accumulation_steps": 2, "dropout_prob": 0.2},
    "encoder": {"matrix_encoder": True, "matrix_pooling_type": "value_attention", "dropout_prob": 0.2},
    "lucaonetasks": {"compatibility": "lucaonetasks", "gradient_accumulation_steps": 3, "dropout_prob": 0.2},
}


class Stop(Exception):
    pass


class StoppingAt(Seen):
    """Stops a training after a number of updates."""

    def __init__(self, updates):
        super().__init__()
        self.updates = updates

    def update(self, rate, norm):
        super().update(rate, norm)
        if len(self.rates) == self.updates:
            raise Stop


def equal(first, second):
    assert first.keys() == second.keys()
    return all(torch.equal(values, second[name]) for name, values in first.items())


@pytest.mark.parametrize("interval", [0.0, 300.0], ids=["each update", "each epoch"])
@pytest.mark.parametrize("name", TRAININGS)
def test_a_stopped_training_ends_in_the_same_bits(name, interval, tmp_path):
    options = small_options(**TRAININGS[name])
    observer = Seen()
    whole, expected = train_small(options, observer=observer), None
    all_updates = len(observer.rates)
    for updates in (1, 2, 5):
        state = tmp_path / f"{updates}.safetensors"
        with pytest.raises(Stop):
            train_small(options, state=state, interval=interval, observer=StoppingAt(updates))
        seen = Seen()
        resumed = train_small(options, state=state, interval=interval, observer=seen)
        assert equal(resumed.final, whole.final)
        assert equal(resumed.head.state_dict(), whole.head.state_dict())
        assert resumed.records == whole.records
        expected = expected or state.read_bytes()
        assert state.read_bytes() == expected
        if not interval:
            # An update is written down after it is told.
            assert len(seen.rates) == all_updates - updates + 1


def test_a_finished_training_is_not_trained_again(tmp_path):
    options, seen = small_options(), Seen()
    first = train_small(options, state=tmp_path / "state")
    again = train_small(options, state=tmp_path / "state", observer=seen)
    assert not seen.batches
    assert equal(first.head.state_dict(), again.head.state_dict())
    assert (first.records, first.test.metrics) == (again.records, again.test.metrics)


def test_a_state_of_another_training_is_not_taken_up(tmp_path):
    data = small_data(small_options())
    trainings = [
        ({}, data, ""),
        ({"learning_rate": 0.02}, data, ""),
        ({"seed": 7}, data, ""),
        ({}, small_data(small_options(), train_rows=13), ""),
        ({}, data, "other embeddings"),
    ]
    for stated, rows, digest in trainings:
        seen = Seen()
        train_small(small_options(**stated), rows, state=tmp_path / "state", observer=seen, embedding_digest=digest)
        assert len(seen.batches) == 12


@pytest.mark.parametrize("damage", ["cut", "bit", "header", "empty"])
def test_a_damaged_state_is_not_taken_up(damage, tmp_path, caplog):
    options, path, seen = small_options(), tmp_path / "state", Seen()
    whole = train_small(options, state=path)
    content = bytearray(path.read_bytes())
    if damage == "bit":
        content[-100] ^= 1
    elif damage == "header":
        content = content.replace(b'\\"epoch\\": 3', b'\\"epoch\\": 2', 1)
        assert content != path.read_bytes()
    path.write_bytes(content if damage in ("bit", "header") else content[: len(content) // 2 * (damage == "cut")])
    again = train_small(options, state=path, observer=seen)
    assert len(seen.batches) == 12
    assert f"{path} is damaged" in caplog.text
    assert equal(again.final, whole.final)


def test_a_state_holds_tensors_and_json_alone(tmp_path):
    write_state(tmp_path / "state", "digest", Place(values=(float("nan"), 1.5)), {"weights/a": torch.ones(2)})
    assert load_file(tmp_path / "state").keys() == {"weights/a"}
    place, tensors = read_state(tmp_path / "state", "digest")
    assert str(place) == str(Place(values=(float("nan"), 1.5)))
    assert tensors["weights/a"].tolist() == [1, 1]
    save_file({"weights/a": torch.ones(2)}, tmp_path / "state")
    assert read_state(tmp_path / "state", "digest") is None


KILLED = """
import sys
from pathlib import Path
from small_trainings import small_options, train_small
stated = {"matrix_encoder": True, "matrix_pooling_type": "value_attention", "num_train_epochs": 30}
print("begins", flush=True)
trained = train_small(small_options(**stated), state=Path(sys.argv[1]), interval=0.0)
print("ends", flush=True)
"""


@pytest.mark.long
def test_a_killed_training_ends_in_the_same_bits(tmp_path):
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in ("scripts", "tests/support")),
    }

    def started(path):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(path)], env=environment, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout.readline() == "begins\n"
        return process

    whole, state = started(tmp_path / "whole"), tmp_path / "state"
    begin = time.monotonic()
    assert whole.communicate()[0] == "ends\n"
    seconds, killed = time.monotonic() - begin, 0
    for moment in range(10):
        process = started(state)
        time.sleep(seconds * (moment + 1) / 40)
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
    assert killed >= 5
    assert started(state).communicate()[0] == "ends\n"
    assert state.read_bytes() == (tmp_path / "whole").read_bytes()
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")] == []
