"""Train a network for int8: as its file will compute, with the file's own roundings."""

from __future__ import annotations

from mejiro.train.qat.network import Following, QuantizationAware, quantize_aware
from mejiro.train.qat.training import QatSettings, finetune_quantized

__all__ = [
    "Following",
    "QatSettings",
    "QuantizationAware",
    "finetune_quantized",
    "quantize_aware",
]
