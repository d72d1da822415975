"""The configurations and tables of datasets that pages show can be used as they are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from workflow_runs import ROOT

from lucaflow.config.datasets import read_datasets
from lucaflow.config.resolve import resolve
from lucaflow.schemas import read_yaml

SCHEMA = read_yaml(ROOT / "config/schemas/config.schema.yaml")
ROWS = read_yaml(ROOT / "config/schemas/datasets.schema.yaml")
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]


def snippets(page: Path, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def of(kind: str) -> list[object]:
    return [
        pytest.param(text, id=f"{page.stem}-{number}")
        for page in PAGES
        for number, text in enumerate(snippets(page, kind))
    ]


@pytest.mark.parametrize("text", of("yaml"))
def test_the_options_of_a_page_are_known(text):
    stated = yaml.safe_load(text)
    if "cores" in stated:
        assert stated == {"cores": 4, "resources": {"gpu": 4}}, "a profile, which Snakemake reads"
    else:
        resolved = resolve(stated, SCHEMA)
        assert all(key in resolved for key in stated)


@pytest.mark.parametrize("text", of("tsv"))
def test_the_datasets_of_a_page_can_be_read(text, tmp_path):
    table = tmp_path / "datasets.tsv"
    table.write_text(text, encoding="utf-8")
    datasets = read_datasets(table, ROWS, resolve({}, SCHEMA))
    assert len(datasets) == len(text.splitlines()) - 1
