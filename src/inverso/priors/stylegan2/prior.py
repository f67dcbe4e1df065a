"""StyleGAN2 as a prior: its latent spaces, truncation, and synthesis."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor

from inverso._checks import as_generator, check_choice, check_count, check_number, check_positive
from inverso._types import Seed
from inverso.priors.base import StylePrior
from inverso.priors.stylegan2._sizes import check_widths, read_sizes
from inverso.priors.stylegan2._synthesis import Noise, NoiseKind, StyleMapping, Synthesis

Space: TypeAlias = Literal["z", "w", "w+", "w++"]
"""Where latents live: Gaussian, one style, one style per row, one style per row and filter."""

_SPACES: tuple[str, ...] = get_args(Space)
_MEAN_SAMPLES = 10_000


class StyleGAN2(StylePrior):
    """Generate images with StyleGAN2 (Karras et al. 2020, arXiv:1912.04958), in plain PyTorch.

    A mapping network maps the direction of a latent z to a style w; each layer of the synthesis network scales its
    filters by an affine map of its row of styles. The latent space is one of four:

    | space | latent | rows of styles |
    |---|---|---|
    | z | `(z_dim,)`, drawn from N(0, I) | all rows are the style of z, truncated by `psi` |
    | w | `(w_dim,)` | all rows are this style |
    | w+ | `(num_ws, w_dim)` | each row is free |
    | w++ | `(num_ws, filters, w_dim)` | a style for each row and filter (Poirier-Ginter & Lalonde 2023, section 3.1) |

    `num_ws` is `2 log2(size) - 2`. A layer with fewer than `filters` output channels leaves the last vectors of its row
    unused. Noise maps are constant, so that the image is a function of the latent. With gradients, an image of 1024 px
    takes 0.9 GB in any space, and 1.5 GB if `conv_clamp` is set.

    Args:
        size: Side of the images: a power of two from 4 to 4096.
        z_dim: Length of a latent z.
        w_dim: Length of a style vector.
        mapping_layers: Number of layers of the mapping network: 8 in most published networks.
        channel_base: Decides the channels at each resolution: `min(channel_base / side, channel_max)`.
        channel_max: Largest number of channels.
        widths: Channels at 4 px, 8 px, ..., instead of the previous two.
        channels: Channels of the image.
        conv_clamp: Bound on activations, as in networks trained in half precision.
        space: The latent space.
        psi: Truncation (Karras et al. 2019, arXiv:1812.04948, section 3.1): styles of latents z become `mean_w + psi (w
            - mean_w)`; 1 for none, below 1 for more typical images.
        seed: Seed of the initial weights. Their `mean_w` is zero, as at the start of a training.

    Attributes:
        mean_w: The mean style, `(w_dim,)`, a buffer.
        num_ws: Number of rows of styles.
        filters: Style vectors per row in w++, the largest number of output channels of any layer.

    Raises:
        TypeError: A size or a setting is not of the right type.
        ValueError: A size is not positive or not a power of two, `widths` do not fit it, or the space is unknown.

    Example:
        >>> from inverso.priors import StyleGAN2
        >>> prior = StyleGAN2(32, z_dim=16, w_dim=16, channel_max=16)
        >>> prior(prior.sample_latent(2)).shape
        torch.Size([2, 3, 32, 32])
        >>> prior.in_space("w+").latent_shape
        (8, 16)
    """

    # Equalized weights have unit scale in every layer, as those of PGGAN.
    adapt_lr = 1e-3
    # Latents z are normalized before anything else, and styles are not normal.
    latent_weight = 0.0
    mean_w: Tensor

    def __init__(  # noqa: PLR0913 - sizes of the network beside the choice of its latents
        self,
        size: int = 256,
        *,
        z_dim: int = 512,
        w_dim: int = 512,
        mapping_layers: int = 8,
        channel_base: int = 32768,
        channel_max: int = 512,
        widths: Sequence[int] | None = None,
        channels: int = 3,
        conv_clamp: float | None = None,
        space: Space = "z",
        psi: float = 1.0,
        seed: Seed = 0,
    ) -> None:
        for name, value in {"z_dim": z_dim, "w_dim": w_dim, "mapping_layers": mapping_layers}.items():
            check_count(value, name=name)
        check_count(channels, name="channels")
        clamp = None if conv_clamp is None else check_positive(conv_clamp, name="conv_clamp")
        widths = check_widths(size, widths, base=channel_base, limit=channel_max)
        super().__init__(latent_shape=(z_dim,), image_shape=(channels, size, size))
        self.z_dim, self.w_dim = z_dim, w_dim
        self.num_ws = 2 * len(widths)
        self.filters = max(*widths, channels)
        self.config = {
            "size": size,
            "z_dim": z_dim,
            "w_dim": w_dim,
            "mapping_layers": mapping_layers,
            "widths": list(widths),
            "channels": channels,
            "conv_clamp": clamp,
        }
        generator = as_generator(seed)
        self.register_buffer("mean_w", torch.zeros(w_dim))
        self.mapping = StyleMapping(z_dim, w_dim, mapping_layers, generator)
        self.synthesis = Synthesis(widths, channels=channels, w_dim=w_dim, generator=generator, clamp=clamp)
        self._settle(space, psi)

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tensor], *, conv_clamp: float | None = None) -> StyleGAN2:
        """Build the network that a state dict belongs to, with its weights, in evaluation mode.

        Args:
            state: State dict of a StyleGAN2 generator of NVIDIA's PyTorch code (`mapping.fc0.weight`, ...,
                `synthesis.b4.const`, ...). All sizes follow from the shapes. Without `mapping.w_avg`, the mean style is
                estimated.
            conv_clamp: As in the constructor; it does not follow from the weights.

        Returns:
            The prior in the space z, with copies of the tensors.

        Raises:
            ValueError: The state dict belongs to another network, or to a variant that is not supported: StyleGAN3,
                networks with labels, networks with residual blocks.
        """
        names = {"mapping.w_avg": "mean_w"}
        kept = {names.get(name, name): value for name, value in state.items() if not name.endswith(".resample_filter")}
        sizes = read_sizes(kept)
        without_mean = "mean_w" not in kept
        if without_mean:
            kept["mean_w"] = torch.zeros(sizes.w_dim)
        with torch.device("meta"):
            prior = cls(
                sizes.side,
                z_dim=sizes.z_dim,
                w_dim=sizes.w_dim,
                mapping_layers=sizes.mapping_layers,
                widths=sizes.widths,
                channels=sizes.channels,
                conv_clamp=conv_clamp,
            )
        prior.adopt(kept)
        if without_mean:
            with torch.inference_mode(mode=False):
                prior.mean_w = prior.estimate_mean_w()
        return prior.eval()

    def in_space(self, space: Space, *, psi: float | None = None) -> StyleGAN2:
        """Return the same network with another latent space.

        Args:
            space: "z", "w", "w+" or "w++".
            psi: Truncation; by default unchanged.

        Returns:
            A prior that shares its weights with this one, which is not changed.

        Raises:
            TypeError: `psi` is not a number.
            ValueError: The space is unknown, or `psi` not finite.

        Example:
            >>> from inverso.priors import StyleGAN2
            >>> prior = StyleGAN2(16, z_dim=8, w_dim=8, channel_max=8)
            >>> prior.in_space("w").sample_latent(2).shape
            torch.Size([2, 8])
        """
        other = copy.copy(self)
        other._settle(space, self.psi if psi is None else psi)
        return other

    def map(self, z: Tensor) -> Tensor:
        """Map latents to styles, `w = mean_w + psi (f(z) - mean_w)`.

        Args:
            z: Latents `(n, z_dim)`, for any latent space of the prior.

        Returns:
            Styles `(n, w_dim)`.

        Raises:
            TypeError: `z` is not a floating-point tensor.
            ValueError: `z` has another shape.
        """
        self.in_space("z").check_latent(z)
        return self._truncated(self.mapping(z))

    def synthesize(
        self, styles: Tensor, *, noise: NoiseKind = "const", generator: torch.Generator | None = None
    ) -> Tensor:
        """Map styles to images.

        Args:
            styles: Rows of styles `(n, num_ws, w_dim)`, or `(n, num_ws, filters, w_dim)` with one style per filter, for
                any latent space of the prior.
            noise: Noise maps of the layers: "const", those stored with the network; "random", a new one for each image
                and layer, as in training; "none".
            generator: Random generator for "random".

        Returns:
            Images `(n, C, H, W)`, nominally in [0, 1], not clamped.

        Raises:
            TypeError: The styles are not a floating-point tensor.
            ValueError: The styles have another shape, the kind of noise is unknown, or a generator is missing for
                "random" or given for another kind.
        """
        self._check_styles(styles)
        check_choice(noise, get_args(NoiseKind), name="noise")
        if (noise == "random") != (generator is not None):
            msg = f"noise='random' needs a generator, the other kinds take none; got noise={noise!r} and {generator}"
            raise ValueError(msg)
        image: Tensor = self.synthesis(styles, Noise(noise, generator))
        return (image + 1) / 2

    def sample_latent(self, n: int, *, seed: Seed = 0) -> Tensor:
        """Draw latents: z from N(0, I); in the other spaces the styles of such z, truncated by `psi`.

        Args:
            n: Number of latents, at least 1.
            seed: A seed, or a generator on the CPU, which is then advanced.

        Returns:
            Latents `(n, *latent_shape)` on the prior's device and in its dtype.

        Raises:
            TypeError: `n` is not an integer, or the seed neither an integer nor a generator.
            ValueError: `n` is below 1, or the generator lives on another device.
        """
        if self.space == "z":
            return super().sample_latent(n, seed=seed)
        with torch.no_grad():
            w = self.map(self.in_space("z").sample_latent(n, seed=seed))
        between = (1,) * (len(self.latent_shape) - 1)
        return w.reshape(n, *between, self.w_dim).expand(n, *self.latent_shape).contiguous()

    def estimate_mean_w(self, samples: int = _MEAN_SAMPLES, *, seed: Seed = 0) -> Tensor:
        """Average the styles of random latents, for networks without `mean_w`.

        Args:
            samples: Number of latents.
            seed: Seed of the latents.

        Returns:
            The mean style `(w_dim,)`; the prior is not changed.

        Raises:
            TypeError: `samples` is not an integer, or the seed neither an integer nor a generator.
            ValueError: `samples` is below 1, or the generator lives on another device.
        """
        with torch.no_grad():
            mean: Tensor = self.mapping(self.in_space("z").sample_latent(samples, seed=seed)).mean(dim=0)
        return mean

    def forward(self, latent: Tensor) -> Tensor:
        """Map latents `(n, *latent_shape)` of the prior's space to images `(n, C, H, W)`, not clamped."""
        self.check_latent(latent)
        w = self._truncated(self.mapping(latent)) if self.space == "z" else latent
        styles = w[:, None].expand(-1, self.num_ws, -1) if w.ndim == 2 else w
        return self.synthesize(styles)

    def extra_repr(self) -> str:
        """Describe size and latents in the module's printout."""
        return f"{super().extra_repr()}, space={self.space!r}, psi={self.psi}"

    def _settle(self, space: Space, psi: float) -> None:
        check_choice(space, _SPACES, name="space")
        self.space = space
        self.psi = check_number(psi, name="psi", expected="a number")
        self.config = {**self.config, "space": space, "psi": self.psi}
        shapes = {
            "z": (self.z_dim,),
            "w": (self.w_dim,),
            "w+": (self.num_ws, self.w_dim),
            "w++": (self.num_ws, self.filters, self.w_dim),
        }
        self.latent_shape = shapes[space]

    def _truncated(self, w: Tensor) -> Tensor:
        return w if self.psi == 1 else self.mean_w + self.psi * (w - self.mean_w)

    def _check_styles(self, styles: Tensor) -> None:
        if not isinstance(styles, Tensor) or not styles.is_floating_point():
            kind = styles.dtype if isinstance(styles, Tensor) else type(styles).__name__
            msg = f"styles must be a floating-point tensor, got {kind}"
            raise TypeError(msg)
        rows, filters = (self.num_ws, self.w_dim), (self.num_ws, self.filters, self.w_dim)
        if tuple(styles.shape[1:]) not in (rows, filters) or styles.shape[0] < 1:
            msg = (
                f"styles of shape {tuple(styles.shape)} given, expected (n, {', '.join(map(str, rows))}) or "
                f"(n, {', '.join(map(str, filters))}) with n >= 1"
            )
            raise ValueError(msg)
