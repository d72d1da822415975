"""Which numbers does float32, the type of all networks' norms and sums, hold?"""

from __future__ import annotations

_SMALLEST, _LARGEST = 2.0**-126, (2 - 2.0**-23) * 2.0**127


def is_positive_float32(value: float) -> bool:
    """Return whether a number is positive, and neither infinite nor too small for all digits of float32."""
    return _SMALLEST <= value <= _LARGEST
