"""Jobs: process many photos, resumable, on one machine or a cluster."""

from inverso.jobs.folder import Summary, run_folder
from inverso.jobs.job import Job
from inverso.jobs.local import Local
from inverso.jobs.manifest import Record, read_records
from inverso.jobs.photo_job import Answer, Input, PhotoJob
from inverso.jobs.ray import Ray
from inverso.jobs.restore import Restore
from inverso.jobs.work import Executor

__all__ = [
    "Answer",
    "Executor",
    "Input",
    "Job",
    "Local",
    "PhotoJob",
    "Ray",
    "Record",
    "Restore",
    "Summary",
    "read_records",
    "run_folder",
]
