"""``image.build`` with a real buildah: reproducible, hermetic, for several platforms, pushed to a real registry."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from assets.images import IMAGE_BUILD
from maestro.errors import InputError, Location, MaestroError
from maestro.oci.archive import unpack_layout
from maestro.oci.layout import Layout
from maestro.oci.registry import Registry
from maestro.steps import StepResult
from tests.integration.registry_server import RegistryServer, locked_registry, registry
from tests.unit.step_harness import Harness, harness

__all__ = ["locked_registry", "registry"]

BUSYBOX = "/usr/bin/busybox"
APP = """\
FROM {base} AS build
RUN mkdir /out && echo built > /out/result && chmod 700 /out/result
FROM {base}
COPY --from=build /out /out
COPY src /src
CMD ["/bin/sh"]
"""


@pytest.fixture
def step(tmp_path: Path) -> Harness:
    return harness(tmp_path)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A layout of an image with a shell; made with the kind itself."""
    made = harness(tmp_path_factory.mktemp("base"))
    (made.workspace / "bin").mkdir()
    shutil.copy(BUSYBOX, made.workspace / "bin/busybox")
    for tool in ("sh", "mkdir", "chmod", "wget", "cat"):
        (made.workspace / "bin" / tool).symlink_to("busybox")
    made.write({"Containerfile": "FROM scratch\nCOPY bin /bin\n"})
    result = made.run(IMAGE_BUILD)
    assert result.passed, made.log
    return made.workspace / result.outputs[0].path


def layout(step: Harness, result: StepResult) -> Layout:
    unpacked = step.private / f"unpacked-{len(list(step.private.iterdir()))}"
    return unpack_layout(step.workspace / result.outputs[0].path, unpacked)


def with_base(step: Harness, base: Path, text: str = APP) -> Harness:
    shutil.copy(base, step.workspace / "base.tar")
    return step.write({"Containerfile": text.format(base="oci-archive:base.tar"), "src/hello.txt": "hello"})


def built(step: Harness, **params: Any) -> StepResult:
    result = step.run(IMAGE_BUILD, **params)
    assert result.passed, f"{result.summary}\n{step.log}"
    return result


def test_an_image_from_scratch_is_a_layout_whose_digest_is_its_subject(step: Harness) -> None:
    step.write({"Containerfile": "FROM scratch\nCOPY hello /hello\n", "hello": "hello\n"})
    result = built(step, name="greeting")
    [output] = result.outputs
    assert (output.name, output.path) == ("image", "oci-images/image.tar")
    assert output.media_type == "application/vnd.oci.image.layout.v1+tar"
    [subject] = result.subjects
    found = layout(step, result)
    assert subject.name == "greeting"
    assert f"sha256:{subject.digest['sha256']}" == result.values["digest"] == found.root.digest
    assert (subject.media_type, subject.uri, subject.output) == (found.root.media_type, None, "image")
    assert result.values["reference"] is None
    assert (result.metadata["layers"], result.materials) == (1, ())
    found.verify()


def test_equal_inputs_give_an_equal_image_twice_in_another_folder_and_under_another_umask(
    tmp_path: Path, base: Path
) -> None:
    seen = []
    for name, umask, age in (("one", 0o022, 1_600_000_000), ("other", 0o077, 1_700_000_000)):
        (tmp_path / name).mkdir()
        before = os.umask(umask)
        try:
            step = with_base(harness(tmp_path / name), base)
            os.utime(step.workspace / "src/hello.txt", (age, age))
            for params in ({}, {}, {"cache": False}):
                result = built(step, **params)
                seen.append((result.values["digest"], (step.workspace / result.outputs[0].path).read_bytes()))
                # What a build leaves behind is no part of the next one.
        finally:
            os.umask(before)
    assert len({digest for digest, _ in seen}) == 1
    assert len({archive for _, archive in seen}) == 1


def test_a_changed_file_changes_the_image_and_unchanged_layers_come_from_the_cache(step: Harness, base: Path) -> None:
    first = built(with_base(step, base))
    second = built(step.write({"src/hello.txt": "other"}))
    assert first.values["digest"] != second.values["digest"]
    assert "Using cache" in step.log
    assert "Using cache" not in built_log(step, cache=False)


