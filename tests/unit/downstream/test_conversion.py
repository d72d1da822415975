"""Files of a downstream model, as its conversion reads them."""

import json
import math
import shutil

import pytest
from golden_cases import PACKAGED

from lucaflow.downstream.conversion import convert, read_arguments
from lucaflow.downstream.models import choose_task, locate_head
from lucaflow.errors import CheckpointError


@pytest.mark.parametrize("indent", [None, 2], ids=["one line", "many lines"])
def test_arguments_stand_at_the_beginning_of_the_log(tmp_path, indent):
    log = tmp_path / "logs.txt"
    log.write_text(json.dumps({"llm_step": "5600000", "x": [1]}, indent=indent) + "\n####\nn_gpu: 0\n{not json}\n")
    assert read_arguments(log) == {"llm_step": "5600000", "x": [1]}
    log.write_text("n_gpu: 0\n")
    with pytest.raises(CheckpointError, match=r"logs\.txt does not begin with the training arguments as JSON"):
        read_arguments(log)


# The first has an encoder with rotary positions, the second one without, the third has neither encoder nor pooler.
ROTARY, BERT, PLAIN = "ProtStab", "X_PPIEncoder", "X_BaseMeanPool"


@pytest.mark.parametrize(
    ("name", "file", "changed", "words"),
    [
        (BERT, "config.json", {"num_attention_heads": 10**9}, "is 1000000000, which does not divide the enc"),
        (BERT, "config.json", {"num_attention_heads": 0}, "is 0, expected a positive whole number"),
        (BERT, "config.json", {"num_attention_heads": math.inf}, "is inf, expected a positive whole number"),
        (BERT, "config.json", {"layer_norm_eps": math.nan}, "is nan, expected a positive number that float32 holds"),
        (BERT, "config.json", {"layer_norm_eps": -1}, "is -1, expected a positive number"),
        (BERT, "config.json", {"num_hidden_layers": 10**9}, "is 1000000000, but by the shapes of its weights it is 2"),
        (BERT, "config.json", {"intermediate_size": 7}, "is 7, but by the shapes of its weights it is 40"),
        (ROTARY, "config.json", {"hidden_size": 10**9}, "is 1000000000, but by the shapes of its weights it is 24"),
        (ROTARY, "config.json", {"num_attention_heads": -4}, "is -4, expected a positive whole number"),
        (ROTARY, "config.json", {"num_attention_heads": 8}, "is 8, but by the shapes of its weights it is 4"),
        (PLAIN, "config.json", {"embedding_input_size": 10**30}, "is 10{30}, but by the shapes of its weights it"),
        (PLAIN, "config.json", {"classifier_size": "x"}, "is 'x', expected a positive whole number"),
        (PLAIN, "logs.txt", {"matrix_max_length": -5}, "is -5, expected a positive whole number"),
        (PLAIN, "logs.txt", {"seq_max_length": math.inf}, "is inf, expected a positive whole number"),
    ],
)  # fmt: skip
def test_a_number_that_the_weights_do_not_confirm(tmp_path, name, file, changed, words):
    for part in ("models", "logs"):
        shutil.copytree(PACKAGED / "downstream" / part / name, tmp_path / part / name)
    files = locate_head(tmp_path, choose_task(tmp_path, name, None)[0])
    path = files.config if file == "config.json" else files.log
    stated, _ = json.JSONDecoder().raw_decode(path.read_text().lstrip())
    path.write_text(json.dumps({**stated, **changed}))
    (key,) = changed
    with pytest.raises(CheckpointError, match=rf"task {name}: the model in .* cannot be used: {file}: {key} {words}"):
        convert(files, tmp_path / "out")
    assert not (tmp_path / "out").exists()
