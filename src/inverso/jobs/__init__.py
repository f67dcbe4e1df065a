"""Many photos: one description of the work, and places to do it."""

from inverso.jobs.folder import DiskFullError, Summary, run_folder
from inverso.jobs.job import Job
from inverso.jobs.listing import Photo, list_photos
from inverso.jobs.local import Local
from inverso.jobs.manifest import Record, read_records
from inverso.jobs.photo_job import Answer, Described, Input, Opened, PhotoJob
from inverso.jobs.ray import Ray
from inverso.jobs.work import Executor, Lost, Work

__all__ = [
    "Answer",
    "Described",
    "DiskFullError",
    "Executor",
    "Input",
    "Job",
    "Local",
    "Lost",
    "Opened",
    "Photo",
    "PhotoJob",
    "Ray",
    "Record",
    "Summary",
    "Work",
    "list_photos",
    "read_records",
    "run_folder",
]
