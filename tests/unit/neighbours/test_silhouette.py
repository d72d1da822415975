"""Silhouettes are those of scikit-learn."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import silhouette_samples

from lucaflow.neighbours import silhouette
from lucaflow.neighbours.silhouette import silhouettes


def test_they_are_those_of_scikit_learn(monkeypatch):
    monkeypatch.setattr(silhouette, "_ROWS_AT_ONCE", 7)
    random = np.random.default_rng(0)
    labels = np.array([0] * 20 + [3] * 15 + [5] * 4 + [9])
    vectors = random.normal(size=(40, 6)) + labels[:, None] * random.normal(size=6) / 5
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    expected = silhouette_samples(vectors, labels, metric="cosine")
    np.testing.assert_allclose(silhouettes(vectors, labels), expected, atol=1e-12)
    assert silhouettes(vectors, labels)[-1] == 0


def test_one_label_has_none():
    assert np.isnan(silhouettes(np.eye(3), np.zeros(3, dtype=int))).all()
