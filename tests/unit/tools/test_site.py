"""The manual as a site: every link leads somewhere, and it can be searched in a folder, without a connection."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import browser
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

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


@pytest.mark.long
@pytest.mark.xdist_group("pages")
@pytest.mark.skipif(bool(browser.why_not()), reason=browser.why_not())
def test_the_site_is_searched_in_a_folder(site):
    with browser.browser() as driver:
        driver.get(f"{(site / 'search.html').as_uri()}?q=SLURM")
        WebDriverWait(driver, 30).until(lambda page: page.find_elements(By.CSS_SELECTOR, "#search-results li a"))
        found = [link.get_attribute("href") for link in driver.find_elements(By.CSS_SELECTOR, "#search-results li a")]
        assert any("docs/cluster.html" in link for link in found)
        assert not browser.foreign_requests(driver)
        assert not browser.complaints(driver)
