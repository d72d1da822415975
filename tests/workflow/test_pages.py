"""The report and the maps, as somebody looks at them: in a browser, without a connection."""

from __future__ import annotations

import subprocess
import sys

import pandas as pd
import pytest
from browser import browser, complaints, foreign_requests, inside, open_page, wait_for_map, why_not
from golden_cases import PACKAGED
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait
from workflow_runs import ROOT, Workflow

pytestmark = [
    pytest.mark.skipif(bool(why_not()), reason=why_not()),
    pytest.mark.xdist_group("pages"),
    pytest.mark.long,
]
DEMO = ROOT / "resources/demo"
EYES = "a[iconname=eye]"
FOUND = "return Bokeh.documents[0].get_model_by_name('found').text"
# What the run below shows: the results of each category, or of each of its folders.
REPORT = {
    "1 Overview": {"": 2},
    "2 Maps": {"components": 2, "t-SNE": 2, "UMAP": 2},
    "3 Sequences": {"": 2},
    "4 Predictions": {"pairs": 3, "places": 3},
    "5 Validation": {"": 1},
    "6 Provenance": {"": 3},
    "7 Comparisons": {"": 2},
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory, shared_checkpoints):
    """A finished run with all that a report can show, and its report.

    Two datasets by two models, two maps of each, and two tasks: half of each of
    these have something in common.
    """
    workflow = Workflow(tmp_path_factory.mktemp("our_run"), shared_checkpoints)
    short = workflow.fasta("p.fasta", {"a": "MKVLAW", "b": "MKV", "c": "MWWWKK"})
    workflow.datasets(
        {"dataset": "places", "path": str(DEMO / "subcellular.csv"), "seq_type": "prot", "seq_column": "sequence",
         "label_column": "label", "tasks": "MiniProtLoc"},
        {"dataset": "plain", "path": short.name, "seq_type": "prot", "llm_version": "lucaone", "llm_step": "36000000"},
        {"dataset": "pairs", "path": str(DEMO / "chloroplast_pairs.csv"), "kind": "pair", "label_column": "label",
         "tasks": "MiniCentralDogma"},
    )  # fmt: skip
    workflow.config |= {
        "checkpoints": {
            "directory": "converted",
            "source": "local",
            "path": str(PACKAGED / "embedding/checkpoints/T1"),
        },
        "figures": {"tsne": True, "umap": True},
        "embedding": {"precision": "bfloat16"},
    }
    workflow.run().succeeded()
    workflow.run("--report", "report.html").succeeded()
    return workflow


def link(driver, text: str) -> WebElement:
    (found,) = (each for each in driver.find_elements(By.TAG_NAME, "a") if each.text.strip() == text)
    return found


def shown(driver) -> str:
    """Wait until the last result that was clicked shows; return its text, or that it is a picture."""
    for picture in driver.find_elements(By.CSS_SELECTOR, "div.p-3 > img"):
        assert picture.size["height"] > 200 and picture.size["width"] > 400
        assert driver.execute_script("return arguments[0].naturalWidth", picture) > 300
        return "a picture"
    (frame,) = driver.find_elements(By.TAG_NAME, "iframe")
    driver.switch_to.frame(frame)
    text = driver.find_element(By.TAG_NAME, "body").text
    driver.switch_to.default_content()
    return str(text)


def click_all(driver, expected: int) -> list[str]:
    """Click on each result of the list that shows; return what each shows."""
    WebDriverWait(driver, 30).until(lambda driver: driver.find_elements(By.CSS_SELECTOR, EYES))
    assert len(driver.find_elements(By.CSS_SELECTOR, EYES)) == expected
    found = []
    for number in range(expected):
        driver.find_elements(By.CSS_SELECTOR, EYES)[number].click()
        found.append(WebDriverWait(driver, 30).until(shown))
    return found


