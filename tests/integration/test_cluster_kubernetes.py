"""Runs as Kubernetes Jobs: what is asked of the API server, and that the pod's command carries the run out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import kubernetes_validate
import pytest
import yaml
from dagster._core.launcher.base import LaunchRunContext, ResumeRunContext

from maestro.server.home import find_server
from maestro.server.projects import RegisteredProject
from maestro_defs.making import AskedRun, make_run
from maestro_defs.server import Server
from tests.integration.cluster import make_home, make_origin
from tests.loopback import Handler, serving

if TYPE_CHECKING:
    # Two seconds of imports, for the one worker of pytest-xdist that needs them.
    from maestro_defs.cluster.kubernetes import KubernetesLauncher

WORKFLOW = """
name: delivery
project: shop
stages:
  - name: build
    steps:
      - { id: copy, run: shell, with: { command: 'cp app.txt copy.txt' }, outputs: [copy.txt] }
"""


@dataclass
class ApiServer:
    """An API server that takes Jobs, and remembers what it was asked for."""

    url: str
    jobs: list[dict[str, Any]] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)


@contextmanager
def api_server() -> Iterator[ApiServer]:
    class Answering(Handler):
        def do_POST(self) -> None:
            assert self.path == "/apis/batch/v1/namespaces/delivery/jobs", self.path
            job = json.loads(self.body())
            asked.jobs.append(job)
            self.answer(201, job)

        def do_DELETE(self) -> None:
            asked.deleted.append(self.path.rpartition("/")[2])
            self.answer(200, {"kind": "Status", "apiVersion": "v1", "status": "Success"})

        def answer(self, code: int, content: object) -> None:
            self.reply(code, json.dumps(content).encode(), {"Content-Type": "application/json"})

    with serving(Answering) as url:
        asked = ApiServer(url)
        yield asked


@dataclass
class Site:
    server: Server
    instance: dg.DagsterInstance
    launcher: KubernetesLauncher
    api: ApiServer

    def run(self) -> dg.DagsterRun:
        """A run that is about to be launched."""
        project = self.server.projects.get("shop")
        sha = self.server.default_revision(project)
        loaded = self.server.workflow(project, sha)
        made = make_run(self.server, self.instance, project, loaded, AskedRun("test:1", sha, sha, "main"))
        assert made is not None
        self.instance.report_engine_event("launching", made.run)
        return made.run

    def now(self, run: dg.DagsterRun) -> dg.DagsterRun:
        found = self.instance.get_run_by_id(run.run_id)
        assert found is not None
        return found


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    profile = tmp_path / "profile"
    profile.mkdir()
    (profile / "dagster.yaml").write_text("telemetry: {enabled: false}\n", "utf-8")
    (profile / "settings.yaml").write_text(f"artifacts: {tmp_path / 'artifacts'}\n", "utf-8")
    home = make_home(tmp_path / "home", profile=str(profile), database=None)
    monkeypatch.setenv("MAESTRO_SERVER_HOME", str(home))
    from maestro_defs.cluster.kubernetes import KubernetesLauncher

    with api_server() as api:
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": api.url}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config), "utf-8")
        launcher = KubernetesLauncher(
            home=str(home),
            instance_config_map="maestro-settings",
            service_account_name="maestro-run",
            dagster_home="/etc/maestro/dagster",
            job_image="registry.example.com/maestro:1",
            job_namespace="delivery",
            env_config_maps=["maestro"],
            env_secrets=["maestro"],
            load_incluster_config=False,
            kubeconfig_file=str(tmp_path / "kubeconfig"),
        )
        server = Server(find_server(home))
        with server.instance() as instance:
            launcher.register_instance(instance)
            origin = make_origin(tmp_path, {"maestro.yaml": WORKFLOW, "app.txt": "app\n"})
            server.projects.add(RegisteredProject("shop", str(origin), provider="git"))
            yield Site(server, instance, launcher, api)


def test_the_job_is_valid_and_its_pod_is_restricted(site: Site) -> None:
    from maestro_defs.cluster.kubernetes import HOME

    run = site.run()
    site.launcher.launch_run(LaunchRunContext(run, None))
    (job,) = site.api.jobs
    kubernetes_validate.validate(job, "1.34", strict=True)
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert {"secretRef": {"name": "maestro"}} in container["envFrom"]
    assert not any("hush" in str(one) for one in container.get("env", []))
    mounted = {one["mountPath"] for one in container["volumeMounts"]}
    assert {HOME, f"{HOME}/server.yaml", "/tmp"} <= mounted
    assert all("hostPath" not in volume and "persistentVolumeClaim" not in volume for volume in pod["volumes"])


def test_the_pods_command_carries_the_run_out(site: Site) -> None:
    run = site.run()
    site.launcher.launch_run(LaunchRunContext(run, None))
    (container,) = site.api.jobs[0]["spec"]["template"]["spec"]["containers"]
    command = [*container.get("command", []), *container["args"]]
    assert command[0] == "python"
    subprocess.run([sys.executable, *command[1:]], env=dict(os.environ), check=True, timeout=300)
    assert site.now(run).status == dg.DagsterRunStatus.SUCCESS


def test_a_resumed_run_gets_another_job(site: Site) -> None:
    run = site.run()
    site.launcher.launch_run(LaunchRunContext(run, None))
    site.launcher.resume_run(ResumeRunContext(run, None, resume_attempt_number=1))
    first, second = site.api.jobs
    assert first["metadata"]["name"] != second["metadata"]["name"]
    arguments = [job["spec"]["template"]["spec"]["containers"][0]["args"] for job in (first, second)]
    assert ["--resume" in one for one in arguments] == [False, True]


def test_a_run_is_cancelled_by_what_is_written_on_it_and_its_job_is_deleted_only_when_asked_again(site: Site) -> None:
    run = site.run()
    site.launcher.launch_run(LaunchRunContext(run, None))
    assert site.launcher.terminate(run.run_id)
    assert site.now(run).status == dg.DagsterRunStatus.CANCELED
    assert site.api.deleted == []
    assert not site.launcher.terminate(run.run_id)


def test_a_profile_without_a_store_that_others_reach_is_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    run = site.run()
    (site.server.profile.folder / "settings.yaml").write_text("artifacts: null\n", "utf-8")
    with pytest.raises(Exception, match="names no artifact store that other machines reach") as caught:
        site.launcher.launch_run(LaunchRunContext(run, None))
    assert "set `artifacts` to a URL" in str(getattr(caught.value, "next_step", ""))
    assert site.api.jobs == []


def test_the_launcher_stands_on_a_method_of_dagster_k8s_that_is_still_there() -> None:
    from dagster_k8s import K8sRunLauncher

    assert callable(K8sRunLauncher._launch_k8s_job_with_args)
