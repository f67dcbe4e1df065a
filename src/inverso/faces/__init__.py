"""Restore faces that are not aligned: find them, fit pose and latent of a prior, and paste the restored face back."""

from inverso.faces.find import find_faces
from inverso.faces.fit import FittedFace, fit_face
from inverso.faces.pose import Pose
from inverso.faces.restore import NoFaceError, RestoredFace, restore_face, solve_faces, starts_of

__all__ = [
    "FittedFace",
    "NoFaceError",
    "Pose",
    "RestoredFace",
    "find_faces",
    "fit_face",
    "restore_face",
    "solve_faces",
    "starts_of",
]
