"""Networks with small weights: 1 to 8 bits or float16, in memory and on disk."""

from inverso.compression.clipping import clip_model, clip_tensor
from inverso.compression.packing import QuantizedFile, load_quantized, read_quantized, save_quantized
from inverso.compression.rounding import (
    QuantizedTensor,
    dequantize,
    quantize,
    round_model,
    round_parameters,
    round_weights,
    weight_axes,
)

__all__ = [
    "QuantizedFile",
    "QuantizedTensor",
    "clip_model",
    "clip_tensor",
    "dequantize",
    "load_quantized",
    "quantize",
    "read_quantized",
    "round_model",
    "round_parameters",
    "round_weights",
    "save_quantized",
    "weight_axes",
]
