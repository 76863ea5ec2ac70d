"""Dagster's run launcher of profile ``kubernetes``: dagster-k8s's, whose Jobs run Maestro's own worker.

Private seam used, pinned by tests/integration/test_cluster_kubernetes.py: ``K8sRunLauncher._launch_k8s_job_with_args``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import dagster as dg
from dagster._core.launcher.base import LaunchRunContext, ResumeRunContext
from dagster._serdes.config_class import ConfigurableClassData
from dagster_k8s import K8sRunLauncher
from dagster_k8s.job import get_job_name_from_run_id

from maestro.server.home import find_server
from maestro.server.leases import Leases
from maestro_defs.cluster.body import BODY
from maestro_defs.cluster.sources import send_source
from maestro_defs.cluster.stopping import ask_to_stop
from maestro_defs.server import Server

HOME = "/var/lib/maestro"
"""The server's home in a pod: an empty folder that goes with the pod."""
_USER = 65532
"""Of deploy/images/maestro."""


class KubernetesLauncher(K8sRunLauncher):
    """Starts a Job for each run, whose pod fits the restricted Pod Security Standard.

    Args:
        home: the server's home; what ``MAESTRO_SERVER_HOME`` says when not given.
        instance_config_map: has a ``server.yaml``, the settings of workers, beside Dagster's ``dagster.yaml``.
        settings: the rest is dagster-k8s's. ``run_k8s_config`` and the tag ``dagster-k8s/config`` change the pod.
    """

    def __init__(
        self,
        instance_config_map: str,
        home: str | None = None,
        run_k8s_config: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        self._folder = home
        parts = pod_parts(instance_config_map)
        merged = {name: {**parts.get(name, {}), **value} for name, value in (run_k8s_config or {}).items()}
        super().__init__(instance_config_map=instance_config_map, run_k8s_config={**parts, **merged}, **settings)

    @classmethod
    def config_type(cls) -> Mapping[str, Any]:
        """dagster-k8s's settings, and ``home``."""
        theirs: Mapping[str, Any] = super().config_type()  # type: ignore[no-untyped-call]  # dagster-k8s's is.
        return {**theirs, "home": dg.Field(dg.StringSource, is_required=False)}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> KubernetesLauncher:
        """As ``dagster.yaml`` says."""
        return cls(inst_data=inst_data, **config_value)

    @cached_property
    def _server(self) -> Server:
        return Server(find_server(self._folder))

    def launch_run(self, context: LaunchRunContext) -> None:
        """Returns once the artifact store has the run's source and Kubernetes its Job.

        Raises:
            MaestroError: the store cannot be reached.
        """
        run = context.dagster_run
        send_source(self._server, self._instance, run)
        self._launch_k8s_job_with_args(_job_name(run.run_id), _command(run, resume=False), run)

    def resume_run(self, context: ResumeRunContext) -> None:
        """Returns once Kubernetes has another Job for the run."""
        run = context.dagster_run
        name = _job_name(run.run_id, context.resume_attempt_number)
        self._launch_k8s_job_with_args(name, _command(run, resume=True), run)

    def terminate(self, run_id: str) -> bool:
        """Asks the run to stop, with what it does at its end; asked again, its Job is deleted.

        Returns:
            False when it has ended already.
        """
        run = self._instance.get_run_by_id(run_id)
        if run is not None and run.status == dg.DagsterRunStatus.CANCELING:
            return bool(super().terminate(run_id))  # type: ignore[no-untyped-call]  # dagster-k8s's is.
        return ask_to_stop(self._instance, Leases(self._server.engine), run_id)


def pod_parts(settings_map: str) -> dict[str, Any]:
    """The parts of a run's pod that dagster-k8s leaves open, by the names of its ``run_k8s_config``."""
    volumes = [
        {"name": "maestro-home", "empty_dir": {}},
        {"name": "maestro-temporary", "empty_dir": {}},
        {"name": "maestro-settings", "config_map": {"name": settings_map}},
    ]
    mounts = [
        {"name": "maestro-home", "mount_path": HOME},
        {"name": "maestro-temporary", "mount_path": "/tmp"},
        {
            "name": "maestro-settings",
            "mount_path": f"{HOME}/server.yaml",
            "sub_path": "server.yaml",
            "read_only": True,
        },
    ]
    return {
        "container_config": {
            "security_context": {
                "allow_privilege_escalation": False,
                "read_only_root_filesystem": True,
                "capabilities": {"drop": ["ALL"]},
            },
            "volume_mounts": mounts,
        },
        "pod_spec_config": {
            "security_context": {
                "run_as_non_root": True,
                "run_as_user": _USER,
                "run_as_group": _USER,
                "fs_group": _USER,
                "seccomp_profile": {"type": "RuntimeDefault"},
            },
            "automount_service_account_token": False,
            # A drained node: steps in progress end, then the run is left for another Job.
            "termination_grace_period_seconds": 60,
            "volumes": volumes,
        },
    }


def _job_name(run_id: str, attempt: int | None = None) -> str:
    name: str = get_job_name_from_run_id(run_id, resume_attempt_number=attempt)  # type: ignore[no-untyped-call]  # dagster-k8s's is.
    return name


def _command(run: dg.DagsterRun, *, resume: bool) -> list[str]:
    # The same worker as on a server, for one run: SIGTERM, which a node that is drained sends, leaves the run.
    command = ["python", "-m", "maestro_defs.warm.cold", run.run_id, "--body", BODY]
    return [*command, "--resume"] if resume else command
