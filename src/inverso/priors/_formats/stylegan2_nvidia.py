"""StyleGAN2 pickles of NVIDIA's PyTorch code: stylegan2-ada-pytorch, and those of the stylegan3 repository."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from inverso._networks.files import tensors
from inverso.priors._formats.pickled import PickledModule, shown
from inverso.priors.stylegan2 import StyleGAN2
from inverso.priors.stylegan2._sizes import read_sizes
from inverso.priors.stylegan2._synthesis import MAPPING_RATE

# The settings that modules keep among their attributes, and the values of them that are computed here.
_SUPPORTED: Mapping[str, tuple[object, ...]] = {
    "architecture": ("skip",),
    "activation": ("lrelu", "linear"),
    "use_noise": (True,),
}
_STYLEGAN3_CLAMP = 256


def build_stylegan2(data: object, *, max_bytes: int) -> StyleGAN2:
    """Build the averaged generator, `G_ema`, of a pickle.

    Args:
        data: Content of the pickle.
        max_bytes: Largest total size of its tensors.

    Returns:
        The prior, in evaluation mode.

    Raises:
        TypeError: A setting has another type than in that code.
        ValueError: The pickle has other content, or a generator that is not supported.
    """
    if type(data) is not dict or type(data.get("G_ema")) is not PickledModule:
        names = f" with entries {', '.join(shown(name) for name in list(data)[:4])}" if type(data) is dict else ""
        msg = (
            f"it is a pickle of a {type(data).__name__}{names}, where NVIDIA's has a dictionary with the generator as "
            "'G_ema', or the network of EDM as 'ema'. If it holds a state dict, save that with torch.save or as "
            "safetensors"
        )
        raise ValueError(msg)
    generator = data["G_ema"]
    state = tensors(generator.state_dict(max_bytes=max_bytes))
    read_sizes(state)
    _check_settings(generator)
    _check_filters(state)
    return StyleGAN2.from_state_dict(state, conv_clamp=_clamp(generator))


def _check_settings(generator: PickledModule) -> None:
    for prefix, module in generator.walk():
        for name, values in _SUPPORTED.items():
            found = module.attributes.get(name, values[0])
            if found not in values:
                msg = f"its {prefix}{name} is {shown(found)}, of which only {values[0]!r} is supported"
                raise ValueError(msg)
        if prefix.startswith("mapping.fc") and module.attributes.get("bias_gain", MAPPING_RATE) != MAPPING_RATE:
            msg = f"its {prefix}bias_gain is {shown(module.attributes['bias_gain'])}, expected {MAPPING_RATE}"
            raise ValueError(msg)


def _check_filters(state: Mapping[str, Tensor]) -> None:
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    for name, value in state.items():
        if name.endswith(".resample_filter") and not (
            value.shape == (4, 4) and torch.allclose(value, taps[:, None] * taps, atol=1e-4)
        ):
            msg = f"its {name} is not that of [1, 3, 3, 1], the only one that is supported"
            raise ValueError(msg)


def _clamp(generator: PickledModule) -> float | None:
    """Return the bound of activations: an attribute of each layer, or one of the settings."""
    layers = [module.attributes for _, module in generator.walk() if "conv_clamp" in module.attributes]
    if layers:
        bounds = [_number(attributes["conv_clamp"]) for attributes in layers]
        if any(bound != bounds[0] for bound in bounds):
            msg = "its layers have different conv_clamp, which is not supported"
            raise ValueError(msg)
        return bounds[0]
    settings = _settings(generator.attributes.get("_init_kwargs"))
    nested = _settings(settings.get("synthesis_kwargs"))
    if "conv_clamp" in nested or "conv_clamp" in settings:
        return _number(nested.get("conv_clamp", settings.get("conv_clamp")))
    # The stylegan3 repository has another default, and is told by settings that are not nested.
    return _STYLEGAN3_CLAMP if "fused_modconv_default" in settings or "channel_base" in settings else None


def _settings(value: object) -> Mapping[str, Any]:
    return value if type(value) is dict else {}


def _number(value: object) -> float | None:
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    msg = f"its conv_clamp is {shown(value)}, where a number or None was expected"
    raise ValueError(msg)
