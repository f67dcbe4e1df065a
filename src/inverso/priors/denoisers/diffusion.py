"""Networks of diffusion models as denoisers."""

from __future__ import annotations

from typing import Literal, get_args

from torch import Tensor, nn

from inverso._checks import check_choice
from inverso._types import ImageShape
from inverso.priors._padding import PaddedDenoiser
from inverso.priors.denoisers.schedule import Schedule

_Prediction = Literal["epsilon", "v_prediction", "sample"]


class DiffusionDenoiser(PaddedDenoiser):
    """Denoise with the network of a variance-preserving diffusion model.

    With `u = 2x - 1` and `s = 2 sigma` the network's input is `z = c u`, `c = 1 / sqrt(1 + s^2)`, at the time t whose
    noise level is s. Depending on its prediction, the denoised image in [-1, 1] is

        epsilon       u - s net(z, t)
        v_prediction  c z - c s net(z, t)
        sample        net(z, t)

    If sigma lies outside of `sigma_range`, the network is evaluated at the nearest time it supports, with the true s
    elsewhere in the formula, so that the first two tend to u as sigma goes to 0.

    Args:
        network: Network from images `(n, C, H, W)` in [-1, 1] and times `(n,)` to `(n, C, H, W)`, or to twice the
            channels, of which the second half, variances, is ignored.
        channels: Channels of the images, 1 or 3.
        schedule: Its noise schedule.
        prediction: Kind of its prediction.
        whole_times: Whether it supports integer times only; others are then rounded to the nearest noise level.
        image_shape: Shape of its training images; None for any size.
        multiple: Number by which height and width have to be divisible.

    Raises:
        ValueError: The prediction is unknown, or a size not positive.

    Source:
        Ho et al. 2020, arXiv:2006.11239, equation 15; Salimans & Ho 2022, arXiv:2202.00512, appendix D, for v.

    Example:
        >>> import torch
        >>> from inverso.priors.denoisers import DiffusionDenoiser
        >>> from inverso.priors.denoisers.schedule import Schedule
        >>> class NoNoise(torch.nn.Module):
        ...     def forward(self, z, t):
        ...         return torch.zeros_like(z)
        >>> denoiser = DiffusionDenoiser(NoNoise(), channels=1, schedule=Schedule.named("linear"))
        >>> denoiser(torch.full((1, 1, 2, 2), 0.75), 0.1).unique()
        tensor([0.7500])
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        channels: int,
        schedule: Schedule,
        prediction: _Prediction = "epsilon",
        whole_times: bool = False,
        image_shape: ImageShape | None = None,
        multiple: int = 1,
    ) -> None:
        check_choice(prediction, get_args(_Prediction), name="prediction")
        # Noise of images in [0, 1] is half that of images in [-1, 1].
        known = (float(schedule.sigmas[0]) / 2, float(schedule.sigmas[-1]) / 2)
        super().__init__(channels=channels, image_shape=image_shape, sigma_range=known, multiple=multiple)
        self.network = network
        self.schedule = schedule
        self.prediction = prediction
        self.whole_times = whole_times

    def denoise(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Denoise images whose sides are divisible by `multiple`."""
        u, s = 2 * x - 1, 2 * sigma
        c = (1 + s.square()).rsqrt()
        z = c * u
        t = (self.schedule.nearest_time if self.whole_times else self.schedule.time)(s.flatten())
        predicted: Tensor = self.network(z, t)[:, : self.channels]
        answers = {"epsilon": u - s * predicted, "v_prediction": c * z - c * s * predicted, "sample": predicted}
        return (answers[self.prediction] + 1) / 2
