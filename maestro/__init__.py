"""Maestro: the domain library of a delivery and the programs on it.

Nothing here knows Dagster except ``maestro.cli``; the Dagster code location is ``maestro_defs``.
"""

__version__ = "0.1.0"
