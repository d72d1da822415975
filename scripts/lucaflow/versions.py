"""Versions of what LucaFlow computes and of the files it writes.

A version is part of what a result depends on. Raise it when a change of code changes what a step writes, so that
results of the older code are made again instead of being reused.
"""

from __future__ import annotations

# What the steps compute.
NORMALISATION_VERSION = 1
SHARDING_VERSION = 2
EMBEDDING_VERSION = 3
COMPARISON_VERSION = 1
PREDICTION_VERSION = 1
EXPORT_VERSION = 2
LUCAONE_EXPORT_VERSION = 1
CHECKPOINT_CONVERSION_VERSION = 1
HEAD_CONVERSION_VERSION = 1

# What the files hold, as they say themselves.
EMBEDDINGS_FORMAT_VERSION = 1
SHARD_FORMAT_VERSION = 3
