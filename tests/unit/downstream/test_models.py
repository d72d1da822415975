"""Tasks that a dataset asks for, and the downstream models that are there for them."""

import re

import pytest
from golden_cases import PACKAGED
from workflow_runs import ROOT

from lucaflow.config.datasets import read_datasets
from lucaflow.config.resolve import resolve
from lucaflow.downstream.models import refuse_unfit, resolve_heads
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
        ("Own", {}, "models/Own holds 0 downstream models, expected one"),
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
        names = [name for dataset in datasets.values() for name in dataset.tasks]
        refuse_unfit(datasets.values(), resolve_heads(names, config["heads"], published, tmp_path, ROOT))
