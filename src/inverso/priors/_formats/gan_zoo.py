"""Checkpoints of pytorch_GAN_zoo: a dictionary with `config`, `netG`, `netD` and the averaged `avgG`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor

from inverso._networks.files import tensors
from inverso._warning import warn_caller
from inverso.priors.dcgan import DCGAN
from inverso.priors.pggan import PGGAN

Source = Literal["avgG", "netG"]

STATISTICS = (".running_mean", ".running_var", ".num_batches_tracked")

# Blending this weak is what remains of a fade that has ended.
_NO_BLENDING = 1e-3


class BaseConfig:
    """Stand-in for the class of `config` in pickles of pytorch_GAN_zoo: attributes without code."""

    # torch looks allowed classes up by the names of the module and the class.
    __module__ = "models.utils.config"


def is_checkpoint(data: Mapping[str, Any]) -> bool:
    """Return whether this is a checkpoint of pytorch_GAN_zoo, since others also name a generator `netG`."""
    networks = [data[source] for source in ("avgG", "netG") if isinstance(data.get(source), Mapping)]
    return any("ormatLayer." in str(name) for network in networks for name in network)


def is_dcgan(data: Mapping[str, Any]) -> bool:
    """Return whether its generator is a DCGAN."""
    networks = [data[source] for source in ("avgG", "netG") if isinstance(data.get(source), Mapping)]
    return any(name.startswith("main.batchNorm") for network in networks for name in network)


def read_pgan(checkpoint: Mapping[str, Any], *, weights: Source = "avgG") -> PGGAN:
    """Build the progressively grown generator of a checkpoint.

    Args:
        checkpoint: The dictionary.
        weights: The averaged generator "avgG", which upstream uses for samples, or the latest one, "netG". Without an
            average "netG" is taken.

    Returns:
        The prior, in evaluation mode.

    Raises:
        ValueError: The generator is missing, or has settings that are not supported.
    """
    for name, expected in {"leakyReluLeak": 0.2, "perChannelNormalization": True, "equalizedlR": True}.items():
        found = _setting(checkpoint, name, expected)
        if found != expected:
            msg = f"its config has {name}={found!r}, of which only {expected!r} is supported"
            raise ValueError(msg)
    _warn_if_conditional(checkpoint)
    alpha = _setting(checkpoint, "alpha", 0.0)
    tanh = _setting(checkpoint, "lossCriterion", "WGANGP") in ("MSE", "DCGAN")
    state = _state(checkpoint, weights)
    return PGGAN.from_state_dict(state, alpha=0.0 if _is_small(alpha) else alpha, tanh=tanh)


def read_dcgan(checkpoint: Mapping[str, Any], *, weights: Source = "avgG", statistics: Source = "netG") -> DCGAN:
    """Build the DCGAN generator of a checkpoint.

    Upstream averages only the parameters of `avgG`, so its batch-norm statistics may be those of an early step; samples
    are made there with the statistics of each batch. A solver needs images that do not depend on their batch, hence
    fixed statistics: by default those of `netG`, which are up to date.

    Args:
        checkpoint: The dictionary.
        weights: Generator of the parameters; "netG" if there is no average.
        statistics: Generator of the running means and variances.

    Returns:
        The prior, in evaluation mode.

    Raises:
        ValueError: A generator is missing or of another kind.
    """
    _warn_if_conditional(checkpoint)
    parameters, buffers = _state(checkpoint, weights), _state(checkpoint, statistics)
    chosen = {name: value for name, value in parameters.items() if not name.endswith(STATISTICS)}
    chosen.update({name: value for name, value in buffers.items() if name.endswith(STATISTICS)})
    return DCGAN.from_state_dict(chosen)


def _state(checkpoint: Mapping[str, Any], source: Source) -> dict[str, Tensor]:
    network = checkpoint.get(source)
    if network is None:
        network = checkpoint.get("netG" if source == "avgG" else "avgG")
    if not isinstance(network, Mapping):
        msg = f"its entry {source!r} holds no generator"
        raise ValueError(msg)
    return {name.removeprefix("module."): value for name, value in tensors(network).items()}


def _setting(checkpoint: Mapping[str, Any], name: str, default: object) -> Any:  # noqa: ANN401 - whatever was pickled
    return vars(checkpoint["config"]).get(name, default) if hasattr(checkpoint.get("config"), "__dict__") else default


def _is_small(alpha: object) -> bool:
    return isinstance(alpha, int | float) and 0 <= alpha < _NO_BLENDING


def _warn_if_conditional(checkpoint: Mapping[str, Any]) -> None:
    if _setting(checkpoint, "attribKeysOrder", None):
        message = (
            "this generator was trained with labels at the end of its latent; sample_latent draws them as Gaussian "
            "numbers too, so its samples are less good than those of latents that end in one-hot labels"
        )
        warn_caller(message)
