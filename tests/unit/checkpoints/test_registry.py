"""The tables of what can be fetched."""

import re

import pytest
from workflow_runs import ROOT

from lucaflow.checkpoints.model import Model
from lucaflow.checkpoints.registry import PublishedFile, read_checkpoints
from lucaflow.downstream.registry import read_tasks
from lucaflow.errors import ConfigError
from lucaflow.schemas import read_yaml

CHECKPOINTS = read_yaml(ROOT / "config/schemas/checkpoints.schema.yaml")
TASKS = read_yaml(ROOT / "config/schemas/tasks.schema.yaml")
HEADER = "version\tstep\tsource\turl\tfiles\tbytes\tsha256\tlicence\tnote\n"


@pytest.fixture(scope="module")
def registry():
    return read_checkpoints(ROOT / "resources/checkpoints.tsv", CHECKPOINTS)


@pytest.mark.parametrize(
    ("version", "step", "source"),
    [
        ("mini", 1, "packaged"),
        ("mini-esm2", None, "packaged"),
        *(("lucaone", step, source) for step in (36000000, 17600000, 5600000) for source in ("huggingface", "server")),
        ("lucaone-gene", 36800000, "huggingface"),
        ("lucaone-gene", 36800000, "server"),
        ("lucaone-prot", 38200000, "huggingface"),
        ("lucaone-prot", 30000000, "server"),
        ("esm2_t33_650M_UR50D", None, "huggingface"),
    ],
)
def test_what_can_be_had(registry, version, step, source):
    places = registry.places(Model(version, step), source)
    assert all(place.name == Model(version, step).name for place in places)
    assert len(places) == (2 if source == "server" and step in (17600000, 5600000) else 1)


def test_a_model_without_steps_from_elsewhere(registry):
    said = "there is no esm2_t6_8M_UR50D from `server`, but from `huggingface`. Set checkpoints.source to this"
    with pytest.raises(ConfigError, match=said):
        registry.places(Model("esm2_t6_8M_UR50D", None), "server")


def test_the_addresses_are_those_of_the_specification(registry):
    place = registry.places(Model("lucaone-gene", 36800000), "server")[0]
    assert place.url == (
        "http://47.93.21.181/lucaone/TrainedCheckPoint/latest/models/lucaone/lucaone-gene/checkpoint-step36800000"
    )
    assert [file.name for file in place.files] == ["config.json", "pytorch.pth"]
    assert registry.places(Model("lucaone", 5600000), "huggingface")[0].url == "LucaGroup/LucaOne-default-step5.6M"


def test_the_ten_tasks():
    tasks = read_tasks(ROOT / "resources/tasks.tsv", TASKS)
    names = "CentralDogma SupKTax GenusTax SpeciesTax ProtLoc ProtStab ncRNAFam InfA PPI ncRPI"
    assert [name for name, source in tasks if source == "server"] == names.split()
    for (name, source), published in tasks.items():
        place = published.place
        if source != "server":
            continue
        assert place.url.endswith(f"/{name}")
        assert [file.name.rsplit("/", 1)[1] for file in place.files] == [
            "logs.txt", "label.txt", "config.json", "pytorch_model.bin",
        ]  # fmt: skip
        assert all(re.match(rf"(logs|models)/{name}/", file.name) for file in place.files)


def test_sizes_and_digests_stand_in_the_order_of_the_files(tmp_path):
    table = tmp_path / "t.tsv"
    table.write_text(f"{HEADER}mini\t1\tpackaged\tx\ta,b\t,7\t{'0' * 64},\t\t\n")
    (place,) = read_checkpoints(table, CHECKPOINTS).places(Model("mini", 1), "packaged")
    assert place.files == (PublishedFile("a", None, "0" * 64), PublishedFile("b", 7, None))


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("nini\t1\tpackaged\tx\ta\t\t\t\t", "line 2: version: 'nini' is not one of"),
        ("mini\tone\tpackaged\tx\ta\t\t\t\t", "line 2: step: 'one' does not match"),
        ("mini\t1\tftp\tx\ta\t\t\t\t", "line 2: source: 'ftp' is not one of"),
        ("mini\t1\tpackaged\tx\ta\t\tabc\t\t", "line 2: sha256: 'abc' does not match"),
        ("mini\t1\tpackaged\tx\ta,b\t1,2,3\t\t\t", "line 2: bytes: 3 values for 2 files"),
        ("mini\t1\tpackaged\tx\ta\t\t\t\t\tmore", "line 2: further cells: there is no such key"),
    ],
)
def test_a_wrong_row(tmp_path, row, words):
    table = tmp_path / "t.tsv"
    table.write_text(f"{HEADER}{row}\n")
    with pytest.raises(ConfigError, match=re.escape(words)):
        read_checkpoints(table, CHECKPOINTS)
