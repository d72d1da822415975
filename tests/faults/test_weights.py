"""A converted checkpoint with a damaged byte anywhere is refused before one of its values can be used."""

import json
import shutil
import struct

import pytest
from golden_cases import PACKAGED
from safetensors import safe_open

from lucaflow.checkpoints.conversion import convert
from lucaflow.checkpoints.converted_checkpoint import CHECKPOINT_RECORD, MODEL_NAME, is_converted, read_record
from lucaflow.checkpoints.layouts import locate
from lucaflow.checkpoints.loading import load_contact_head, load_encoder
from lucaflow.checkpoints.model import Model
from lucaflow.checkpoints.state_dicts import network_sha256
from lucaflow.downstream.conversion import convert as convert_head
from lucaflow.downstream.conversion import load_head
from lucaflow.downstream.models import choose_task, locate_head
from lucaflow.encoders.lucaone import LucaOne
from lucaflow.errors import CheckpointError
from lucaflow.files.sealed import sealed

T1 = PACKAGED / "embedding/checkpoints/T1"
MODEL = Model("lucaone", 36000000)
DAMAGED = r"model.safetensors is damaged: its SHA-256 is [0-9a-f]{64}, expected [0-9a-f]{64}.*`snakemake verify`"


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("converted")
    convert(locate(T1, MODEL), folder)
    return folder


@pytest.fixture
def folder(converted, tmp_path):
    return shutil.copytree(converted, tmp_path / "copy")


@pytest.fixture
def flipped(folder):
    """Return a function that writes the weights with one byte changed."""
    path = folder / MODEL_NAME
    content = path.read_bytes()

    def write(place):
        damaged = bytearray(content)
        damaged[place] ^= 1
        path.write_bytes(damaged)

    return write


def places_of_tensors(folder):
    """Return the first and the last place of each tensor in the file, by name."""
    content = (folder / MODEL_NAME).read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    header.pop("__metadata__")
    start = 8 + length
    places = {name: [start + place for place in entry["data_offsets"]] for name, entry in header.items()}
    return {name: (first, behind - 1) for name, (first, behind) in places.items()}, start


def change_record(folder, change):
    path = folder / CHECKPOINT_RECORD
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(sealed(record)))


def test_a_byte_of_each_tensor(folder, flipped):
    places, _ = places_of_tensors(folder)
    assert len(places) > 20
    for name, (first, last) in places.items():
        for place in (first, last):
            flipped(place)
            with pytest.raises(CheckpointError, match=DAMAGED):
                load_encoder(folder)
            if name.startswith("contact_head."):
                with pytest.raises(CheckpointError, match=DAMAGED):
                    load_contact_head(folder)


def test_a_byte_of_the_header(folder, flipped):
    _, start = places_of_tensors(folder)
    # The first eight bytes are the length of the header.
    for place in (*range(8), *range(8, start, 97), start - 1):
        flipped(place)
        for load in (load_encoder, load_contact_head):
            with pytest.raises(CheckpointError, match=DAMAGED):
                load(folder)


def test_no_value_of_a_damaged_tensor_is_moved_into_a_network(folder, flipped, monkeypatch):
    places, _ = places_of_tensors(folder)
    flipped(places["layers.0.self_attn.qkv_proj.weight"][1])
    networks = []
    initialise = LucaOne.__init__
    monkeypatch.setattr(LucaOne, "__init__", lambda self, config: (initialise(self, config), networks.append(self))[0])
    with pytest.raises(CheckpointError, match=DAMAGED):
        load_encoder(folder)
    (network,) = networks
    assert network.layers[0].self_attn.qkv_proj.weight.is_meta


def test_a_file_that_is_cut_off_or_longer(folder):
    path = folder / MODEL_NAME
    content = path.read_bytes()
    for changed in (content[:-1], content[:100], b"", content + b"\0"):
        path.write_bytes(changed)
        for load in (load_encoder, load_contact_head):
            with pytest.raises(CheckpointError, match=rf"has {len(changed)} bytes, expected {len(content)}"):
                load(folder)


def test_no_file(folder):
    (folder / MODEL_NAME).unlink()
    for load in (load_encoder, load_contact_head):
        with pytest.raises(CheckpointError, match=r"model.safetensors is missing. Run `snakemake fetch`"):
            load(folder)


@pytest.mark.parametrize("damaged", [None, [], "text"])
def test_a_record_without_the_sha256_of_tensors(folder, damaged):
    change_record(folder, lambda record: record.update(sha256_of_parts=damaged))
    for load in (load_encoder, load_contact_head):
        with pytest.raises(
            CheckpointError, match=r"no SHA-256 of each tensor, because another version .*`snakemake fetch`"
        ):
            load(folder)


def test_the_record_of_an_older_version_is_converted_again(folder):
    assert is_converted(locate(T1, MODEL), folder)
    change_record(folder, lambda record: record.pop("sha256_of_parts"))
    change_record(folder, lambda record: record.update(converter_version=1))
    assert not is_converted(locate(T1, MODEL), folder)
    with pytest.raises(CheckpointError, match="no SHA-256 of each tensor"):
        load_encoder(folder)


