"""The StyleGAN2 generator: mapping network, modulated layers, and the prior."""

from inverso.priors.stylegan2.prior import StyleGAN2 as StyleGAN2
