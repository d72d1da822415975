"""A headless browser, its network requests and its errors."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from selenium import webdriver
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

BINARIES = ("chromium", "chromedriver")
# A page on the disk may request only itself.
OWN = ("file:", "data:", "blob:", "about:")


def why_not() -> str:
    """Return which programs of the browser are missing, or an empty text."""
    missing = [name for name in BINARIES if shutil.which(name) is None]
    return f"not installed: {', '.join(missing)}" if missing else ""


@contextmanager
def browser(width: int = 1400, height: int = 900) -> Iterator[webdriver.Chrome]:
    """Open headless Chromium, and close it in the end."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which(BINARIES[0]))
    for argument in ("headless=new", "no-sandbox", "disable-dev-shm-usage", f"window-size={width},{height}"):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(str(shutil.which(BINARIES[1]))))
    try:
        yield driver
    finally:
        driver.quit()


def open_page(driver: webdriver.Chrome, path: Path) -> None:
    """Open a page from the disk."""
    driver.get(path.resolve().as_uri())


def foreign_requests(driver: webdriver.Chrome) -> list[str]:
    """Return the addresses outside the page that were requested since the last call."""
    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    return [address for address in asked if not address.startswith(OWN)]


def complaints(driver: webdriver.Chrome) -> list[str]:
    """Return the errors of the page's scripts."""
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]


def wait_for_map(driver: webdriver.Chrome, seconds: float = 60) -> None:
    """Wait until a map is drawn. Raises TimeoutException after `seconds`."""
    script = (
        "return window.Bokeh !== undefined && [...Bokeh.index].length > 0 && [...Bokeh.index].every(v => v.is_idle)"
    )
    WebDriverWait(driver, seconds).until(lambda driver: driver.execute_script(script))


def inside(driver: webdriver.Chrome, name: str, selector: str) -> WebElement:
    """Return an element within the widget or plot of this name."""
    script = """
    const view = Bokeh.index.find_one(Bokeh.documents[0].get_model_by_name(arguments[0]))
    return view.shadow_el.querySelector(arguments[1])"""
    return cast(WebElement, driver.execute_script(script, name, selector))
