"""Names of the tags a run carries, the same whether this machine or a server starts it."""

from __future__ import annotations

PROJECT_TAG = "maestro/project"
WORKFLOW_TAG = "maestro/workflow"
PARTITION_TAG = "dagster/partition"
"""The revision."""

PARAMS_TAG = "maestro/params"
"""Every parameter's value, as a JSON object."""

BASE_TAG = "maestro/base"
PLANNED_TAG = "maestro/planned"
REDO_TAG = "maestro/redo"
ASSUME_DONE_TAG = "maestro/assume_done"
EARLIER_TAG = "maestro/earlier"
"""Ids of the runs it resumes, the nearest first, separated by commas."""

LOCAL_TAG = "maestro/local"
"""Carried out in the foreground by ``maestro run``."""

PROCESS_TAG = "maestro/process"
"""The process that carries it out, as ``maestro.runs.process`` names it."""

WORKSPACE_TAG = "maestro/workspace"
"""The person's checkout, when the run works in it."""

ENDED_TAG = "maestro/ended"
"""What a run does at its end (undo, ``finally``) has been done, by the run itself or later in its place."""

LAUNCH_TAG = "maestro/launch"
"""Made by the client for each launch, so that a launch whose answer got lost is found again."""
TENANT_TAG = "maestro/tenant"
DELIVERY_TAG = "maestro/delivery"
"""What asked for it: provider and the provider's own id of the delivery."""
ARRIVAL_TAG = "maestro/arrival"
"""That delivery's position in the server's inbox: the order of what a group's runs were asked for in."""
PULL_REQUEST_TAG = "maestro/pull_request"
DEPLOYMENT_TAG = "maestro/deployment"
"""The provider's id of the deployment that asked for it."""
AUTHOR_TAG = "maestro/author"
BRANCH_TAG = "maestro/branch"
"""The branch the revision was pushed to; a checkout by commit does not know it."""
TRACE_TAG = "maestro/traceparent"
"""W3C trace context of the delivery."""
GROUP_TAG = "maestro/group"
"""Concurrency group: of one project, one run of a group goes on at a time."""
SUPERSEDES_TAG = "maestro/cancel_superseded"
"""It ends the older runs of its group instead of waiting for them."""
WORKFLOW_REVISION_TAG = "maestro/workflow_revision"
"""The commit whose workflow file is used, when that is not the revision itself."""
UNTRUSTED_TAG = "maestro/untrusted"
"""Somebody without write access made the revision: no secrets, sandboxed, nothing signed or cached."""
CHECKOUT_TAG = "maestro/checkout"
"""Folder with the revision checked out, for a worker on the same machine."""

WAITS_TAG = "maestro/waits"
"""What a queued run waits for, as a sentence for people; says nothing about a run that is not queued."""

LAUNCHES_TAG = "maestro/launches"
"""How often a run could not be launched."""
