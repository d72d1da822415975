"""The report and the maps, as somebody looks at them: in a browser, without a connection."""

from __future__ import annotations

import pytest
from browser import browser, complaints, foreign_requests, inside, open_page, wait_for_map, why_not
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


@pytest.fixture(scope="module")
def finished(tmp_path_factory, shared_checkpoints):
    """A finished run with all that a report can show, and its report."""
    workflow = Workflow(tmp_path_factory.mktemp("pages"), shared_checkpoints)
    short = workflow.fasta("p.fasta", {"a": "MKVLAW", "b": "MKV", "c": "MWWWKK"})
    workflow.datasets(
        {"dataset": "places", "path": str(DEMO / "subcellular.csv"), "seq_type": "prot", "seq_column": "sequence",
         "label_column": "label", "tasks": "MiniProtLoc"},
        {"dataset": "plain", "path": short.name, "seq_type": "prot"},
    )  # fmt: skip
    workflow.config |= {"figures": {"tsne": True}, "embedding": {"precision": "bfloat16"}}
    workflow.run().succeeded()
    workflow.run("--report", "report.html").succeeded()
    return workflow


def link(driver, text: str) -> WebElement:
    (found,) = (each for each in driver.find_elements(By.TAG_NAME, "a") if each.text.strip() == text)
    return found


def shown(driver) -> str:
    """Wait until the last result that was clicked shows; return its size and text."""
    (picture,) = driver.find_elements(By.CSS_SELECTOR, "img[src^='data:image/png']") or driver.find_elements(
        By.TAG_NAME, "iframe"
    )
    assert picture.size["height"] > 200 and picture.size["width"] > 400
    if picture.tag_name == "img":
        assert driver.execute_script("return arguments[0].naturalWidth", picture) > 300
        return "a picture"
    driver.switch_to.frame(picture)
    text = driver.find_element(By.TAG_NAME, "body").text
    driver.switch_to.default_content()
    return str(text)


def test_every_result_of_the_report_shows(finished):
    with browser() as driver:
        open_page(driver, finished.directory / "report.html")
        WebDriverWait(driver, 30).until(lambda driver: "To cite:" in driver.find_element(By.TAG_NAME, "body").text)
        texts = {}
        for category, results in (
            ("Lengths", 2), ("Maps", 2), ("Numerics", 2), ("Overview", 1), ("Predictions", 3), ("Provenance", 2),
            ("Validation", 1),
        ):  # fmt: skip
            link(driver, category).click()
            WebDriverWait(driver, 30).until(lambda driver: driver.find_elements(By.CSS_SELECTOR, EYES))
            eyes = len(driver.find_elements(By.CSS_SELECTOR, EYES))
            assert eyes == results, category
            for number in range(eyes):
                driver.find_elements(By.CSS_SELECTOR, EYES)[number].click()
                texts[category, number] = WebDriverWait(driver, 30).until(shown)
            link(driver, "Results").click()
        assert "llm_version: mini" in texts["Provenance", 0]
        assert "balanced accuracy" in texts["Predictions", 1]
        assert "MiniProtLoc" in texts["Predictions", 2]
        assert "checksums of the shards" in texts["Validation", 0]
        assert foreign_requests(driver) == []
        assert complaints(driver) == []


def test_a_map_is_searched(finished):
    with browser() as driver:
        open_page(driver, finished.result("places", "figures/tsne.html"))
        wait_for_map(driver)
        search = inside(driver, "search", "input")
        search.send_keys("secreted")
        WebDriverWait(driver, 10).until(lambda driver: driver.execute_script(FOUND) == "30 found")
        search.clear()
        search.send_keys("no such text")
        WebDriverWait(driver, 10).until(lambda driver: driver.execute_script(FOUND) == "0 found")
        assert foreign_requests(driver) == []
        assert complaints(driver) == []
