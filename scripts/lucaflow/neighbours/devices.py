"""On which device are neighbours searched? Products of vectors on a GPU, by torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from lucaflow.engine.devices import device_name, resolve_device, set_matmul_precision
from lucaflow.engine.gpus import take_gpu
from lucaflow.neighbours.products import NO_BOUND, OnProcessor, Products, margin_of

_PAIRS_AT_ONCE = 8192


def products_on(device: str) -> Products:
    """Return the products on the device that `device` (`auto`, `cpu` or `cuda`) means here, as for embedding.

    Raises DeviceError.
    """
    resolved = resolve_device(device, "float32")
    if resolved.type == "cpu":
        return OnProcessor()
    set_matmul_precision("float32")
    return OnTorch(take_gpu(resolved))


@dataclass(frozen=True)
class OnTorch:
    """Products by torch. With their intermediate results they take some two gigabytes of a GPU's memory."""

    torch_device: torch.device
    tile: int = 8192
    part: int = 8192
    block_bytes: int = 1_000_000_000

    @property
    def device(self) -> str:
        return device_name(self.torch_device)

    def put(self, units: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(units).to(self.torch_device)

    @torch.inference_mode()
    def hits(
        self, queries: torch.Tensor, tile: torch.Tensor, bound: np.ndarray, own: np.ndarray, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """As `Products.hits`."""
        found = queries @ tile.T
        there = np.flatnonzero((own >= 0) & (own < len(tile)))
        found[self._put(there), self._put(own[there])] = -torch.inf
        least = self._put(bound)
        if k < len(tile):
            # Of vectors without a bound so far, or with many above it.
            many = torch.argwhere((least <= NO_BOUND) | ((found >= least[:, None]).sum(1) > 2 * k))[:, 0]
            if len(many):
                largest = found[many].topk(k, dim=1).values[:, -1] - margin_of(queries.shape[1])
                least[many] = torch.maximum(least[many], largest)
        pairs: np.ndarray = torch.argwhere(found >= least[:, None]).cpu().numpy()
        return pairs[:, 0], pairs[:, 1]

    @torch.inference_mode()
    def exact(self, queries: torch.Tensor, tile: torch.Tensor, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """As `Products.exact`."""
        found = []
        for start in range(0, len(rows), _PAIRS_AT_ONCE):
            part = slice(start, start + _PAIRS_AT_ONCE)
            left, right = queries[self._put(rows[part])], tile[self._put(columns[part])]
            found.append((left.double() * right.double()).sum(1).cpu().numpy())
        return np.concatenate(found)

    def _put(self, values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.torch_device)
