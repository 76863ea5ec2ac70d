"""Where a server keeps the repositories it delivers: a bare mirror each, and folders with one revision of it.

A mirror is fetched from its origin one commit at a time. What a run works in borrows the mirror's objects but has
references and settings of its own, so a step that tags, commits or configures git changes nothing for other runs.
"""

from maestro.mirror.address import Address
from maestro.mirror.credentials import token_environment
from maestro.mirror.errors import GoneError, MirrorError, NoBaseError, UnreachableError
from maestro.mirror.mirror import Mirror
from maestro.mirror.pack import pack_source
from maestro.mirror.unpack import unpack_source
from maestro.mirror.worktree import remove_worktree, worktree

__all__ = [
    "Address",
    "GoneError",
    "Mirror",
    "MirrorError",
    "NoBaseError",
    "UnreachableError",
    "pack_source",
    "remove_worktree",
    "token_environment",
    "unpack_source",
    "worktree",
]