def test_every_result_of_the_report_shows(finished):
    with browser() as driver:
        open_page(driver, finished.directory / "report.html")
        WebDriverWait(driver, 30).until(lambda driver: "To cite:" in driver.find_element(By.TAG_NAME, "body").text)
        first = driver.find_element(By.CSS_SELECTOR, ".prose h1")
        assert first.text == finished.directory.name and first.location["y"] > 0, "the name of the run, in sight"
        assert "lucaone-36000000, mini-1" in driver.find_element(By.TAG_NAME, "body").text
        titles = [each.text.strip() for each in driver.find_elements(By.TAG_NAME, "a")]
        assert [title for title in titles if title[:1].isdigit()] == list(REPORT)
        texts = {}
        for category, folders in REPORT.items():
            for folder, results in folders.items():
                link(driver, category).click()
                if folder:
                    link(driver, folder).click()
                texts[category, folder] = click_all(driver, results)
                link(driver, "Results").click()
        assert "168 predictions" in texts["1 Overview", ""][0]
        assert texts["2 Maps", "t-SNE"] == texts["2 Maps", "UMAP"] == ["a picture"] * 2
        assert "balanced accuracy" in texts["4 Predictions", "places"][1]
        assert "MiniProtLoc" in texts["4 Predictions", "places"][2]
        assert "Rows with:" in texts["4 Predictions", "places"][2], "a table sorts within the report too"
        assert "checksums of the shards" in texts["5 Validation", ""][0]
        assert "SHA-256 of the network" in texts["6 Provenance", ""][0]
        assert not any(str(finished.directory) in text or str(ROOT) in text for text in texts["6 Provenance", ""])
        assert foreign_requests(driver) == []
        assert complaints(driver) == []


def test_a_map_is_searched(finished):
    with browser() as driver:
        open_page(driver, finished.result("places", "figures/umap.html"))
        wait_for_map(driver)
        search = inside(driver, "search", "input")
        search.send_keys("secreted")
        # 30 have this label; of others, neighbours suggest it, or the task predicts it.
        records = pd.read_csv(finished.directory / "results/places/overview.tsv", sep="\t", dtype=str)
        expected = (records[["label", "suggested_label", "MiniProtLoc"]] == "Secreted").any(axis=1).sum()
        WebDriverWait(driver, 10).until(lambda driver: driver.execute_script(FOUND) == f"{expected} found")
        search.clear()
        search.send_keys("no such text")
        WebDriverWait(driver, 10).until(lambda driver: driver.execute_script(FOUND) == "0 found")
        assert foreign_requests(driver) == []
        assert complaints(driver) == []


def test_a_table_is_sorted_and_filtered(finished):
    with browser() as driver:
        open_page(driver, finished.directory / "results/places/predictions/MiniProtLoc.html")
        search = WebDriverWait(driver, 30).until(lambda driver: driver.find_element(By.TAG_NAME, "input"))
        column = [each.text for each in driver.find_elements(By.TAG_NAME, "th")].index("prob")
        cells = f"tbody td:nth-child({column + 1})"

        def probabilities():
            found = driver.find_elements(By.CSS_SELECTOR, cells)
            return [float(each.get_attribute("data-order")) for each in found]

        assert probabilities() != sorted(probabilities())
        driver.find_elements(By.TAG_NAME, "th")[column].click()
        assert len(probabilities()) == 120 and probabilities() == sorted(probabilities())
        search.send_keys("nucleus")
        rows = WebDriverWait(driver, 10).until(
            lambda driver: (found := driver.find_elements(By.CSS_SELECTOR, "tbody tr")) and len(found) < 120 and found
        )
        assert all("Nucleus" in row.text for row in rows)
        assert foreign_requests(driver) == []
        assert complaints(driver) == []


def test_the_manual_is_searched_in_a_folder(tmp_path):
    """As `make site` builds it, without a connection."""
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-c", str(ROOT / "tools/site"), str(ROOT), str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True)
    with browser() as driver:
        driver.get(f"{(tmp_path / 'search.html').as_uri()}?q=SLURM")
        # The results come one by one.
        WebDriverWait(driver, 30).until(
            lambda driver: driver.find_elements(By.CSS_SELECTOR, "#search-results li a[href*='docs/cluster.html']")
        )
        assert foreign_requests(driver) == []
        assert complaints(driver) == []
