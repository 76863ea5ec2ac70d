"""What Dagster loads: the workflow of the project in the current folder, or of ``MAESTRO_PROJECT``; standing assets."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import dagster as dg

from maestro.errors import InputError, Location
from maestro.profile import load_profile
from maestro.project import Project
from maestro_defs.advisories import advisories
from maestro_defs.compiler import asset_key, compile_workflow
from maestro_defs.evals import eval_assets
from maestro_defs.evals_setup import Evals
from maestro_defs.models import Charged, model_assets
from resources.delivery import Source

SERVED = "MAESTRO_SERVER_PROJECT"


@dg.definitions
def defs() -> dg.Definitions:
    """The definitions of one project: on a server the one that is named, else the one of this folder."""
    served = os.environ.get(SERVED)
    if served:
        from maestro.server.home import find_server
        from maestro_defs.served import definitions_of_project

        return definitions_of_project(find_server(), served, os.environ)
    start = Path(os.environ.get("MAESTRO_PROJECT") or Path.cwd())
    project = Project.find(start, file=os.environ.get("MAESTRO_FILE"))
    return definitions_of(Source.load(project, load_profile()), os.environ)


def definitions_of(source: Source, environ: Mapping[str, str], *, prefix: tuple[str, ...] = ()) -> dg.Definitions:
    """One workflow, and the standing assets of its project.

    Args:
        prefix: of the keys of those that are the project's own: on a server its name.

    Raises:
        InputError: the workflow is wrong, or a step has the key of a standing asset.
    """
    charged = Charged(source.project, source.project_name, source.tenant, prefix)
    standing = (
        advisories(source.project, environ),
        model_assets(charged, environ),
        eval_assets(Evals(charged, environ, source.open_store)),
    )
    taken = {spec.key for one in standing for spec in one.resolve_all_asset_specs()}
    for node in source.graph:
        if asset_key(source.project_name, node.name) in taken:
            raise InputError(
                f"step '{node.name}' is called as one of Maestro's own assets is",
                where=Location(source.loaded.file),
                next_step="give it, or its stage, another name",
            )
    return dg.Definitions.merge(compile_workflow(source), *standing)
