"""The repository Maestro delivers: where it is, which revision it stands at, and a checkout of any revision."""

from maestro.project.checkout import checkout
from maestro.project.git import Git
from maestro.project.project import Project
from maestro.project.revision import FileEntry, Revision, current_revision, revision_of
from maestro.project.source import source_subject

__all__ = [
    "FileEntry",
    "Git",
    "Project",
    "Revision",
    "checkout",
    "current_revision",
    "revision_of",
    "source_subject",
]