def built_log(step: Harness, **params: Any) -> str:
    built(step, **params)
    return step.log


def test_times_in_the_image_are_the_source_date_epoch(step: Harness, base: Path) -> None:
    with_base(step, base, "FROM {base}\nARG SOURCE_DATE_EPOCH\nRUN echo $SOURCE_DATE_EPOCH > /epoch\n")
    at_zero = built(step).values["digest"]
    step.env["SOURCE_DATE_EPOCH"] = "86400"
    later = built(step)
    assert later.values["digest"] != at_zero
    found = layout(step, later)
    config, *layers = found.children(found.root)
    assert found.document(config)["created"] == "1970-01-02T00:00:00Z"
    with tarfile.open(found.blob(layers[-1])) as archive:
        member = archive.getmember("epoch")
        assert member.mtime == 86400
        content = archive.extractfile(member)
        assert content is not None
        assert content.read() == b"86400\n"
    del step.env["SOURCE_DATE_EPOCH"]
    assert built(step).values["digest"] == at_zero


def test_the_base_image_is_a_material_and_stands_in_the_annotations(step: Harness, base: Path) -> None:
    result = built(with_base(step, base))
    [material] = result.materials
    root = unpack_layout(base, step.private / "base").root
    assert material.digest == {"sha256": root.hex}
    assert material.uri == f"pkg:oci/base.tar@sha256%3A{root.hex}"
    found = layout(step, result)
    assert found.document(found.root)["annotations"] == {"org.opencontainers.image.base.digest": root.digest}
    text = json.dumps(found.document(found.children(found.root)[0]))
    assert "FROM" not in text, "names of buildah's storage"


def test_what_the_ignore_file_names_and_what_tools_keep_for_themselves_is_no_part_of_it(step: Harness) -> None:
    step.write({"Containerfile": "FROM scratch\nCOPY . /\n", ".containerignore": "*.log\nsecret\nContainerfile\n"})
    step.write({"a.log": "", "secret/key": "", "kept/b": "", ".git/config": "", ".maestro/x": "", ".containerfile": ""})
    step.write({".venv/.gitignore": "*\n", ".venv/bin": ""})
    found = layout(step, built(step))
    [layer] = found.children(found.root)[1:]
    with tarfile.open(found.blob(layer)) as archive:
        names = {member.name for member in archive if member.isfile()}
    assert names == {".containerignore", ".containerfile", "kept/b"}


def test_several_platforms_give_an_index_with_an_image_for_each(step: Harness) -> None:
    step.write({"Containerfile": "FROM scratch\nCOPY hello /hello\n", "hello": "hello\n"})
    result = built(step, platforms=["linux/arm64", "linux/amd64"])
    found = layout(step, result)
    assert result.subjects[0].media_type == found.root.media_type == "application/vnd.oci.image.index.v1+json"
    images = found.children(found.root)
    assert [one.platform for one in images] == ["linux/amd64", "linux/arm64"]
    assert [found.platform(one) for one in images] == ["linux/amd64", "linux/arm64"]
    assert result.metadata["platforms"] == "linux/amd64, linux/arm64"
    assert built(step, platforms=["linux/amd64", "linux/arm64"]).values["digest"] == result.values["digest"]


def test_a_base_image_for_another_platform_is_refused_at_its_line(step: Harness, base: Path) -> None:
    with_base(step, base)
    with pytest.raises(InputError) as caught:
        step.run(IMAGE_BUILD, platforms=["linux/s390x"])
    assert caught.value.where == Location("Containerfile", 1, 1)
    assert "'oci-archive:base.tar' is not made for linux/s390x (it is for linux/amd64)" in caught.value.what


