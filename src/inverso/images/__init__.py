"""Images: reading and writing files, folders of photos, tiles, and figures."""

from inverso.images.folders import PhotoFolder
from inverso.images.io import load_image, photo, save_image
from inverso.images.marks import read_frequencies, read_kernel, read_mask
from inverso.images.measurements import load_measurement, quantization_noise, save_measurement
from inverso.images.photo import Photo, read_photo, write_photo
from inverso.images.plotting import grid, loss_curves
from inverso.images.tiling import Tiled

__all__ = [
    "Photo",
    "PhotoFolder",
    "Tiled",
    "grid",
    "load_image",
    "load_measurement",
    "loss_curves",
    "photo",
    "quantization_noise",
    "read_frequencies",
    "read_kernel",
    "read_mask",
    "read_photo",
    "save_image",
    "save_measurement",
    "write_photo",
]
