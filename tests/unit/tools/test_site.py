"""The manual as a site: every page is in its list, and every link leads somewhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def build(pages: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """Build the site as `make site` does."""
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-c", str(ROOT / "tools/site")]
    return subprocess.run([*command, str(pages), str(site)], check=False, capture_output=True, text=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    found = build(ROOT, folder)
    assert found.returncode == 0, found.stderr
    return folder


def test_each_page_is_in_the_list_beside_the_front_page(site):
    front = (site / "README.html").read_text()
    pages = [page.stem for page in ROOT.glob("docs/*.md")]
    assert [page for page in pages if f'href="docs/{page}.html"' not in front] == []


def test_a_link_that_leads_nowhere_is_an_error(tmp_path):
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "README.md").write_text("# Front\n\n[missing](docs/missing.md), [a heading](#other)\n")
    said = build(pages, tmp_path / "site").stderr
    assert "docs/missing.md" in said and "other" in said


def test_the_front_page_leads_to_each_page():
    """On a code host, where no list of pages is beside it."""
    front = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [page.name for page in ROOT.glob("docs/*.md") if f"(docs/{page.name}" not in front] == []