@pytest.mark.parametrize(
    "part", ["layers.0.fc1.weight", "last_layer_norm.bias", "contact_head.regression.bias", "__metadata__"]
)
@pytest.mark.parametrize("change", ["another", "missing"])
def test_a_damaged_record_is_told_from_damaged_weights(folder, part, change):
    digests = read_record(folder)["sha256_of_parts"]
    change_record(
        folder,
        lambda record: (
            record["sha256_of_parts"].update({part: "0" * 64})
            if change == "another"
            else record["sha256_of_parts"].pop(part)
        ),
    )
    assert part in digests
    with pytest.raises(
        CheckpointError, match=r"checkpoint.json is damaged: its SHA-256 of .* the whole file is as recorded"
    ):
        load_encoder(folder)


def test_a_tensor_that_only_the_record_has(folder):
    change_record(folder, lambda record: record["sha256_of_parts"].update({"layers.9.fc1.weight": "0" * 64}))
    with pytest.raises(CheckpointError, match=r"checkpoint.json is damaged: its SHA-256 of layers.9.fc1.weight"):
        load_encoder(folder)


def test_a_byte_of_a_downstream_model(tmp_path):
    """Of each tensor, of the header, and of the record: what it says of classes and lengths is not in the weights."""
    task, _ = choose_task(PACKAGED / "downstream", "ProtLoc", None)
    convert_head(locate_head(PACKAGED / "downstream", task), tmp_path)
    load_head(tmp_path)
    path = tmp_path / MODEL_NAME
    content = path.read_bytes()
    places, start = places_of_tensors(tmp_path)
    for place in (0, start - 1, *(last for _, last in places.values())):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(CheckpointError, match=DAMAGED):
            load_head(tmp_path)
    path.write_bytes(content)
    record = tmp_path / CHECKPOINT_RECORD
    record.write_text(record.read_text().replace("protloc_c03", "protloc_c04"))
    with pytest.raises(CheckpointError, match="its content does not have the SHA-256 that it holds"):
        load_head(tmp_path)


def test_a_downstream_model_is_no_encoder(tmp_path):
    task, _ = choose_task(PACKAGED / "downstream", "ProtLoc", None)
    convert_head(locate_head(PACKAGED / "downstream", task), tmp_path)
    with pytest.raises(CheckpointError, match="is not that of an encoder: its family is 'lucaonetasks', expected"):
        load_encoder(tmp_path)


def test_a_whole_file_is_loaded(folder):
    assert not load_encoder(folder).last_layer_norm.weight.is_meta
    assert load_contact_head(folder).regression.weight.shape[0] == 1


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"num_hidden_layers": 10**9}, "num_hidden_layers is 1000000000, but the weights hold 2 layers"),
        ({"hidden_size": 10**12}, r"hidden_size is 1000000000000, but embed_tokens.weight has shape \(39, 32\)"),
        ({"num_attention_heads": 2}, r"num_attention_heads is 2, but .*inv_freq has shape \(4,\), as for 4 heads"),
        ({"hidden_size": None}, "hidden_size is None"),
        ({"layers": 2}, "unexpected keyword argument 'layers'"),
    ],
    ids=str,
)
def test_a_record_of_another_network(folder, changed, words):
    change_record(folder, lambda record: record["encoder"].update(changed))
    for load in (load_encoder, load_contact_head):
        with pytest.raises(CheckpointError, match=rf"checkpoint.json .*{words}.*Delete checkpoint.json and run `sna"):
            load(folder)


def test_a_record_of_a_network_with_another_norm(folder):
    change_record(folder, lambda record: record["encoder"].update(use_embed_layer_norm=True))
    with pytest.raises(CheckpointError, match=r"model.safetensors has no embed_layer_norm.*, which the network in ch"):
        load_encoder(folder)


def test_a_digit_of_the_record(folder):
    """Such as that of `embed_scale`, which would change every value under the same fingerprint."""
    path = folder / CHECKPOINT_RECORD
    content = path.read_text()
    digits = [place for place, letter in enumerate(content) if letter in "13579"]
    for place in digits[:: max(1, len(digits) // 40)]:
        path.write_text(content[:place] + "8" + content[place + 1 :])
        # A digit in the name of a key is refused in other words.
        with pytest.raises(CheckpointError, match=r"checkpoint.json is not the record of a converted checkpoint"):
            load_encoder(folder)
    path.write_text(content)
    change_record(folder, lambda record: record["encoder"].update(embed_scale=3.0))
    path.write_text(path.read_text().replace(sealed(json.loads(path.read_text()))["sha256_of_record"], "0" * 64))
    with pytest.raises(CheckpointError, match="does not have the SHA-256"):
        load_encoder(folder)


def test_a_network_has_the_same_sha256_in_another_file(folder):
    """The header of the file, its name and its origin are not the network; a tensor and the structure are."""
    record = read_record(folder)
    digests = record["sha256_of_parts"]
    with safe_open(folder / MODEL_NAME, "pt") as file:
        shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
    same = network_sha256({**digests, "__metadata__": "0" * 64}, shapes, record["encoder"])
    assert same == record["network_sha256"]
    assert network_sha256({**digests, "embed_tokens.weight": "0" * 64}, shapes, record["encoder"]) != same
    assert network_sha256(digests, shapes, {**record["encoder"], "embed_scale": 3.0}) != same
