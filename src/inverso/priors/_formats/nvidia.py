"""Pickles of NVIDIA's PyTorch code, read without running the source text that they contain."""

from __future__ import annotations

from pathlib import Path

from inverso.priors._formats.edm import build_edm, is_edm
from inverso.priors._formats.pickled import load_pickle
from inverso.priors._formats.stylegan2_nvidia import build_stylegan2
from inverso.priors._formats.unpickler import UnknownNameError
from inverso.priors.denoisers.edm import EDMDenoiser
from inverso.priors.stylegan2 import StyleGAN2


def read_nvidia(path: Path) -> StyleGAN2 | EDMDenoiser:
    """Build the averaged network of a pickle: the `G_ema` of a StyleGAN2, or the `ema` of a diffusion model of EDM.

    Args:
        path: The file.

    Returns:
        The prior, in evaluation mode.

    Raises:
        ValueError: The file is damaged, has other content or calls other functions than networks do, or the network is
            not supported. The message names the file.
    """
    try:
        data, size = load_pickle(path), path.stat().st_size
        return build_edm(data, max_bytes=size) if is_edm(data) else build_stylegan2(data, max_bytes=size)
    except UnknownNameError as error:
        if error.name.module.startswith("dnnlib.tflib"):
            msg = (
                f"{path} cannot be used: it holds networks of the TensorFlow version of StyleGAN, which "
                "TensorFlow alone reads. The same networks exist for PyTorch; `inverso models` lists some"
            )
            raise ValueError(msg) from error
        msg = f"{path} is refused: {error}. A pickle of a network holds tensors, numbers, text and their containers"
        raise ValueError(msg) from error
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        msg = f"{path} cannot be used: {error}"
        raise ValueError(msg) from error
