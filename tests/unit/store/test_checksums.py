import numpy as np
import pytest

from lucaflow.store.checksums import CHECKSUM_MODULUS, checksum


@pytest.mark.parametrize(("dtype", "width"), [("float32", 4), ("float32", 5), ("float16", 7)])
def test_a_checksum_does_not_depend_on_the_pieces(dtype, width):
    rows = np.random.default_rng(0).standard_normal((9, width)).astype(dtype)
    whole = checksum(rows, 0)
    parts = (slice(5, 9), slice(0, 1), slice(1, 5))
    assert sum(checksum(rows[part], part.start) for part in parts) % CHECKSUM_MODULUS == whole
    others = [rows[::-1], rows[:, ::-1], rows[:-1], np.zeros_like(rows), np.zeros_like(rows[:-1])]
    assert len({0, whole, *(checksum(other, 0) for other in others)}) == len(others) + 2


def test_a_checksum_sees_every_bit():
    rows = np.random.default_rng(0).standard_normal((4, 5)).astype(np.float32)
    found = {checksum(rows, 0)}
    for place in range(8 * rows.nbytes):
        octets = bytearray(rows.tobytes())
        octets[place // 8] ^= 1 << place % 8
        found.add(checksum(np.frombuffer(bytes(octets), np.float32).reshape(rows.shape), 0))
    assert len(found) == 8 * rows.nbytes + 1
