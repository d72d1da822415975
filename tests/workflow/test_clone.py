"""A newcomer's way: a fresh clone at a path with blanks, and every command and snippet of the README."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from workflow_runs import ROOT, copy_clone

from lucaflow.config.datasets import read_datasets
from lucaflow.config.resolve import resolve
from lucaflow.downstream.models import refuse_unfit, resolve_heads
from lucaflow.downstream.registry import read_tasks
from lucaflow.schemas import read_yaml


def snippets_of(page: Path) -> list[tuple[str, str]]:
    return re.findall(r"^```(\w+)\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def commands_of(page: Path) -> list[str]:
    return [line for kind, text in snippets_of(page) if kind == "console" for line in text.splitlines()]


def commands_in_comments(settings: Path) -> list[str]:
    """Return the commands that comments of a profile or a configuration name."""
    return re.findall(r"^ *#.*?((?:[^\s`]*snakemake|make) [^`\n]+)", settings.read_text(encoding="utf-8"), re.MULTILINE)


SNIPPETS = snippets_of(ROOT / "README.md")
COMMANDS = commands_of(ROOT / "README.md")
PAGES = sorted(ROOT.glob("docs/*.md"))
SETTINGS = sorted([*ROOT.glob("profiles/**/*.yaml"), *ROOT.glob("config/**/*.yaml")])
COMMENTED = [command for path in SETTINGS for command in commands_in_comments(path)]
# What the pages say and is run by another test, or by what runs all tests.
ELSEWHERE = {
    "make test": "test_clone.py",
    "make mini": "test_mini_recipe.py",
    "python3 -m pip install /path/to/LucaFlow": "test_reading.py",
    ".venv/bin/snakemake --profile profiles/slurm --configfile my.yaml": "test_slurm.py",
    "docs/workflows.md": "test_module.py",
    "docs/training.md": "test_training_page.py",
    "docs/scores.md": "test_scores_page.py",
}


def at_site(command: str, clone: Path, work: Path) -> str:
    """Return a command of the README with the places it names as they are here."""
    for name in (".venv/bin/snakemake", "Snakefile"):
        command = command.replace(f"/path/to/LucaFlow/{name}", shlex.quote(str(clone / name)))
    return command.replace("/path/to/work", shlex.quote(str(work)))


def snippets(kind: str) -> list[str]:
    return [text for found, text in SNIPPETS if found == kind]


def commands_run_here(page: Path) -> list[str]:
    """Return the commands of a page that no other test runs."""
    if f"docs/{page.name}" in ELSEWHERE:
        return []
    return [command for command in commands_of(page) if command not in ELSEWHERE]


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """A clone at a path with blanks."""
    folder = tmp_path_factory.mktemp("a newcomer's") / "Luca Flow"
    copy_clone(folder)
    return folder


def run(command: str | list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command as on a terminal of its own, not as part of the make that runs the tests.

    pip compiles no modules: most of them are never imported.
    """
    return subprocess.run(
        command,
        cwd=folder,
        env={
            **{key: value for key, value in os.environ.items() if not key.startswith("MAKE")},
            "PIP_COMPILE": "0",
        },
        shell=isinstance(command, str),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )


