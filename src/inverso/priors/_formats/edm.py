"""Pickles of NVlabs/edm: networks rebuilt from their stored settings and weights, without running their code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeGuard

import torch

from inverso._networks.files import adopt, tensors
from inverso.priors._formats.pickled import PickledModule, shown
from inverso.priors.denoisers._dhariwal import DhariwalUNet
from inverso.priors.denoisers._song import SongSizes, SongUNet, UNetSizes
from inverso.priors.denoisers.edm import EDM, IDDPM, VE, VP, EDMDenoiser, Preconditioning

WRAPPERS = ("EDMPrecond", "VPPrecond", "VEPrecond", "iDDPMPrecond")
FAMILIES: Mapping[str, type[UNetSizes]] = {"SongUNet": SongSizes, "DhariwalUNet": UNetSizes}
USUAL_FAMILY = {"EDMPrecond": "DhariwalUNet", "iDDPMPrecond": "DhariwalUNet"}
DHARIWAL_DEFAULTS: Mapping[str, Any] = {
    "model_channels": 192,
    "channel_mult": [1, 2, 3, 4],
    "num_blocks": 3,
    "attn_resolutions": [32, 16, 8],
}
# Settings of the wrapper, and those that concern training alone.
OWN = ("img_resolution", "img_channels", "label_dim", "use_fp16", "sigma_min", "sigma_max", "sigma_data", "model_type")
TRAINING = ("dropout", "label_dropout")
PLAIN = frozenset({int, float, bool, str, type(None)})
MAX_ROW = 32
NUMBERS = ("beta_d", "beta_min", "M", "epsilon_t", "C_1", "C_2")


def is_edm(data: object) -> TypeGuard[dict[str, Any]]:
    """Return whether a pickle is one of EDM: a dictionary with the averaged network as `ema`."""
    return type(data) is dict and type(data.get("ema")) is PickledModule and data["ema"].kind in WRAPPERS


def build_edm(data: Mapping[str, Any], *, max_bytes: int) -> EDMDenoiser:
    """Build the denoiser of a pickle.

    Args:
        data: Content of the pickle.
        max_bytes: Largest total size of its tensors.

    Returns:
        The denoiser, in evaluation mode.

    Raises:
        TypeError: A setting has another type than in that code.
        ValueError: The network is of another kind, or its settings and weights do not fit together.
    """
    wrapper: PickledModule = data["ema"]
    settings = wrapper.attributes.get("_init_kwargs")
    if type(settings) is not dict or wrapper.attributes.get("_init_args", ()) not in ((), []):
        msg = "its network does not tell the settings it was made with"
        raise ValueError(msg)
    _check_plain(settings)
    state = tensors(wrapper.state_dict(max_bytes=max_bytes))
    with torch.device("meta"):
        network = _network(wrapper.kind, settings)
    denoiser = EDMDenoiser(network, _preconditioning(wrapper.kind, settings))
    adopt(denoiser, {f"preconditioning.{name}" if name == "u" else name: value for name, value in state.items()})
    return denoiser.eval()


def _check_plain(settings: Mapping[str, Any]) -> None:
    """Raise for settings that are not numbers, text or short sequences of them."""
    for name, value in settings.items():
        entries = list(value) if type(value) in {list, tuple} else [value]
        if len(entries) > MAX_ROW or not all(type(entry) in PLAIN for entry in entries):
            msg = f"its setting {str(name)[:40]} is {shown(value)}, where a number, a word or a short row was expected"
            raise ValueError(msg)


def _network(wrapper: str, settings: Mapping[str, Any]) -> SongUNet | DhariwalUNet:
    family = settings.get("model_type", USUAL_FAMILY.get(wrapper, "SongUNet"))
    if not isinstance(family, str) or family not in FAMILIES:
        msg = f"its model_type is {shown(family)}, where one of {', '.join(FAMILIES)} was expected"
        raise ValueError(msg)
    kind = FAMILIES[family]
    channels = settings.get("img_channels")
    defaults = DHARIWAL_DEFAULTS if family == "DhariwalUNet" else {}
    given = {name: value for name, value in settings.items() if name not in (*OWN, *TRAINING, *NUMBERS)}
    if given.pop("decoder_type", "standard") != "standard":
        msg = "its decoder_type is not 'standard', that of the published networks"
        raise ValueError(msg)
    known = {field.name for field in fields(kind)}
    unknown = [name for name in given if name not in known]
    if unknown:
        msg = f"its settings have {shown(unknown[0])}, which is not supported"
        raise ValueError(msg)
    sizes: dict[str, Any] = {
        **defaults,
        **given,
        "img_resolution": settings.get("img_resolution"),
        "in_channels": channels,
        "out_channels": 2 * channels if wrapper == "iDDPMPrecond" and isinstance(channels, int) else channels,
        "label_dim": settings.get("label_dim", 0),
    }
    sizes = {name: tuple(value) if type(value) is list else value for name, value in sizes.items()}
    return SongUNet(SongSizes(**sizes)) if kind is SongSizes else DhariwalUNet(UNetSizes(**sizes))


def _preconditioning(wrapper: str, settings: Mapping[str, Any]) -> Preconditioning:
    if wrapper == "EDMPrecond":
        return EDM(settings.get("sigma_data", 0.5))
    if wrapper == "VPPrecond":
        names = {"beta_d": "beta_d", "beta_min": "beta_min", "M": "steps", "epsilon_t": "epsilon"}
        return VP(**{ours: settings[theirs] for theirs, ours in names.items() if theirs in settings})
    if wrapper == "VEPrecond":
        low, high = settings.get("sigma_min", 0.02), settings.get("sigma_max", 100.0)
        return VE((low, high))
    return IDDPM.cosine()
