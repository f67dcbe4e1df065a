"""Quantized networks: weights of 1 to 8 bits or float16, in memory and in files."""

from inverso.compression.clipping import clip_model
from inverso.compression.packing import load_quantized, save_quantized
from inverso.compression.rounding import (
    QuantizedTensor,
    dequantize,
    quantize,
    round_model,
)

__all__ = [
    "QuantizedTensor",
    "clip_model",
    "dequantize",
    "load_quantized",
    "quantize",
    "round_model",
    "save_quantized",
]
