"""LucaOne's layouts and Hugging Face's give the same converted checkpoint."""

import json
import shutil

import pytest
import torch
from golden_cases import PACKAGED
from safetensors.torch import load_file, save_file

from lucaflow.checkpoints.conversion import convert
from lucaflow.checkpoints.converted_checkpoint import MODEL_NAME, read_record
from lucaflow.checkpoints.layouts import is_huggingface, locate
from lucaflow.checkpoints.loading import load_encoder
from lucaflow.checkpoints.model import Model
from lucaflow.errors import CheckpointError, SpaceError

T1 = PACKAGED / "embedding/checkpoints/T1"
MODEL = Model("lucaone", 36000000)
FOLDER = "llm/models/lucaone/lucaone/checkpoint-step36000000"


@pytest.fixture(scope="module")
def published():
    config = json.loads((T1 / FOLDER / "config.json").read_text())
    # What Hugging Face directories say of it has no effect.
    config["token_dropout"] = False
    return config, torch.load(T1 / FOLDER / "pytorch.pth", weights_only=True)


@pytest.fixture(scope="module")
def root(tmp_path_factory, published):
    """LucaOne's layout of the same network."""
    copy = shutil.copytree(T1, tmp_path_factory.mktemp("published") / "copy")
    (copy / FOLDER / "config.json").write_text(json.dumps(published[0]))
    return copy


@pytest.fixture(scope="module")
def reference(tmp_path_factory, root):
    return convert(locate(root, MODEL), tmp_path_factory.mktemp("reference"))["model"]["sha256"]


def hub_name(key, prefix):
    part = "embeddings" if key.startswith("embed_") else "encoder"
    return key if key.startswith(("lm_head", "contact_head", "hidden", "classifier")) else f"{prefix}{part}.{key}"


def write_hub(folder, published, prefix="lucaone.", form="safetensors", parts=1):
    config, state = published
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    tensors = {hub_name(key, prefix): value.clone() for key, value in state.items()}
    names = list(tensors)
    index = {}
    for part in range(parts):
        chosen = {name: tensors[name] for name in names[part::parts]}
        stem = "model" if form == "safetensors" else "pytorch_model"
        number = f"-{part + 1:05}-of-{parts:05}" if parts > 1 else ""
        path = folder / f"{stem}{number}.{form}"
        save_file(chosen, path) if form == "safetensors" else torch.save(chosen, path)
        index |= dict.fromkeys(chosen, path.name)
    if parts > 1:
        (folder / f"{stem}.{form}.index.json").write_text(json.dumps({"weight_map": index}))
    return folder


@pytest.mark.parametrize("prefix", ["lucaone.", ""])
@pytest.mark.parametrize("form", ["safetensors", "bin"])
@pytest.mark.parametrize("parts", [1, 3])
def test_hugging_face_directories(tmp_path, published, reference, prefix, form, parts):
    hub = write_hub(tmp_path / "hub", published, prefix, form, parts)
    assert is_huggingface(hub)
    assert convert(locate(hub, MODEL), tmp_path / "out")["model"]["sha256"] == reference


def test_the_old_layout_and_a_prefix(tmp_path, published, reference):
    old = "token_level,span_level,seq_level,structure_level/lucaone_gplm/20231125113045/checkpoint-step36000000"
    folder = tmp_path / "llm/models/lucagplm/v2.0" / old
    folder.mkdir(parents=True)
    config, state = published
    (folder / "config.json").write_text(json.dumps(config))
    torch.save({f"module.{key}": value.double() for key, value in state.items()}, folder / "pytorch.pth")
    assert convert(locate(tmp_path, MODEL), tmp_path / "out")["model"]["sha256"] == reference


def test_the_size_of_a_conversion_is_known_before_it(tmp_path, published, monkeypatch):
    """Whatever the precision of what is converted: the result is float32. It may be larger than what the disk holds."""
    config, state = published
    hub = write_hub(tmp_path / "hub", (config, {key: value.half() for key, value in state.items()}))
    written = convert(locate(hub, MODEL), tmp_path / "out")["model"]["bytes"]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": written - 20_000}))
    with pytest.raises(SpaceError, match=r"converting lucaone-36000000 needs .* kB, but the disk of"):
        convert(locate(hub, MODEL), tmp_path / "again")
    assert not list((tmp_path / "again").iterdir())
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": written}))
    convert(locate(hub, MODEL), tmp_path / "again")


