"""What is told of a run where its author works: a check, a status, a comment, and how they get there.

``report_of`` makes a report from what Maestro knows of a run, ``report_messages`` turns it into messages for the
outbox, and the ``Sender`` carries those out.
"""

from maestro.reporting.model import RunReport

__all__ = ["RunReport"]
