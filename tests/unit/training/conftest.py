"""The real MMseqs2."""

import pytest

from lucaflow.errors import ToolError
from lucaflow.training.mmseqs import Mmseqs, find_mmseqs


@pytest.fixture(scope="session")
def mmseqs() -> Mmseqs:
    try:
        return find_mmseqs()
    except ToolError as error:
        pytest.skip(str(error))