def test_a_state_dict_in_torchs_older_format(tmp_path, root, published, reference):
    copy = shutil.copytree(root, tmp_path / "copy")
    torch.save(published[1], copy / FOLDER / "pytorch.pth", _use_new_zipfile_serialization=False)
    assert convert(locate(copy, MODEL), tmp_path / "out")["model"]["sha256"] == reference


def test_what_config_json_leaves_out_means_what_each_layout_means(tmp_path, published):
    config, state = published
    silent = {key: config[key] for key in ("hidden_size", "num_hidden_layers", "num_attention_heads")}
    hub = write_hub(tmp_path / "hub", (silent, state))
    assert convert(locate(hub, MODEL), tmp_path / "out")["encoder"]["token_dropout"] is False
    copy = shutil.copytree(T1, tmp_path / "copy")
    (copy / FOLDER / "config.json").write_text(json.dumps({**silent, "no_position_embeddings": True}))
    with pytest.raises(CheckpointError, match=r"embed_layer_norm\.weight is missing"):
        convert(locate(copy, MODEL), tmp_path / "other")


def test_the_record_and_the_mapped_file(tmp_path, root, reference):
    convert(locate(root, MODEL), tmp_path)
    record = read_record(tmp_path)
    assert record["model"]["sha256"] == reference
    assert {path.rsplit("/", 1)[1] for path in record["origin"]} == {"config.json", "pytorch.pth"}
    assert "layers.0.self_attn.qkv_proj.weight" in load_file(tmp_path / MODEL_NAME)
    encoder = load_encoder(tmp_path, arithmetic=torch.bfloat16)
    assert encoder.layers[0].fc1(torch.ones(1, encoder.config.hidden_size)).dtype == torch.bfloat16
    assert encoder.last_layer_norm.weight.dtype == torch.float32
    (tmp_path / MODEL_NAME).write_bytes(b"short")
    with pytest.raises(CheckpointError, match="has 5 bytes, expected"):
        load_encoder(tmp_path)


def test_a_tensor_that_is_unknown(tmp_path, published):
    config, state = published
    hub = write_hub(tmp_path / "hub", (config, {**state, "layers.0.extra.weight": torch.zeros(2)}))
    with pytest.raises(CheckpointError, match=r"layers.0.extra.weight is not part of the network"):
        convert(locate(hub, MODEL), tmp_path / "out")


def break_shape(folder):
    state = torch.load(folder / "pytorch.pth", weights_only=True)
    state["layers.1.fc1.weight"] = state["layers.1.fc1.weight"][:5]
    del state["layers.0.fc2.bias"]
    torch.save(state, folder / "pytorch.pth")


def break_number(folder):
    state = torch.load(folder / "pytorch.pth", weights_only=True)
    state["embed_tokens.weight"][3, 3] = float("nan")
    torch.save(state, folder / "pytorch.pth")


def cut_short(folder):
    content = (folder / "pytorch.pth").read_bytes()
    (folder / "pytorch.pth").write_bytes(content[: len(content) // 3])


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / "pytorch.pth").unlink(), ["no pytorch.pth in", "It holds: config.json"]),
        (shutil.rmtree, ["no folder", "checkpoint-step36000000"]),
        (break_shape, ["layers.1.fc1.weight has shape (5, 32), expected (128, 32)", "layers.0.fc2.bias is missing"]),
        (break_number, ["not finite: embed_tokens.weight"]),
        (cut_short, ["pytorch.pth is damaged"]),
        (lambda folder: (folder / "config.json").write_text("{"), ["config.json does not describe a LucaOne model"]),
    ],
    ids=["no weights", "no folder", "wrong shapes", "not finite", "cut short", "broken config"],
)
def test_a_broken_checkpoint(tmp_path, damage, words):
    copy = shutil.copytree(T1, tmp_path / "copy")
    damage(copy / FOLDER)
    with pytest.raises(CheckpointError) as refused:
        convert(locate(copy, MODEL), tmp_path / "out")
    assert [word for word in words if word not in str(refused.value)] == []
    assert not list((tmp_path / "out").glob("*"))


class Hostile:
    def __reduce__(self):
        return (open, ("executed", "w"))


def test_a_hostile_pickle_is_refused_and_does_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    copy = shutil.copytree(T1, tmp_path / "copy")
    torch.save({"embed_tokens.weight": Hostile()}, copy / FOLDER / "pytorch.pth")
    with pytest.raises(CheckpointError, match="holds more than plain tensors; no code in it was run"):
        convert(locate(copy, MODEL), tmp_path / "out")
    assert not (tmp_path / "executed").exists()
