"""Discriminators, which distinguish real photos from generated ones during training."""

from inverso.training._discriminators.patch import MultiscaleDiscriminator, PatchDiscriminator, PlainDiscriminator
from inverso.training._discriminators.slides import SlidesDiscriminator

__all__ = ["MultiscaleDiscriminator", "PatchDiscriminator", "PlainDiscriminator", "SlidesDiscriminator"]
