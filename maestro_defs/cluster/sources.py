"""A run's source on its way to the machine that carries the run out: through the artifact store, never a shared disk.

Whoever launches the run has the project's mirror and packs the revision; a worker needs neither the repository nor its
credentials.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping

import dagster as dg

from maestro.artifacts import ArtifactStore
from maestro.errors import InputError, Location
from maestro.mirror import Mirror, pack_source, remove_worktree, unpack_source
from maestro.runs.tags import BASE_TAG, CHECKOUT_TAG, UNTRUSTED_TAG
from maestro.server.projects import RegisteredProject
from maestro_defs.making import checkout_of
from maestro_defs.run_worker import project_of, workflow_revision
from maestro_defs.server import Server
from maestro_defs.trust import SOURCE_TAG, commit_of, judged


def send_source(server: Server, instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """Keeps the revision of ``run``, and that of its workflow file, in the artifact store; says so on the run.

    The checkout it was planned in, which is on this machine, goes.

    Raises:
        InputError: the profile names no artifact store that other machines reach.
        MaestroError: the store cannot be reached, or the mirror does not have the revision.
    """
    project = server.projects.get(project_of(run))
    store = shared_store(server, project)
    mirror = server.mirror(project)
    # Here, where the repository can be asked; what a run was copied from does not count.
    run = judged(run.with_tags({k: v for k, v in run.tags.items() if k != SOURCE_TAG}), instance, project.name, mirror)
    sha = commit_of(run) or server.default_revision(project)
    packed = {one: _packed(mirror, project, one, store, run) for one in {sha, workflow_revision(server, project, run)}}
    instance.add_run_tags(run.run_id, {SOURCE_TAG: json.dumps(packed)})
    folder = checkout_of(run)
    if folder is not None:
        remove_worktree(folder)


def receive_source(server: Server, instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """Puts what ``send_source`` kept into this machine's mirror, and the run's own revision into a checkout for it.

    Does nothing for a run without such archives: its revision is fetched from the project's repository.

    Raises:
        MaestroError: the store cannot be reached, or an archive is missing, damaged or of another commit.
    """
    packed = _read(run)
    if not packed:
        return
    project = server.projects.get(project_of(run))
    store = shared_store(server, project)
    sha = commit_of(run)
    for one, digest in packed.items():
        folder = server.home.worktrees / f"{one[:12]}-{run.run_id}"
        shutil.rmtree(folder, ignore_errors=True)  # Of a worker of this machine that died with the run.
        unpack_source(store, digest, folder, sha=one)
        # The archive is the origin, this once: the repository's own address may need credentials this machine has not.
        Mirror(server.mirror(project).folder, str(folder)).ensure(one)
        if one == sha:
            instance.add_run_tags(run.run_id, {CHECKOUT_TAG: f"{os.uname().nodename} {folder}"})
        else:
            remove_worktree(folder)


def shared_store(server: Server, project: RegisteredProject) -> ArtifactStore:
    """The artifact store, when it is one that other machines reach.

    Raises:
        InputError: it is a folder of the project.
        ArtifactStoreError: it cannot be opened.
    """
    if server.profile.settings.artifacts is None:
        raise InputError(
            f"profile '{server.profile.name}' names no artifact store that other machines reach",
            where=Location(str(server.profile.folder / "settings.yaml")),
            next_step="set `artifacts` to a URL like s3://bucket/prefix",
        )
    return server.store(project)


def _packed(mirror: Mirror, project: RegisteredProject, sha: str, store: ArtifactStore, run: dg.DagsterRun) -> str:
    mirror.ensure(sha)
    base = run.tags.get(BASE_TAG)
    return pack_source(
        mirror,
        sha,
        store,
        base=base if base is not None and mirror.repository.has(base) else None,
        submodules=project.submodules,
        lfs=project.lfs,
        strange=UNTRUSTED_TAG in run.tags,
    ).sha256


def _read(run: dg.DagsterRun) -> Mapping[str, str]:
    try:
        found = json.loads(run.tags.get(SOURCE_TAG, "{}"))
    except ValueError:
        return {}
    return {str(sha): str(digest) for sha, digest in found.items()} if isinstance(found, dict) else {}
