"""What is kept of the predictions for each residue of sequences?"""

from __future__ import annotations

import numpy as np

# In place of the class of a residue that the model does not read.
NOT_READ = -1


class ResidueOutputs:
    """The outputs that are kept of each residue of U sequences: the most probable class, or all outputs.

    lengths: (U,) residues of each sequence.
    """

    def __init__(self, lengths: np.ndarray, task_type: str, outputs: int) -> None:
        self.ranked = task_type == "multi_class"
        self._starts = np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))
        width = 1 if self.ranked else outputs
        self.values = np.full((int(self._starts[-1]), width), np.nan, dtype=np.float32)
        self._classes = np.full(len(self.values), NOT_READ, dtype=np.int32)

    def of(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the values (k, w) of a sequence's residues, and the class (k,) of each, if one is kept; `NOT_READ` for
        residues that the model does not read."""
        part = slice(self._starts[row], self._starts[row + 1])
        return self.values[part], self._classes[part]

    def put(self, row: int, outputs: np.ndarray) -> None:
        """Store the outputs (r, C) of the first r residues of a sequence."""
        start = self._starts[row]
        part = slice(start, start + len(outputs))
        self._classes[part] = 0
        if self.ranked:
            best = outputs.argmax(axis=1)
            self._classes[part] = best
            outputs = np.take_along_axis(outputs, best[:, None], axis=1)
        self.values[part] = outputs
