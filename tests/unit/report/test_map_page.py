"""The page of a map, as somebody uses it in a browser: colours, search, selection, on a desk and on a phone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from browser import browser, complaints, foreign_requests, inside, open_page, wait_for_map, why_not
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.support.ui import WebDriverWait

from lucaflow.report import map_page
from lucaflow.report.map_page import draw_html
from lucaflow.report.maps import Map, Related, Residues

pytestmark = [pytest.mark.skipif(bool(why_not()), reason=why_not()), pytest.mark.xdist_group("pages")]

COUNT = 40
ODD = "<b>odd</b> & \\frac"
# What the page shows, by names of its parts.
STATE = """
const model = (name) => Bokeh.documents[0].get_model_by_name(name)
const plot = model("map")
const [legend, linear, logarithmic] = arguments[0] === "phone" ? plot.below.slice(1) : plot.right
const drawn = plot.renderers.filter((each) => each.view.filter.indices.length > 0)
return {
  legend: legend.visible ? legend.items.map((item) => item.label.value) : [],
  scales: [linear, logarithmic].map((bar) => bar.visible ? bar.title : ""),
  points: drawn.flatMap((each) => [...each.view.filter.indices]).sort((a, b) => a - b),
  faded: drawn.map((each) => each.nonselection_glyph.fill_alpha.value),
  muted: drawn.every((each) => each.muted),
  found: model("found").text, count: model("count").text, selected: model("selected").value,
  width: document.documentElement.scrollWidth,
}"""
# Where points are in the window, and how high the map is.
PLACES = """
const {frame, canvas_view} = Bokeh.index.find_one(Bokeh.documents[0].get_model_by_name("map"))
const {left, top} = canvas_view.el.getBoundingClientRect()
const [x, y] = arguments[0]
return {x: left + frame.x_scale.compute(x), y: top + frame.y_scale.compute(y), height: frame.bbox.height}"""
USE_LASSO = """
const {tools} = Bokeh.documents[0].get_model_by_name("map").toolbar
tools.find((tool) => tool.type === "LassoSelectTool").active = true"""
CELLS = """
const cells = (node) => [
  ...node.tagName === "TD" ? [node.textContent] : [],
  ...[...node.shadowRoot?.childNodes ?? [], ...node.childNodes].flatMap(cells),
]
return cells(document.body)"""
CHOOSE = "Bokeh.documents[0].get_model_by_name('colour').value = arguments[0]"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    draw = np.random.default_rng(0)
    points = pd.DataFrame(
        {
            "id": [f"p{i}" for i in range(COUNT)],
            "description": "a protein",
            "label": ["kinase"] * 24 + ["a label that is far too long for any legend"] * 12 + [""] * 4,
            "length": draw.integers(20, 2000, COUNT),
            "x": np.arange(COUNT) % 8,
            "y": np.arange(COUNT) // 8,
        }
    )
    further = pd.DataFrame(
        {
            "mass": [""] + [str(100 + i) for i in range(COUNT - 1)],
            "organism": [ODD] * 5 + [f"species {i}" for i in range(COUNT - 5)],
        }
    )
    path = tmp_path_factory.mktemp("map") / "map.html"
    # Each point has the next two as neighbours, and one that is not in the map.
    rows = (np.arange(COUNT)[:, None] + [1, 2]) % COUNT
    rows = np.concatenate([rows, np.full((COUNT, 1), COUNT)], axis=1)
    similarity = np.tile([0.9, 0.8, 0.7], (COUNT, 1))
    names = [*points["id"], "<i>elsewhere</i>"]
    related = Related(names, np.append(np.arange(COUNT), -1), rows, similarity)
    # Two points each have one sequence.
    residues = Residues(["MKV" + "L" * number for number in range(COUNT // 2)], np.arange(COUNT) // 2)
    remarks = ("The embeddings cluster by <these> labels.",)
    shown = Map(points, "d", "mean embeddings", ("x", "y"), further)
    draw_html(replace(shown, remarks=remarks, related=related, residues=residues), path)
    return path


@pytest.fixture
def driver(page):
    with browser() as driver:
        open_page(driver, page)
        wait_for_map(driver)
        yield driver
        assert foreign_requests(driver) == []
        assert complaints(driver) == []


def to_point(driver, x, y, moves=None):
    """Return moves of the mouse that end at a point of the map."""
    place = driver.execute_script(PLACES, [x, y])
    actions = moves or ActionChains(driver)
    actions.w3c_actions.pointer_action.move_to_location(round(place["x"]), round(place["y"]))
    return actions


def wait_until(driver, holds, place="desk"):
    """Wait until the state of the page is as it should be; return it."""
    WebDriverWait(driver, 10).until(lambda driver: holds(driver.execute_script(STATE, place)))
    return driver.execute_script(STATE, place)


def test_points_are_coloured_by_any_column(driver):
    state = wait_until(driver, lambda state: state["legend"])
    assert state["legend"] == ["kinase (24)", "a label that is far t…any legend (12)", "(none) (4)"]
    names = [option.text for option in inside(driver, "colour", "select").find_elements("tag name", "option")]
    assert names == ["label", "length (residues)", "mass", "organism"]
    for number, legend, scales in (
        ("1", [], ["", "length (residues)"]),
        ("2", ["(none) (1)"], ["mass", ""]),
        ("3", [f"{ODD} (5)", *[None] * 18, "other (17)"], ["", ""]),
    ):
        driver.execute_script(CHOOSE, number)
        state = wait_until(driver, lambda state: state["scales"] == scales)  # noqa: B023
        assert len(state["legend"]) == len(legend)
        assert all(wanted in (None, found) for found, wanted in zip(state["legend"], legend, strict=True))
        assert state["points"] == list(range(COUNT))


def test_a_search_leaves_the_other_points_in_sight(driver):
    search = inside(driver, "search", "input")
    search.send_keys("Species 1")
    state = wait_until(driver, lambda state: state["found"] == "11 found")
    assert state["faded"] == [0.15] * 3
    assert state["selected"].split() == ["p6", *(f"p{i}" for i in range(15, 25))]
    search.clear()
    search.send_keys("no such text")
    assert wait_until(driver, lambda state: state["found"] == "0 found")["muted"]


def test_points_in_a_lasso_are_copied_and_saved(driver, tmp_path):
    driver.execute_script(USE_LASSO)
    moves = to_point(driver, 0.5, 0.5).click_and_hold()
    for x, y in ((0.5, 3.5), (4.5, 3.5), (4.5, 0.5)):
        moves = to_point(driver, x, y, moves)
    moves.release().perform()
    state = wait_until(driver, lambda state: state["count"].endswith("selected"))
    ids = state["selected"].split("\n")
    assert ids == [f"p{8 * y + x}" for y in (1, 2, 3) for x in (1, 2, 3, 4)]
    assert state["count"] == f"{len(ids)} selected"

    grant = {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    driver.execute_cdp_cmd("Browser.grantPermissions", grant)
    inside(driver, "copy", "button").click()
    wait_until(driver, lambda state: state["count"] == f"{len(ids)} copied")
    assert driver.execute_async_script("navigator.clipboard.readText().then(arguments[0])").split() == ids

    driver.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    inside(driver, "save", "button").click()
    WebDriverWait(driver, 10).until(lambda _: (tmp_path / "d.ids.txt").exists())
    assert (tmp_path / "d.ids.txt").read_text().split() == ids


def test_a_click_shows_the_neighbours_of_a_point_which_can_be_selected_and_saved(driver, tmp_path):
    near = "return Bokeh.documents[0].get_model_by_name('near').text"
    assert driver.execute_script(near) == "Click a point to see its neighbours."
    assert "cluster by <these> labels" in inside(driver, "title", "div").text
    to_point(driver, 1, 1).click().perform()
    state = wait_until(driver, lambda state: state["count"] == "1 selected")
    assert state["selected"] == "p9"
    shown = driver.execute_script(near)
    assert "Neighbours of <b>p9</b>" in shown
    lines = ("<td>p10</td><td>0.90</td><td>kinase</td>", "<td>&lt;i&gt;elsewhere&lt;/i&gt;</td><td>0.70</td><td></td>")
    assert all(line in shown for line in lines)

    inside(driver, "around", "button").click()
    state = wait_until(driver, lambda state: state["count"] == "3 selected")
    assert state["selected"].split() == ["p9", "p10", "p11"]
    driver.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    inside(driver, "fasta", "button").click()
    saved = tmp_path / "d.selected.fasta"
    WebDriverWait(driver, 10).until(lambda _: saved.exists())
    assert saved.read_text() == ">p9\nMKVLLLL\n>p10\nMKVLLLLL\n>p11\nMKVLLLLL\n"


def test_a_point_tells_all_it_has(driver):
    driver.execute_script(CHOOSE, "3")
    to_point(driver, 1, 0).perform()
    found = WebDriverWait(driver, 10).until(lambda driver: driver.execute_script(CELLS))
    assert found[:4] == ["id", "p1", "label", "kinase"]
    assert found[-6:] == ["mass", "100", "organism", ODD, "description", "a protein"]
    # Cells without a text are left out.
    to_point(driver, 0, 0).perform()
    WebDriverWait(driver, 10).until(lambda driver: "p0" in driver.execute_script(CELLS))
    assert "mass" not in driver.execute_script(CELLS)


def test_columns_that_are_too_long_are_left_out(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(map_page, "MOST_TEXT", 100)
    points = pd.DataFrame({"id": ["p"], "description": ["d"], "label": ["l"], "length": [5], "x": [0.0], "y": [0.0]})
    columns = pd.DataFrame({"long": ["x" * 200], "short": ["why"]})
    draw_html(Map(points, "d", "mean embeddings", ("x", "y"), columns), tmp_path / "map.html")
    assert "no room for these columns: long" in caplog.text
    page = (tmp_path / "map.html").read_text()
    assert "too long: long" in page and "why" in page and "xxxx" not in page


def test_a_phone_shows_the_page_in_its_width(page):
    with browser() as driver:
        phone = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
        open_page(driver, page)
        wait_for_map(driver)
        state = wait_until(driver, lambda state: len(state["legend"]) == 3, "phone")
        assert state["width"] == 390
        assert driver.execute_script(PLACES, [0, 0])["height"] > 200
        assert complaints(driver) == []
