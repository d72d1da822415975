"""Pages for users read easily: short sentences, nouns for things, and "is" for things that do not stand or lie."""

from __future__ import annotations

import re

import pytest
from workflow_runs import ROOT

# All pages of the manual.
PAGES = (
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "config/README.md",
    "resources/demo/README.md",
    "tests/golden/encoders/README.md",
    *sorted(f"docs/{path.name}" for path in ROOT.glob("docs/*.md")),
)
MOST_WORDS = 30

_CODE_BLOCK = re.compile(r"^(```|~~~).*?^\1[^\n]*$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_INLINE_CODE = re.compile(r"`[^`]+`")
# Of a link or a picture its text is read, and not its target.
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_BLOCK = re.compile(r"\n\s*\n|\n(?=\s*(?:[-*] |\d+\. |\||#))")
_END = re.compile(r"(?<=[.?!])[)*_\"]*\s+")
# Things that are somewhere do not stand or lie there.
_PLACES = re.compile(r"\b(stands?|stood|standing|lies?|lay|lying)\b", re.IGNORECASE)


def blocks_of(text: str) -> list[str]:
    """Return the paragraphs, headings, items and rows of tables of a page, each on one line, without code.

    A snippet in a line is one word, `code`, however long it is.
    """
    text = _COMMENT.sub("", _CODE_BLOCK.sub("\n\n", text))
    text = _LINK.sub(r"\1", _INLINE_CODE.sub("code", text))
    return [" ".join(block.split()) for block in _BLOCK.split(text) if block.strip()]


def sentences_of(text: str) -> list[str]:
    """Return the sentences of a page, without those of tables.

    A sentence ends with a full stop, a question mark or an exclamation mark before a blank, or with its block.
    Colons and semicolons end none.
    """
    prose = [re.sub(r"^([-*]|\d+\.|#+) ", "", block) for block in blocks_of(text) if not block.startswith("|")]
    return [sentence for block in prose for sentence in _END.split(block) if sentence]


def words_of(sentence: str) -> int:
    return sum(any(letter.isalnum() for letter in word) for word in sentence.split())


def clauses_of(text: str) -> list[str]:
    """Return the sentences and cells of a page in which `what` is not part of a question."""
    parts = [cell for block in blocks_of(text) if block.startswith("|") for cell in block.split("|")]
    found = [sentence for part in parts for sentence in _END.split(part)] + sentences_of(text)
    return [
        each for each in found if re.search(r"\bwhat\b", each, re.IGNORECASE) and not each.rstrip(" *_)").endswith("?")
    ]


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_no_sentence_is_long(page):
    long = [sentence for sentence in sentences_of(read(page)) if words_of(sentence) > MOST_WORDS]
    assert long == []


@pytest.mark.parametrize("page", PAGES)
def test_nouns_are_where_they_belong(page):
    """`what` asks; "the rows left out" says more than "what is left out"."""
    assert clauses_of(read(page)) == []


@pytest.mark.parametrize("page", PAGES)
def test_files_and_numbers_do_not_stand_or_lie(page):
    assert [block for block in blocks_of(read(page)) if _PLACES.search(block)] == []


def test_sentences_are_found():
    page = """# A page: with a heading

A first sentence takes `two words`, and 2.5 [words
of a link](a.md#what-stands). Is this the second? (A third one.) See
- an item. It has two sentences
  on two lines
1. what is last

| a cell that stands | what there is |
|---|---|

```sh
what stands in code
```
"""
    assert sentences_of(page) == [
        "A page: with a heading",
        "A first sentence takes code, and 2.5 words of a link.",
        "Is this the second?",
        "(A third one.",
        "See",
        "an item.",
        "It has two sentences on two lines",
        "what is last",
    ]
    assert words_of("A first - 2.5 `x` (one)") == 5
    assert clauses_of(page) == [" what there is ", "what is last"]
    assert [block for block in blocks_of(page) if _PLACES.search(block)] == ["| a cell that stands | what there is |"]
