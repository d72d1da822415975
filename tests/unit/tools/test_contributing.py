"""The example of CONTRIBUTING.md fits the code: the lines that it changes are there."""

import re

from workflow_runs import ROOT

PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_each_line_that_the_example_shows_or_removes_is_in_its_file():
    examples = re.findall(r"^```diff\n--- (\S+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert len(examples) == 2
    for name, text in examples:
        lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
        assert [line for line in text.splitlines() if line[0] != "+" and line[1:] not in lines] == []


def test_each_place_that_the_page_names_is_there():
    named = re.findall(r"`((?:scripts|tests|rules|config|tools|envs|resources|\.ci)/[\w./-]+)`", PAGE)
    assert len(named) > 20
    assert [name for name in named if not (ROOT / name).exists()] == []
