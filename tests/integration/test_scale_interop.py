"""Helm and actionlint themselves on what Maestro ships and writes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from maestro.ci import ci_file

pytestmark = pytest.mark.interop
ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy" / "helm" / "maestro"


def tool(name: str, *arguments: str, code: int = 0) -> str:
    found = shutil.which(name)
    assert found, f"{name} is missing; ./scripts/interop installs it"
    done = subprocess.run([found, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def template(*arguments: str, code: int = 0) -> str:
    words = ("template", "maestro", str(CHART), "--namespace", "maestro", "--kube-version", "1.34.0", *arguments)
    return tool("helm", *words, code=code)


def test_helm_finds_nothing_wrong_with_the_chart() -> None:
    assert "0 chart(s) failed" in tool("helm", "lint", "--strict", str(CHART))


def test_the_manifests_in_the_repository_are_what_the_chart_makes() -> None:
    kept = (ROOT / "deploy" / "kubernetes" / "maestro.yaml").read_text("utf-8")
    assert kept.partition("\n")[2].rstrip() == template().rstrip(), "run ./scripts/manifests"


def test_what_can_be_switched_off_is_left_out() -> None:
    off = ("gateway.ingress.enabled", "gateway.autoscaling.enabled", "networkPolicy.enabled")
    made = list(yaml.safe_load_all(template(*(word for name in off for word in ("--set", f"{name}=false")))))
    kinds = {one["kind"] for one in made if one}
    assert not kinds & {"Ingress", "HorizontalPodAutoscaler", "NetworkPolicy"}
    gateway = next(one for one in made if one and one["kind"] == "Deployment" and "gateway" in one["metadata"]["name"])
    assert gateway["spec"]["replicas"] == 2


def test_an_image_by_digest_wins_over_its_tag() -> None:
    digest = f"sha256:{'0' * 64}"
    assert f'image: "registry.example.com/maestro@{digest}"' in template("--set", f"image.digest={digest}")


def test_a_misspelt_value_is_refused() -> None:
    assert "gatway" in template("--set", "gatway.replicas=1", code=1)


@pytest.mark.parametrize("branch", ["main", "release/1.x"])
def test_actionlint_finds_nothing_wrong_with_the_workflow_for_github(tmp_path: Path, branch: str) -> None:
    file = tmp_path / "maestro.yaml"
    file.write_text(ci_file("github", version="1.2.3", default_branch=branch), "utf-8")
    tool("actionlint", "-shellcheck", shutil.which("shellcheck") or "", str(file))


def test_actionlint_would_notice_a_mistake(tmp_path: Path) -> None:
    file = tmp_path / "maestro.yaml"
    text = ci_file("github", version="1.2.3", default_branch="main")
    file.write_text(text.replace("steps.maestro.outcome", "steps.meastro.outcome"), "utf-8")
    assert "meastro" in tool("actionlint", str(file), code=1)
