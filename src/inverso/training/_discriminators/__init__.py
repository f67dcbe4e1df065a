"""Discriminators: networks that tell real photos from made ones while a generator or a restorer is trained."""

from inverso.training._discriminators.patch import MultiscaleDiscriminator, PatchDiscriminator, PlainDiscriminator
from inverso.training._discriminators.slides import SlidesDiscriminator

__all__ = ["MultiscaleDiscriminator", "PatchDiscriminator", "PlainDiscriminator", "SlidesDiscriminator"]
