"""The client of registries: tokens, uploads, referrers, and answers no registry should give."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from maestro.errors import InputError
from maestro.oci.attach import attach_bundle
from maestro.oci.attached import BUNDLE, bundles_of
from maestro.oci.auth import AuthFile, Credentials
from maestro.oci.challenge import parse_challenge
from maestro.oci.errors import (
    DeniedError,
    MalformedAnswerError,
    NotInRegistryError,
    OciError,
    RegistryError,
    UnreachableError,
)
from maestro.oci.manifest import INDEX, MANIFEST, canonical, digest_of
from maestro.oci.reference import Reference
from maestro.oci.registry import Registry
from tests.unit.memory_registry import MemoryRegistry, Reply, memory_registry

IMAGE = canonical({"schemaVersion": 2, "mediaType": MANIFEST, "layers": []})


@pytest.fixture
def server() -> Iterator[MemoryRegistry]:
    with memory_registry() as running:
        yield running


def client(server: MemoryRegistry, user: tuple[str, str] | None = None) -> Registry:
    return Registry(server.host, AuthFile({server.host: Credentials(*user)} if user else {}))


def bundle(number: int = 0) -> bytes:
    payload = base64.b64encode(f"statement {number}".encode()).decode()
    envelope = {"payload": payload, "payloadType": "application/vnd.in-toto+json", "signatures": [{"sig": "AA=="}]}
    return json.dumps({"mediaType": BUNDLE, "verificationMaterial": {}, "dsseEnvelope": envelope}).encode()


def test_what_is_pushed_is_read_back(server: MemoryRegistry, tmp_path: Path) -> None:
    with client(server) as registry:
        digest = registry.put_blob("app", b"some bytes")
        (tmp_path / "file").write_bytes(b"more bytes")
        assert registry.blob("app", registry.put_blob("app", tmp_path / "file")) == b"more bytes"
        assert (digest, registry.blob("app", digest)) == (digest_of(b"some bytes"), b"some bytes")
        registry.put_manifest("app", "1.0", IMAGE, MANIFEST)
        found = registry.manifest("app", "1.0")
        assert (found.data, found.descriptor.digest, found.descriptor.media_type) == (IMAGE, digest_of(IMAGE), MANIFEST)


def test_a_blob_that_is_there_is_not_sent_again(server: MemoryRegistry) -> None:
    with client(server) as registry:
        registry.put_blob("app", b"once")
        registry.put_blob("app", b"once")
    assert len([one for one in server.seen if one.startswith("PUT")]) == 1


def test_a_token_is_fetched_with_the_credentials_and_used_again() -> None:
    with memory_registry(users={"me": "hunter22"}) as server, client(server, ("me", "hunter22")) as registry:
        registry.put_manifest("app", "1.0", IMAGE, MANIFEST)
        registry.put_manifest("app", "2.0", IMAGE, MANIFEST)
        assert registry.manifest("app", "2.0").data == IMAGE
        tokens = [one for one in server.seen if "/token" in one]
        assert [one.partition("scope=")[2].partition("&")[0] for one in tokens] == [
            "repository%3Aapp%3Apull%2Cpush",
            "repository%3Aapp%3Apull",
        ]


@pytest.mark.parametrize("user", [None, ("me", "wrong-password")])
def test_without_the_right_credentials_the_message_says_how_to_log_in(user: tuple[str, str] | None) -> None:
    with memory_registry(users={"me": "hunter22"}) as server, client(server, user) as registry:
        with pytest.raises(DeniedError) as caught:
            registry.manifest("app", "1.0")
        assert f"skopeo login {server.host}" in str(caught.value.next_step)
        assert "wrong-password" not in str(caught.value)


def test_a_refusal_names_what_was_wanted_and_what_the_registry_said(server: MemoryRegistry) -> None:
    server.override = lambda *_request: (403, {}, b'{"errors":[{"code":"DENIED","message":"quota\\nreached"}]}')
    with client(server) as registry, pytest.raises(DeniedError) as caught:
        registry.put_manifest("app", "1.0", IMAGE, MANIFEST)
    assert caught.value.what == (
        f"the registry {server.host} does not let an anonymous user write to app (403): DENIED: quota reached"
    )


def test_credentials_are_not_sent_to_a_realm_without_tls(server: MemoryRegistry) -> None:
    challenge = {"WWW-Authenticate": 'Bearer realm="http://tokens.example.com/t",service="x"'}
    server.override = lambda *_request: (401, challenge, b"")
    with client(server, ("me", "hunter22")) as registry, pytest.raises(DeniedError, match="which is not HTTPS"):
        registry.manifest("app", "1.0")


def test_a_challenge_is_read_with_its_commas_and_quotes() -> None:
    found = parse_challenge('Bearer realm="https://a.b/t?x=1,2", service="s", scope="repository:a:pull,push"')
    assert found is not None
    assert (found.scheme, found.realm, found.scope) == ("bearer", "https://a.b/t?x=1,2", "repository:a:pull,push")
    assert parse_challenge("Negotiate") is None


def reply(status: int = 200, body: bytes = b"", **headers: str) -> Reply:
    return status, {name.replace("_", "-"): value for name, value in headers.items()}, body


@pytest.mark.parametrize(
    ("given", "kind", "why"),
    [
        (reply(404), NotInRegistryError, "reading app:1: the registry"),
        (reply(200, b"<html>"), OciError, "is no JSON"),
        (reply(200, b"[1]"), OciError, "is no JSON object"),
        (reply(200, b"[" * 200_000), OciError, "is no JSON"),
        (reply(200, b"{}"), MalformedAnswerError, "without a media type"),
        (reply(200, IMAGE, Docker_Content_Digest=digest_of(b"x")), MalformedAnswerError, "not the one named"),
        (reply(200, b" " * (4 * 2**20 + 1)), MalformedAnswerError, "sent more than 4,194,304 bytes"),
        (reply(418, b"teapot"), MalformedAnswerError, "answered 418 when reading app:1"),
        (reply(500, b"oops"), RegistryError, "cannot do it now (500)"),
        (reply(401, b""), DeniedError, "does not let an anonymous user read app (401)"),
    ],
)
def test_an_answer_that_cannot_be_used_is_one_clear_error(
    server: MemoryRegistry, given: Reply, kind: type[OciError], why: str
) -> None:
    server.override = lambda *_request: given
    with client(server) as registry, pytest.raises(kind) as caught:
        registry.manifest("app", "1")
    assert why in caught.value.what
    assert len(str(caught.value)) < 600


def test_bytes_with_another_digest_are_refused(server: MemoryRegistry) -> None:
    server.blobs[digest_of(b"good")] = b"evil"
    server.manifests[digest_of(b"{}")] = (MANIFEST, IMAGE)
    with client(server) as registry:
        with pytest.raises(MalformedAnswerError, match="sent other bytes for blob"):
            registry.blob("app", digest_of(b"good"))
        with pytest.raises(MalformedAnswerError, match="not the one named"):
            registry.manifest("app", digest_of(b"{}"))
        with pytest.raises(MalformedAnswerError, match="sent more than 2 bytes"):
            registry.blob("app", digest_of(b"good"), limit=2)


def test_a_registry_that_is_down_is_named() -> None:
    with memory_registry() as server:
        pass
    registry = Registry(server.host, pauses=())
    with pytest.raises(UnreachableError) as caught:
        registry.manifest("app", "1")
    assert caught.value.what.startswith(f"the registry {server.host} does not answer: ")
    assert f"start it, or correct the name '{server.host}'" in str(caught.value.next_step)


def test_a_busy_registry_is_asked_again(server: MemoryRegistry) -> None:
    busy = iter([reply(503), reply(429, Retry_After="0")])
    server.manifests["1"] = (MANIFEST, IMAGE)
    server.override = lambda _method, path: next(busy, None) if "manifests" in path else None
    with client(server) as registry:
        assert registry.manifest("app", "1").data == IMAGE


def test_a_referrer_is_listed_by_a_registry_that_can_and_attached_once(server: MemoryRegistry) -> None:
    with client(server) as registry:
        registry.put_manifest("app", "1", IMAGE, MANIFEST)
        image = Reference(server.host, "app", digest=digest_of(IMAGE))
        first = attach_bundle(registry, image, bundle(), "https://slsa.dev/provenance/v1")
        again = attach_bundle(registry, image, bundle(), "https://slsa.dev/provenance/v1")
        attach_bundle(registry, image, bundle(1), "https://cyclonedx.org/bom", cosign=False)
        assert (first.listed_by, first.new, again.new, again.referrer) == ("api", True, False, first.referrer)
        assert digest_of(IMAGE).replace(":", "-") not in server.manifests, "no fallback tag is needed"
        found = bundles_of(registry, image)
    assert [(one.via, one.predicate_type) for one in found] == [
        ("referrer", "https://slsa.dev/provenance/v1"),
        ("referrer", "https://cyclonedx.org/bom"),
        ("cosign", "https://slsa.dev/provenance/v1"),
    ]
    assert [one.data for one in found[:2]] == [bundle(), bundle(1)]
    assert json.loads(found[2].data) == json.loads(bundle())["dsseEnvelope"]


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b'{"dsseEnvelope": {"payload": "", "signatures": []}}', b"[" * 100_000]
)
def test_what_is_no_bundle_is_not_attached(server: MemoryRegistry, data: bytes) -> None:
    with client(server) as registry, pytest.raises(InputError, match="no Sigstore bundle with a DSSE envelope"):
        attach_bundle(registry, Reference(server.host, "app", digest=digest_of(IMAGE)), data, "https://x")
    assert server.seen == []


def test_evidence_is_attached_to_fixed_images_only(server: MemoryRegistry) -> None:
    with client(server) as registry:
        with pytest.raises(InputError, match="is no fixed image"):
            attach_bundle(registry, Reference(server.host, "app", "1"), bundle(), "https://x")
        with pytest.raises(InputError, match="is no fixed image"):
            bundles_of(registry, Reference(server.host, "app", "1"))
        with pytest.raises(NotInRegistryError, match="reading app@sha256:"):
            attach_bundle(registry, Reference(server.host, "app", digest=digest_of(b"none")), bundle(), "https://x")


def test_a_referrer_of_another_image_is_not_taken_for_this_ones(server: MemoryRegistry) -> None:
    other = canonical({"schemaVersion": 2, "mediaType": MANIFEST, "layers": [], "annotations": {"a": "b"}})
    with client(server) as registry:
        for data in (IMAGE, other):
            registry.put_manifest("app", digest_of(data), data, MANIFEST)
        theirs = Reference(server.host, "app", digest=digest_of(other))
        attached = attach_bundle(registry, theirs, bundle(), "https://x", cosign=False)
        listed: dict[str, Any] = {"mediaType": MANIFEST, "digest": attached.referrer, "size": 1, "artifactType": BUNDLE}
        forged = canonical({"schemaVersion": 2, "mediaType": INDEX, "manifests": [listed]})
        registry.put_manifest("app", digest_of(IMAGE).replace(":", "-"), forged, INDEX)
        assert bundles_of(registry, Reference(server.host, "app", digest=digest_of(IMAGE))) == ()


def test_a_tag_that_is_something_else_is_not_overwritten(server: MemoryRegistry) -> None:
    with client(server) as registry:
        registry.put_manifest("app", digest_of(IMAGE), IMAGE, MANIFEST)
        image = Reference(server.host, "app", digest=digest_of(IMAGE))
        tag = f"{digest_of(IMAGE).replace(':', '-')}.att"
        registry.put_manifest("app", tag, canonical({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}), INDEX)
        with pytest.raises(RegistryError) as caught:
            attach_bundle(registry, image, bundle(), "https://x")
    assert f"the tag {tag} of {server.host}/app holds {INDEX}, not what it is for" in caught.value.what
    assert "skopeo delete" in str(caught.value.next_step)
