"""With which options were LucaOne's ten published downstream models trained?

By the scripts in src/training/lucaone of LucaOneTasks. What they share is the default of each option.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_CLASSES = {"task_type": "multi_class", "best_metric_type": "acc"}
_PAIRS = {
    "task_type": "binary_class", "best_metric_type": "acc", "matrix_pooling_type": "value_attention",
    "matrix_fc_size": (128,),
}  # fmt: skip
_TAXA = {**_CLASSES, "matrix_encoder": True, "gradient_accumulation_steps": 2, "warmup_steps": 100}

RECIPES: Mapping[str, Mapping[str, Any]] = {
    "CentralDogma": {
        **_PAIRS, "model_type": "lucappi2", "per_gpu_train_batch_size": 1, "per_gpu_eval_batch_size": 1,
        "gradient_accumulation_steps": 16, "warmup_steps": 100, "pos_weight": 2.0, "matrix_max_length": 2460,
    },
    "SupKTax": {**_TAXA, "matrix_pooling_type": "value_attention", "matrix_max_length": 1502},
    "GenusTax": {
        **_TAXA, "num_hidden_layers": 2, "num_attention_heads": 4, "matrix_pooling_type": "max",
        "matrix_max_length": 1502,
    },
    "SpeciesTax": {
        **_TAXA, "num_hidden_layers": 2, "num_attention_heads": 4, "matrix_pooling_type": "value_attention",
        "matrix_max_length": 1502,
    },
    "ProtLoc": {
        **_CLASSES, "matrix_pooling_type": "value_attention", "per_gpu_train_batch_size": 8,
        "per_gpu_eval_batch_size": 8, "warmup_steps": 1000, "lr_decay_rate": 0.95,
        "weight": (2.0, 50.0, 1.0, 5.0, 8.0, 10.0), "matrix_max_length": 5629,
    },
    "ProtStab": {
        "task_type": "regression", "best_metric_type": "sp_statistic", "matrix_encoder": True,
        "matrix_pooling_type": "value_attention", "warmup_steps": 1000, "lr_decay_rate": 0.95, "matrix_max_length": 64,
    },
    "ncRNAFam": {
        **_CLASSES, "matrix_encoder": True, "matrix_pooling_type": "max", "warmup_steps": 1000, "lr_decay_rate": 0.95,
        "matrix_max_length": 202,
    },
    "InfA": {
        **_PAIRS, "model_type": "lucappi", "learning_rate": 2e-4, "warmup_steps": 100, "pos_weight": 2.0,
        "matrix_max_length": 1692,
    },
    "PPI": {**_PAIRS, "model_type": "lucappi", "warmup_steps": 1000, "matrix_max_length": 2048},
    "ncRPI": {
        **_PAIRS, "model_type": "lucappi2", "per_gpu_train_batch_size": 1, "per_gpu_eval_batch_size": 1,
        "gradient_accumulation_steps": 16, "learning_rate": 2e-4, "warmup_steps": 100, "matrix_max_length": 4096,
    },
}  # fmt: skip
