"""Files of a downstream model, as its conversion reads them."""

import json

import pytest

from lucaflow.downstream.conversion import read_arguments
from lucaflow.errors import CheckpointError


@pytest.mark.parametrize("indent", [None, 2], ids=["one line", "many lines"])
def test_arguments_stand_at_the_beginning_of_the_log(tmp_path, indent):
    log = tmp_path / "logs.txt"
    log.write_text(json.dumps({"llm_step": "5600000", "x": [1]}, indent=indent) + "\n####\nn_gpu: 0\n{not json}\n")
    assert read_arguments(log) == {"llm_step": "5600000", "x": [1]}
    log.write_text("n_gpu: 0\n")
    with pytest.raises(CheckpointError, match=r"logs\.txt does not begin with the training arguments as JSON"):
        read_arguments(log)
