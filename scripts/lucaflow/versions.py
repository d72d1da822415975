"""Versions of LucaFlow's computations and of its file formats.

Results depend on these versions. Raise a version when a change of code changes what a step writes: results of the
older code are then made again instead of being reused.
"""

from __future__ import annotations

# Versions of the steps' computations.
NORMALISATION_VERSION = 2
# Of reading tables and PIR: results from FASTA do not depend on it.
TABLES_VERSION = 2
SHARDING_VERSION = 2
EMBEDDING_VERSION = 4
COMPARISON_VERSION = 1
PREDICTION_VERSION = 2
DIVISION_VERSION = 1
TRAINING_VERSION = 1
SIDE_BY_SIDE_VERSION = 1
EXPORT_VERSION = 3
LUCAONE_EXPORT_VERSION = 2
FIGURES_VERSION = 5
# Of the search for neighbours.
NEIGHBOURS_VERSION = 1
# Of what a pass of a language model gives, and of the tables and figures made of that.
PASSES_VERSION = 1
SCORES_VERSION = 1
OVERVIEW_VERSION = 1
SUMMARY_VERSION = 3
CONVERSION_VERSION = 4
PROOF_VERSION = 1

# Versions of the file formats, which the files record.
EMBEDDINGS_FORMAT_VERSION = 1
SHARD_FORMAT_VERSION = 4
NEAREST_FORMAT_VERSION = 1