def shell(command: str, folder: Path) -> str:
    done = run(command, folder)
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.long
def test_the_readme_way(clone, tmp_path):
    """Everything the README says, in its order, and then the pages; packages come as on a machine without internet."""
    wheels, offline = (command for command in commands_of(ROOT / "docs/offline.md") if "wheels" in command)
    shell(f"{sys.executable} -m venv apart && {wheels.replace('.venv/', 'apart/')}", clone)
    said = shell(offline, clone)
    assert "for demonstration, not for science" in said
    for dataset, count in (("demo_proteins", 184), ("demo_dna", 60), ("demo_rna", 100)):
        assert re.search(rf"{dataset} +mini-1 +{count} +\d+ +{count} ", said), said
        folder = clone / "results" / dataset / "mini-1"
        page = (folder / "figures/map.html").read_text(encoding="utf-8")
        assert not re.search(r"<(script|link|img)[^>]+https?://", page)
        assert (folder / "figures/map.png").stat().st_size > 20_000
    for dataset, task, count in (("demo_locations", "MiniProtLoc", 120), ("demo_pairs", "MiniCentralDogma", 48)):
        assert f"results/{dataset}/predictions/: {count} of {task} (for demonstration)" in said
        folder = clone / "results" / dataset / "predictions"
        assert len((folder / f"{task}.csv").read_text(encoding="utf-8").splitlines()) == count + 1
        assert (folder / f"{task}.metrics.tsv").is_file()
        assert (folder / f"{task}.png").stat().st_size > 10_000
    assert "Nothing to be done" in shell("make demo", clone)

    (clone / "my_proteins.fasta").write_text(">P12345 a protein\nMKVLAWRRKLAW\n>sp|P2|X\nMWWKKLLA\n")
    (clone / "my_genes.csv").write_text("id,sequence\n001,ACGTACGTACGTACGTAC\nNA,ACGUUUACG\n")
    (clone / "my_datasets.tsv").write_text(snippets("tsv")[0])
    (clone / "my.yaml").write_text(snippets("yaml")[0])
    for name in ("my_proteins.fasta", "my_genes.csv", "my_datasets.tsv"):
        (tmp_path / name).write_bytes((clone / name).read_bytes())
    of_pages = [command for page in PAGES for command in commands_run_here(page) if command not in (wheels, offline)]
    (clone / "my_profile").mkdir()
    (clone / "my_profile/config.yaml").write_text(dict(snippets_of(ROOT / "docs/cluster.md"))["yaml"])
    commented = [command for command in COMMENTED if command not in ELSEWHERE]
    for command in dict.fromkeys(COMMANDS + of_pages + commented):
        if command not in ("make demo", "make test"):
            shell(at_site(command, clone, tmp_path), clone)
    assert (clone / "report.html").stat().st_size > 100_000
    assert (tmp_path / "results/my_genes/mini-1/embeddings.h5").is_file()
    script = snippets("python")[0] + "print(matrix.shape, list(table.index))\n"
    shell(f"PYTHONPATH=scripts .venv/bin/python -c '{script}' > printed", clone)
    assert (clone / "printed").read_text() == "(12, 128) ['P12345', 'sp|P2|X']\n"

    shell("make clean", clone)
    assert not (clone / ".venv").exists()
    assert not (clone / "results/demo_dna").exists()
    assert (clone / "results/my_genes/mini-1/embeddings.h5").is_file()


def test_each_command_of_the_readme_is_one_that_runs():
    assert {"make demo", "make test"} <= set(COMMANDS)
    assert {path.name for path in ROOT.glob("tests/workflow/test_*.py")} >= set(ELSEWHERE.values())
    snakemake = (".venv/bin/snakemake ", "/path/to/LucaFlow/.venv/bin/snakemake ")
    assert all(command.startswith(("make ", *snakemake)) for command in COMMANDS + COMMENTED)
    assert len(COMMENTED) > 1
    assert all(yaml.safe_load(text) for page in PAGES for kind, text in snippets_of(page) if kind == "yaml")


def test_the_tasks_of_a_page_read_the_datasets_beside_them(tmp_path):
    """Their models have to be fetched, so that no test runs them."""
    table = tmp_path / "datasets.tsv"
    table.write_text(dict(snippets_of(ROOT / "docs/predictions.md"))["tsv"])
    config = resolve({}, read_yaml(ROOT / "config/schemas/config.schema.yaml"))
    datasets = read_datasets(table, read_yaml(ROOT / "config/schemas/datasets.schema.yaml"), config)
    tasks = read_tasks(ROOT / "resources/tasks.tsv", read_yaml(ROOT / "config/schemas/tasks.schema.yaml"))
    names = {name: name for dataset in datasets.values() for name in dataset.tasks}
    assert len(names) == 3
    heads = resolve_heads(names, config["heads"], tasks, tmp_path, ROOT)
    refuse_unfit(datasets.values(), {name: head.task for name, head in heads.items()})


def old_python(folder: Path) -> Path:
    path = folder / "python3.10"
    path.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.10.2"\nexit 1\n')
    path.chmod(0o755)
    return path


def without_venv(folder: Path) -> Path:
    path = folder / "python-bare"
    path.write_text(f'#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; esac\nexec "{sys.executable}" "$@"\n')
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("make_python", "words"),
    [
        (lambda folder: folder / "nowhere", "There is no "),
        (old_python, "is Python 3.10.2, which is too old."),
        (without_venv, "lacks venv."),
    ],
)
def test_an_unusable_python_gets_one_sentence(tmp_path, make_python, words):
    folder = tmp_path / "with blank"
    folder.mkdir()
    copy = folder / "Makefile"
    copy.write_bytes((ROOT / "Makefile").read_bytes())
    (folder / "envs").mkdir()
    for name in ("lock.txt", "check_python.sh"):
        (folder / "envs" / name).write_bytes((ROOT / "envs" / name).read_bytes())
    done = run(["make", "demo", f"PYTHON={make_python(folder)}"], folder)
    assert done.returncode != 0
    assert words in done.stdout
    assert "install it (Debian, Ubuntu: apt install python3 python3-venv)" in done.stdout
    assert not (folder / ".venv").exists()