def test_stages_arguments_labels_and_secrets_reach_the_build(step: Harness, base: Path) -> None:
    text = (
        "FROM {base} AS one\nARG GREETING=none\nRUN --mount=type=secret,id=NPM_TOKEN echo $GREETING > /greeting && "
        "cat /run/secrets/NPM_TOKEN > /dev/null && echo seen\nFROM no.such.registry.invalid/never AS two\n"
    )
    step.secrets["NPM_TOKEN"] = "hunter22"
    with_base(step, base, text)
    result = built(step, target="one", build_args={"GREETING": "hi"}, labels={"vendor": "us"}, secrets=["NPM_TOKEN"])
    assert "\nseen\n" in step.log
    found = layout(step, result)
    config, *layers = found.children(found.root)
    assert found.document(config)["config"]["Labels"]["vendor"] == "us"
    with tarfile.open(found.blob(layers[-1])) as archive:
        content = archive.extractfile("greeting")
        assert content is not None
        assert content.read() == b"hi\n"
    assert b"hunter22" not in (step.workspace / result.outputs[0].path).read_bytes()
    with pytest.raises(InputError, match="'secrets' names 'OTHER', which the step does not have"):
        step.run(IMAGE_BUILD, secrets=["OTHER"])


def test_run_has_no_network_when_hermetic_and_the_message_says_so(
    step: Harness, base: Path, registry: RegistryServer
) -> None:
    host, _, port = registry.host.partition(":")
    with_base(step, base, f"FROM {{base}}\nRUN wget -O - http://{host}:{port}/v2/\n")
    assert step.run(IMAGE_BUILD).passed, step.log
    refused = step.run(IMAGE_BUILD, hermetic=True)
    assert not refused.passed, "a layer made with a network must not be taken for one made without"
    assert refused.summary.startswith(f"Containerfile:2: RUN wget -O - http://{host}:{port}/v2/ failed: ")
    assert "RUN has no network because of 'hermetic'" in refused.summary


def test_a_failing_instruction_fails_the_step_with_its_line(step: Harness, base: Path) -> None:
    with_base(step, base, "FROM {base}\n# comment\nRUN echo \\\n  fine\nRUN echo 'so bad' && exit 7\n")
    result = step.run(IMAGE_BUILD)
    assert (result.passed, list(result.outputs)) == (False, [])
    assert result.summary == "Containerfile:5: RUN echo 'so bad' && exit 7 failed: exit status 7"
    with_base(step, base, "FROM {base}\nCOPY nothing /\n")
    assert step.run(IMAGE_BUILD).summary.startswith("Containerfile:2: COPY nothing / failed: ")


def test_a_failed_build_leaves_no_container_and_no_mount_behind(step: Harness, base: Path) -> None:
    with_base(step, base, "FROM {base}\nRUN exit 7\n")
    assert not step.run(IMAGE_BUILD).passed
    [storage] = (step.private / "images").glob("open-*/*")
    listed = subprocess.run(
        ["unshare", "--mount", "buildah", "--root", storage, "--runroot", step.private / "run", "ps", "--json"],
        capture_output=True,
        check=True,
    )
    assert not json.loads(listed.stdout or b"null")
    assert str(storage) not in Path("/proc/self/mounts").read_text()


def test_layers_of_the_month_before_last_are_forgotten(step: Harness) -> None:
    step.write({"Containerfile": "FROM scratch\nCOPY hello /hello\n", "hello": "hello\n"})
    built(step, platforms=["linux/amd64"])
    [home] = (step.private / "images").iterdir()
    step.write({f"../private/images/{home.name}/{month}/layer": "" for month in ("2001-01", "2001-02")})
    built(step, platforms=["linux/amd64"])
    left = sorted(folder.name for folder in home.iterdir())
    assert (len(left), left[0]) == (2, "2001-02")


def test_an_image_is_pushed_by_digest_and_then_by_its_tags(step: Harness, registry: RegistryServer) -> None:
    step.write({"Containerfile": "FROM scratch\nCOPY hello /hello\n", "hello": "hello\n"})
    result = built(step, registry=f"{registry.host}/pushed:1.0", tags=["stable"])
    digest = result.values["digest"]
    assert result.values["reference"] == f"{registry.host}/pushed@{digest}"
    assert result.subjects[0].uri == f"docker://{registry.host}/pushed@{digest}"
    assert result.subjects[0].name == f"{registry.host}/pushed"
    with Registry(registry.host) as client:
        assert {client.manifest("pushed", one).descriptor.digest for one in (digest, "1.0", "stable")} == {digest}
    seen = subprocess.run(
        ["skopeo", "inspect", "--tls-verify=false", f"docker://{registry.host}/pushed:1.0"],
        capture_output=True,
        check=True,
    )
    assert json.loads(seen.stdout)["Digest"] == digest
    assert not IMAGE_BUILD.cached(IMAGE_BUILD.params(registry="localhost:5000/app"))
    assert IMAGE_BUILD.cached(IMAGE_BUILD.params())


