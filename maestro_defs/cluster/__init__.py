"""Runs on other machines: Celery workers, each with a warm server of its own, or Kubernetes Jobs.

Machines share the database, the broker and the artifact store, and nothing else. A message only says which run is to
be carried out. Who does it *claims* the run with a lease in the database, which a worker renews while it lives; so a
message that comes twice starts nothing twice, and a run without a claim has no worker any more and goes on elsewhere.
"""
