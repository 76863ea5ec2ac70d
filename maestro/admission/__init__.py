"""Admission: which queued runs start now, which are superseded, which wait and for what.

Concurrency groups, limits of server, tenant and project, priorities and fairness, as one pure function over what is
queued and what is active. Nothing here knows Dagster or a database; ``maestro_defs.coordinator`` carries it out.
"""

from maestro.admission.admit import admit
from maestro.admission.model import Active, Admission, Limits, Waiting

__all__ = ["Active", "Admission", "Limits", "Waiting", "admit"]
