"""Tasks that a dataset asks for, and the downstream models that are there for them."""

import re

import pytest
from golden_cases import PACKAGED
from workflow_runs import ROOT

from lucaflow.checkpoints.model import Model
from lucaflow.config.datasets import read_datasets
from lucaflow.config.resolve import resolve
from lucaflow.downstream.models import choose_task, is_embedded_for, refuse_other_model, refuse_unfit, resolve_heads
from lucaflow.downstream.registry import read_tasks
from lucaflow.errors import CheckpointError, ConfigError
from lucaflow.schemas import read_yaml

SCHEMAS = {name: read_yaml(ROOT / f"config/schemas/{name}.schema.yaml") for name in ("config", "datasets", "tasks")}


@pytest.mark.parametrize(
    ("tasks", "heads", "words"),
    [
        ("ProtLok", {"source": "server"}, "unknown task 'ProtLok'; did you mean ProtLoc? Known tasks: "),
        ("SupKTax", {"source": "server"}, "p: SupKTax reads gene sequences, not prot"),
        ("PPI", {"source": "server"}, "p: PPI reads pair records (prot and prot), not single ones"),
        ("ProtLoc,ProtLoc", {}, "tasks: ProtLoc is given twice"),
        ("Prot/Loc", {}, "tasks: 'Prot/Loc' does not match"),
        ("Own", {}, "models/Own holds no such downstream model"),
        ("ProtLoc", {"path": None}, "heads.path: expected a LucaOneTasks root"),
    ],
)
def test_a_task_that_cannot_be_had(tmp_path, tasks, heads, words):
    table = tmp_path / "datasets.tsv"
    table.write_text(f"dataset\tpath\tseq_type\ttasks\np\tp.fasta\tprot\t{tasks}\n")
    heads = {"source": "local", "path": str(PACKAGED / "downstream"), **heads}
    with pytest.raises((ConfigError, CheckpointError), match=re.escape(words)):
        config = resolve({"heads": heads}, SCHEMAS["config"])
        datasets = read_datasets(table, SCHEMAS["datasets"], config)
        published = read_tasks(ROOT / "resources/tasks.tsv", SCHEMAS["tasks"])
        names = {name: name for dataset in datasets.values() for name in dataset.tasks}
        found = resolve_heads(names, config["heads"], published, tmp_path, ROOT)
        refuse_unfit(datasets.values(), {name: head.task for name, head in found.items()})


def test_embeddings_made_elsewhere_are_by_the_model_that_the_configuration_names(tmp_path):
    """Nothing in the files says it; LucaOne embeds with another step by default than the published models read."""
    table = tmp_path / "datasets.tsv"
    table.write_text(
        "dataset\tpath\tseq_type\ttasks\tllm_version\np\tx\tprot\tProtLoc\t\nq\tx\tprot\tProtLoc\tlucaone-5600000\n"
    )

    def read(**embeddings):
        config = resolve({"heads": {"embeddings": embeddings}}, SCHEMAS["config"])
        return read_datasets(table, SCHEMAS["datasets"], config).values()

    wanted = Model("lucaone", 5600000)
    refuse_other_model("ProtLoc", wanted, read(q="there"))
    assert is_embedded_for("ProtLoc", read(q="there"))
    with pytest.raises(ConfigError) as error:
        refuse_other_model("ProtLoc", wanted, read(p="here", q="there"))
    assert str(error.value) == (
        "heads.embeddings: here has embeddings by lucaone-36000000 for p, as llm_version and llm_step say, but ProtLoc "
        "reads those by lucaone-5600000. If they are by this model, write `lucaone-5600000` as llm_version, without "
        "llm_step; if not, leave the folder out of heads.embeddings, and the right ones are computed."
    )
    assert not is_embedded_for("ProtLoc", read(p="here", q="there"))


def test_of_several_runs_and_steps_the_newest_is_taken(tmp_path):
    """`best` is a copy of a step of the same run, and no alternative to it."""
    runs = (
        "20250101/checkpoint-900",
        "20260101/checkpoint-99",
        "20260101/checkpoint-1000",
        "20240101/best",
        "20240101/checkpoint-5",
    )
    for run in runs:
        folder = tmp_path / "models/Mine/protein/multi_class/luca_base/matrix" / run
        folder.mkdir(parents=True)
        (folder / "config.json").touch()

    def chosen(stated):
        task, others = choose_task(tmp_path, stated, None)
        return [f"{each.time_str}/{each.checkpoint}" for each in (task, *others)]

    assert chosen("Mine") == [runs[2], runs[3], runs[0], runs[1]]
    assert chosen("Mine:20250101") == [runs[0]]
    assert chosen("Mine:20240101") == [runs[3]]
    assert chosen("Mine:20240101:5") == [runs[4]]
    with pytest.raises(CheckpointError, match=r"Mine:2023: .*Mine holds no such .*`Mine:20240101:best`"):
        choose_task(tmp_path, "Mine:2023", None)
    (tmp_path / "models/Mine").rename(tmp_path / "models/Other")
    with pytest.raises(CheckpointError, match=r"task Mine: .*Tasks in .*: Other\."):
        choose_task(tmp_path, "Mine", None)


def test_a_model_on_vectors_that_cannot_be_used_hides_none(tmp_path):
    """LucaOneTasks' models on vectors do not say which; those that LucaFlow trains do."""

    def saved(input_type, time_str):
        folder = tmp_path / f"models/T/protein/binary_class/luca_base/{input_type}/{time_str}/checkpoint-best"
        folder.mkdir(parents=True)
        (folder / "config.json").touch()

    saved("vector", "20240601000000")
    assert choose_task(tmp_path, "T", None)[0].input_type == "vector"
    saved("matrix", "20240101000000")
    assert choose_task(tmp_path, "T", None)[0].input_type == "matrix"
    saved("vector", "lucaflow-0a1b2c3d4e5f")
    assert choose_task(tmp_path, "T", None)[0].time_str == "lucaflow-0a1b2c3d4e5f"
