"""The manifests that come with Maestro, as `helm template` made them: valid, restricted, and without secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from maestro.server.settings import ServerSettings

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
CHART = DEPLOY / "helm" / "maestro"
MANIFESTS: list[dict[str, Any]] = list(yaml.safe_load_all((DEPLOY / "kubernetes" / "maestro.yaml").read_text("utf-8")))
VERSIONS = ("1.27", "1.34", "1.37")
"""The oldest Kubernetes the chart takes, one between, and the newest whose schemas are here."""


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [one for one in MANIFESTS if one["kind"] == kind]


def named(one: dict[str, Any]) -> str:
    return f"{one['kind']}/{one['metadata']['name']}"


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    for one in of_kind("Deployment"):
        yield one["metadata"]["name"], one["spec"]["template"]["spec"]


PODS = dict(pods())


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("manifest", MANIFESTS, ids=named)
def test_a_manifest_is_valid_by_kubernetes_own_schema(manifest: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(manifest, version, strict=True)


def test_the_schema_would_notice_a_misspelt_field() -> None:
    wrong = {**of_kind("Service")[0], "spec": {"prts": []}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("name", PODS)
def test_a_pod_fits_the_restricted_standard_and_cannot_write_its_image(name: str) -> None:
    pod = PODS[name]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not any(pod.get(one) for one in ("hostNetwork", "hostPID", "hostIPC"))
    for container in pod["containers"]:
        rights = container["securityContext"]
        assert rights["allowPrivilegeEscalation"] is False
        assert rights["readOnlyRootFilesystem"] is True
        assert rights["capabilities"] == {"drop": ["ALL"]}
        assert "memory" in container["resources"]["limits"]
        assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
    assert {next(iter(volume.keys() - {"name"})) for volume in pod["volumes"]} <= {"emptyDir", "configMap"}


def test_only_the_conductor_has_a_token_for_kubernetes_and_it_may_only_make_jobs() -> None:
    tokens = {name: pod["automountServiceAccountToken"] for name, pod in PODS.items()}
    assert tokens == {"maestro-conductor": True, "maestro-gateway": False}
    assert all(one["automountServiceAccountToken"] is False for one in of_kind("ServiceAccount"))
    (role,) = of_kind("Role")
    may_write = [rule["resources"] for rule in role["rules"] if {"create", "delete"} & set(rule["verbs"])]
    assert may_write == [["jobs", "jobs/status"]]
    assert of_kind("ClusterRole") == []


def test_no_secret_is_made_and_none_is_written_down() -> None:
    assert of_kind("Secret") == []
    for pod in PODS.values():
        assert {"secretRef": {"name": "maestro"}} in pod["containers"][0]["envFrom"]
    for one in of_kind("ConfigMap"):
        assert not re.search(r"(?i)password|postgresql://|-----BEGIN", str(one["data"]))


def test_the_gateway_is_probed_drained_and_always_there() -> None:
    (container,) = PODS["maestro-gateway"]["containers"]
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container["lifecycle"]["preStop"]["exec"]["command"] == ["sleep", "5"]
    assert PODS["maestro-gateway"]["terminationGracePeriodSeconds"] > 5
    deployment = next(one for one in of_kind("Deployment") if one["metadata"]["name"] == "maestro-gateway")
    assert deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert of_kind("HorizontalPodAutoscaler")[0]["spec"]["minReplicas"] >= 2
    assert {one["metadata"]["name"] for one in of_kind("PodDisruptionBudget")} == set(PODS)


def test_from_outside_only_webhooks_are_reached() -> None:
    (ingress,) = of_kind("Ingress")
    assert [path["path"] for rule in ingress["spec"]["rules"] for path in rule["http"]["paths"]] == ["/hooks/"]
    assert ingress["spec"]["tls"]
    policies = {one["metadata"]["name"]: one["spec"] for one in of_kind("NetworkPolicy")}
    assert policies.keys() == PODS.keys()
    assert policies["maestro-conductor"]["ingress"] == []
    assert all(spec["policyTypes"] == ["Ingress", "Egress"] for spec in policies.values())


def test_every_selector_finds_its_pods_and_every_service_account_and_map_is_there() -> None:
    labels = {one["metadata"]["name"]: one["spec"]["template"]["metadata"]["labels"] for one in of_kind("Deployment")}
    for kind, path in (("Service", "selector"), ("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector")):
        for one in of_kind(kind):
            wanted = one["spec"][path]
            wanted = wanted.get("matchLabels", wanted)
            assert wanted.items() <= labels[one["metadata"]["name"]].items()
    accounts = {one["metadata"]["name"] for one in of_kind("ServiceAccount")}
    maps = {one["metadata"]["name"] for one in of_kind("ConfigMap")}
    for pod in PODS.values():
        assert pod["serviceAccountName"] in accounts
        assert {volume["configMap"]["name"] for volume in pod["volumes"] if "configMap" in volume} <= maps


def test_the_settings_in_the_map_are_a_servers_and_the_gateway_listens_where_it_is_probed() -> None:
    texts = [one["data"]["server.yaml"] for one in of_kind("ConfigMap") if "server.yaml" in one["data"]]
    settings = ServerSettings.model_validate(yaml.safe_load(texts[0]))
    assert settings.profile == "kubernetes"
    (container,) = PODS["maestro-gateway"]["containers"]
    assert [port["containerPort"] for port in container["ports"]] == [settings.gateway.port]


def test_the_profile_finds_all_its_variables_in_the_map_or_the_secret() -> None:
    text = (DEPLOY / "profiles" / "kubernetes" / "dagster.yaml").read_text("utf-8")
    wanted = set(re.findall(r"env: (MAESTRO_\w+)", text))
    given = {name for one in of_kind("ConfigMap") for name in one["data"]} | {"MAESTRO_POSTGRES_URL"}
    assert wanted <= given


def test_the_charts_values_fit_its_schema() -> None:
    schema = yaml.safe_load((CHART / "values.schema.json").read_text("utf-8"))
    values = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.validate(values, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**values, "gatway": {}}, schema)


def test_dagsters_own_chart_is_given_the_launcher_and_the_coordinator_of_the_profile() -> None:
    values = yaml.safe_load((DEPLOY / "helm" / "dagster-values.yaml").read_text("utf-8"))
    profile = yaml.safe_load((DEPLOY / "profiles" / "kubernetes" / "dagster.yaml").read_text("utf-8"))
    assert values["runLauncher"]["config"]["customRunLauncher"] == profile["run_launcher"]
    coordinator = values["dagsterDaemon"]["runCoordinator"]["config"]["customRunCoordinator"]
    assert coordinator == profile["run_coordinator"]
    monitoring = values["dagsterDaemon"]["runMonitoring"]
    assert monitoring["maxResumeRunAttempts"] == profile["run_monitoring"]["max_resume_run_attempts"]
    assert monitoring["cancelTimeoutSeconds"] == profile["run_monitoring"]["cancel_timeout_seconds"]
    assert not re.search(r"(?i)postgresqlPassword\W|://\w+:\w+@", str(values))


def test_the_image_runs_as_nobody_in_particular_and_is_built_from_nothing_of_this_machine() -> None:
    text = (DEPLOY / "images" / "maestro" / "Containerfile").read_text("utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    pod = PODS["maestro-gateway"]["securityContext"]
    assert users == [f"{pod['runAsUser']}:{pod['runAsGroup']}"]
    assert [line for line in lines if line.startswith(("ADD ", "COPY "))] == [
        "COPY dist/*.whl /dist/",
        "COPY --from=build /opt/maestro /opt/maestro",
    ]
    assert (
        f"MAESTRO_SERVER_HOME={of_kind('ConfigMap')[0]['data'].get('MAESTRO_SERVER_HOME', '/var/lib/maestro')}" in text
    )
