"""What must agree in the repository agrees."""

import ast
import json
import re
import subprocess
import sys
import tomllib

import pandas as pd
import pytest
import yaml
from packaging.requirements import Requirement
from workflow_runs import ROOT

import document_config
from lucaflow import __version__
from lucaflow.checkpoints.model import Model
from lucaflow.checkpoints.registry import read_checkpoints
from lucaflow.downstream.registry import read_tasks
from lucaflow.files.checksums import sha256_of
from lucaflow.schemas import read_yaml
from mini import card

MINI = ROOT / "resources/mini"
REGISTRY = read_checkpoints(
    ROOT / "resources/checkpoints.tsv", read_yaml(ROOT / "config/schemas/checkpoints.schema.yaml")
)


def canonical(name: str) -> str:
    return re.sub(r"[_.-]+", "-", name).lower()


def pins(text: str) -> dict[str, str]:
    found = re.findall(r"^(?:\s*- )?([A-Za-z0-9_.-]+)==(\S+)(?: ;.*)?$", text, re.MULTILINE)
    return {canonical(name): version for name, version in found}


def holds_here(line: str) -> bool:
    """Return whether a line of a lock is a package for this system and this Python."""
    if line.startswith("#"):
        return False
    marker = Requirement(line).marker
    return marker is None or marker.evaluate()


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_conda_environment_has_the_pins_of_the_lock():
    lock, conda = pins(read("envs/lock.txt")), pins(read("envs/lucaflow.yaml"))
    project = tomllib.loads(read("pyproject.toml"))["project"]
    extras = project["optional-dependencies"]
    wanted = {canonical(re.split(r"[><=~[]", name)[0]) for name in project["dependencies"] + extras["embed"]}
    wanted |= {canonical(re.split(r"[><=~[]", name)[0]) for name in extras["workflow"]} - {"lucaflow"}
    assert set(conda) == wanted
    assert conda.items() <= lock.items()
    assert lock.items() <= pins(read("envs/lock-test.txt")).items()


def test_this_runs_with_the_locked_versions():
    installed = subprocess.run([sys.executable, "-m", "pip", "freeze"], check=True, capture_output=True, text=True)
    found = pins(installed.stdout.replace("+cpu", ""))
    lock = pins("\n".join(line for line in read("envs/lock.txt").splitlines() if holds_here(line)))
    assert {name: found.get(name) for name in lock} == lock


def test_versions_agree():
    assert yaml.safe_load(read("CITATION.cff"))["version"] == __version__
    assert f"## {__version__}" in read("CHANGELOG.md")


def test_the_configuration_reference_is_what_the_schemas_say():
    assert read("config/README.md") == document_config.page()


def keys_of(schema, place=""):
    for name, inner in schema["properties"].items():
        yield f"{place}{name}"
        if "properties" in inner:
            yield from keys_of(inner, f"{place}{name}.")


def test_every_option_of_lucaone_has_its_counterpart(manifest):
    options = yaml.safe_load(read("config/schemas/lucaone_options.yaml"))
    there = set(re.findall(r"\w+", " ".join(option["there"] for option in options)))
    also = {"gpu_id", "save_path", "llm_type", "llm_version", "llm_step", "llm_dir", "input_file"}
    assert (set(manifest["option_defaults"]) | also) <= there
    known = set(keys_of(yaml.safe_load(read("config/schemas/config.schema.yaml"))))
    named = set(re.findall(r"\b[a-z]+\.[a-z_]+\b", " ".join(option["here"] for option in options)))
    assert len(named) > 10
    assert named <= known


def test_the_packaged_weights_have_their_digests():
    """`make mini` writes them; these tables say which they are."""
    published = read_tasks(ROOT / "resources/tasks.tsv", read_yaml(ROOT / "config/schemas/tasks.schema.yaml"))
    places = [entry.place for (_, source), entry in published.items() if source == "packaged"]
    for model in (Model("mini", 1), Model("mini-esm2", None)):
        places += REGISTRY.places(model, "packaged")
    assert len(places) == 4
    for place in places:
        for file in place.files:
            packaged = ROOT / place.url / file.name
            assert (file.bytes, file.sha256) == (packaged.stat().st_size, sha256_of(packaged))


def test_the_page_of_the_packaged_checkpoint_is_what_was_measured():
    found = json.loads(read("resources/mini/evidence.json"))
    repeats, later = card.read_repeats(ROOT / "resources"), card.read_later(ROOT / "resources")
    assert len(later) == 1
    assert read("docs/mini.md") == card.filled(read("docs/mini.md"), found, repeats, later)


@pytest.mark.parametrize("table", ["config/datasets.tsv", "config/demo/datasets.tsv"])
def test_packaged_datasets_are_there(table):
    for row in pd.read_csv(ROOT / table, sep="\t", dtype=str).itertuples():
        assert (ROOT / row.path).is_file()
        assert row.path.split("/")[-1] in read("resources/demo/README.md")


def test_files_answer_one_question_each():
    for pattern in ("scripts/**/*.py", "tools/**/*.py", "rules/**/*.smk", "tests/**/*.py"):
        for path in ROOT.glob(pattern):
            assert len(path.read_text().splitlines()) <= 400, path
    assert len(read("Snakefile").splitlines()) < 60


def test_functions_are_short():
    for path in (path for folder in ("scripts", "tools") for path in (ROOT / folder).rglob("*.py")):
        functions = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]
        assert [each.name for each in functions if each.end_lineno - each.lineno >= 50] == [], path


def test_the_torch_that_a_page_installs_is_the_locked_one():
    assert set(re.findall(r"torch==([\d.]+)", read("docs/installation.md"))) == set(
        re.findall(r"^torch==([\d.]+)$", read("envs/lock.txt"), re.MULTILINE)
    )


def test_the_tests_that_pages_name_are_there():
    pages = [ROOT / "README.md", *ROOT.glob("docs/*.md")]
    named = {name for page in pages for name in re.findall(r"\b(test_\w+\.py)", page.read_text(encoding="utf-8"))}
    assert len(named) > 10
    assert named <= {path.name for path in ROOT.glob("tests/**/test_*.py")}


def test_the_messages_that_pages_explain_are_said():
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "scripts").rglob("*.py"))
    said = re.sub(r'"\s*\n\s*f?"', "", sources)
    explained = re.findall(r"^\| `([^`]+)` \|", read("docs/troubleshooting.md"), re.MULTILINE)
    assert len(explained) > 10
    assert [message for message in explained if message not in said] == []