def test_a_base_image_of_a_registry_is_taken_by_the_digest_its_tag_has_now(
    step: Harness, base: Path, registry: RegistryServer
) -> None:
    with_base(step, base, "FROM {base}\n")
    pushed = built(step, registry=f"{registry.host}/based", tags=["1"])
    step.write({"Containerfile": f"ARG FROM={registry.host}/based:1\nFROM ${{FROM}}\nRUN echo hi > /hi\n"})
    result = built(step)
    digest = pushed.values["digest"]
    [material] = result.materials
    assert material.uri == (
        f"pkg:oci/based@{digest.replace(':', '%3A')}?repository_url={registry.host.replace(':', '%3A')}/based&tag=1"
    )
    found = layout(step, result)
    assert found.document(found.root)["annotations"] == {
        "org.opencontainers.image.base.digest": digest,
        "org.opencontainers.image.base.name": f"{registry.host}/based:1",
    }
    pinned = step.write({"Containerfile": f"FROM {registry.host}/based@{digest}\nRUN echo hi > /hi\n"})
    assert built(pinned, hermetic=True).materials[0].digest == material.digest


def test_a_registry_with_a_password_gets_it_from_the_secret_or_the_auth_file(
    step: Harness, base: Path, locked_registry: RegistryServer, tmp_path: Path
) -> None:
    target = f"{locked_registry.host}/private"
    with_base(step, base, "FROM {base}\n")
    with pytest.raises(MaestroError) as caught:
        step.run(IMAGE_BUILD, registry=target)
    assert "does not let an anonymous user write to private (401)" in caught.value.what
    assert f"skopeo login --authfile FILE {locked_registry.host}" in str(caught.value.next_step)
    step.secrets["REGISTRY_AUTH"] = locked_registry.auth_file(tmp_path / "auth.json").read_text()
    assert built(step, registry=f"{target}:1", auth="REGISTRY_AUTH").values["reference"]
    step.secrets.clear()
    step.env["REGISTRY_AUTH_FILE"] = str(tmp_path / "auth.json")
    step.write({"Containerfile": f"FROM {target}:1\nRUN echo hi\n"})
    assert built(step).materials
    step.env["REGISTRY_AUTH_FILE"] = str(locked_registry.auth_file(tmp_path / "wrong.json", "open barley"))
    with pytest.raises(MaestroError) as refused:
        step.run(IMAGE_BUILD)
    assert "does not let these credentials read private" in refused.value.what
    assert refused.value.where == Location("Containerfile", 1, 1)
    assert "barley" not in f"{refused.value} {step.log}"
    with pytest.raises(InputError, match="'auth' names the secret 'NONE', which the step does not have"):
        step.run(IMAGE_BUILD, auth="NONE")


def test_a_base_image_that_is_not_there_is_an_error_with_file_and_line(step: Harness, registry: RegistryServer) -> None:
    step.write({"Containerfile": f"# a\nFROM {registry.host}/nothing:1\n"})
    with pytest.raises(MaestroError) as caught:
        step.run(IMAGE_BUILD)
    assert str(caught.value).startswith("Containerfile:2:1: reading nothing:1: the registry")
    step.write({"Containerfile": "FROM oci:nowhere\n"})
    with pytest.raises(MaestroError, match=r"Containerfile:1:1: 'nowhere' is no usable image layout: it has no file"):
        step.run(IMAGE_BUILD)
    step.write({"Containerfile": "FROM oci:../outside\n"})
    with pytest.raises(InputError, match="which may lie outside the workspace"):
        step.run(IMAGE_BUILD)
    step.write({"Containerfile": "FROM 127.0.0.1:1/app\n"})
    with pytest.raises(MaestroError, match=r"Containerfile:1:1: the registry 127\.0\.0\.1:1 does not answer"):
        step.run(IMAGE_BUILD)
