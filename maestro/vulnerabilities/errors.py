"""What can go wrong with the advisory database and with scans."""

from __future__ import annotations

from maestro.errors import InputError, MaestroError


class AdvisoryError(InputError):
    """A file says it is an advisory and is none, or an archive of advisories is not one."""


class AdvisoryDatabaseError(MaestroError):
    """The advisory database is missing, damaged or could not be brought up to date."""


class SbomError(InputError):
    """A file is no CycloneDX document that can be scanned."""


class VexError(InputError):
    """A file is neither an OpenVEX nor a CycloneDX VEX document."""


class ReportError(InputError):
    """A document is not a vulnerability report."""
