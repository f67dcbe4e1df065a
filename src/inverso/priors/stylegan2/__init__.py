"""The StyleGAN2 generator: mapping, modulated layers, and the prior made of them."""

from inverso.priors.stylegan2.prior import StyleGAN2 as StyleGAN2
