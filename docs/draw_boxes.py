"""Draw a sheet of faces whose middle was filled in: `python docs/draw_boxes.py FACES sheet.png`.

Thirty photos, a box of half their side missing: above what was left, then the answers of the default, of diffusion
after a generator, and of diffusion alone. A person who looks at it counts the faces. The photos of FACES are not ours
to publish, nor is the sheet.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch.nn.functional import interpolate

import inverso
from inverso.images import load_image
from inverso.images.folders import pictures_in
from inverso.images.io import save_image
from inverso.operators import BoxMask

METHODS = ("encoder+bp+pnp", "encoder+bp+ddnm", "ddnm")
COUNT, COLUMNS, ENLARGED, SEED = 30, 10, 2, 0
"""Photos in all and in a row of the sheet, the factor by which they are enlarged, and the seed."""


def main() -> None:
    """Fill the boxes and draw the sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--prior", default="faces-64")
    parser.add_argument("-m", "--methods", nargs="+", default=METHODS)
    options = parser.parse_args()
    prior = inverso.priors.load(options.prior)
    side = prior.image_shape[-1]
    x = torch.cat([load_image(file, size=side) for file in pictures_in(options.faces)[:COUNT]])
    A = BoxMask(side // 2)
    y = A(x)
    strips = [y, *(inverso.solve(y, A, prior, method, seed=SEED).image for method in options.methods)]
    columns = torch.cat(strips, dim=-2)
    save_image(interpolate(columns, scale_factor=ENLARGED), options.out, columns=COLUMNS)


if __name__ == "__main__":
    main()
