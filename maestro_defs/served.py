"""What Dagster loads for one project of a server: its default branch's workflow, its times, and the backstop."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime

import dagster as dg

from maestro.inbox import Inbox, NewDelivery
from maestro.server.home import ServerHome
from maestro.server.projects import RegisteredProject
from maestro.server.wake import poke
from maestro.workflow.triggers import Schedule, triggers_of
from maestro_defs.compiler import job_name
from maestro_defs.conductor import NAME, act_in_place
from maestro_defs.definitions import definitions_of
from maestro_defs.server import Server
from sensors.github import backstop_sensor
from sensors.schedules import workflow_schedule

PROVIDER = "schedule"


def definitions_of_project(home: ServerHome, name: str, environ: Mapping[str, str]) -> dg.Definitions:
    """The definitions of the project called ``name``.

    Raises:
        MaestroError: there is no such project, its repository cannot be reached, or its workflow is wrong.
    """
    server = Server(home)
    project = server.projects.get(name)
    loaded = server.workflow(project, server.default_revision(project))
    source = server.source(project, loaded)
    source.project.ensure_home()
    job = job_name(loaded.workflow.name)
    triggers = triggers_of(loaded.workflow.on)
    schedules = [
        workflow_schedule(number, one, job, lambda schedule, at: deliver(server, project, schedule, at))
        for number, one in enumerate(triggers.schedules if triggers is not None else ())
    ]
    standing = dg.Definitions(
        sensors=[backstop_sensor(lambda: act_in_place(home))],
        schedules=schedules,
    )
    return dg.Definitions.merge(definitions_of(source, environ, prefix=(project.name,)), standing)


def deliver(server: Server, project: RegisteredProject, schedule: Schedule, at: datetime) -> str:
    """Puts the delivery of a time into the inbox; the same time again changes nothing."""
    moment = at.astimezone(UTC).isoformat(timespec="seconds")
    content = {"project": project.name, "at": moment, "cron": schedule.cron, "timezone": schedule.timezone}
    inbox = Inbox(server.home.inbox_url)
    try:
        stored = inbox.append(
            NewDelivery(
                provider=PROVIDER,
                delivery=f"{project.name}/{schedule.cron}/{moment}",
                event="schedule",
                project=project.name,
                headers={"content-type": "application/json"},
                body=json.dumps(content).encode(),
                trace="",
            )
        )
    finally:
        inbox.close()
    poke(server.home, NAME)
    return f"delivery {stored.id}" + ("" if stored.new else ", which was there already")
