"""Which signatures hold: GitHub's, and both kinds of GitLab's."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from maestro.gateway.envelope import Headers, check_content, headers_of, kept, traceparent
from maestro.gateway.github import GitHub
from maestro.gateway.gitlab import GitLab
from maestro.gateway.refusal import RefusedError

BODY = b"Hello, World!"
NOW = 1_800_000_000.0
KEY = b"0123456789abcdef0123456789abcdef"
TOKEN = "whsec_" + base64.b64encode(KEY).decode()


def sent(**headers: str) -> Headers:
    return {name.replace("_", "-"): [value] for name, value in headers.items()}


def github(signature: str) -> Headers:
    return sent(x_github_event="push", x_github_delivery="d-1", x_hub_signature_256=signature)


def gitlab(at: float = NOW, key: bytes = KEY, body: bytes = BODY, **more: str) -> Headers:
    digest = hmac.digest(key, f"m-1.{at:.0f}.".encode() + body, hashlib.sha256)
    signature = "v1," + base64.b64encode(digest).decode()
    given = {"webhook_id": "m-1", "webhook_timestamp": f"{at:.0f}", "webhook_signature": signature}
    return sent(**{"x_gitlab_event": "Push Hook", **given, **more})


def test_githubs_own_example_holds() -> None:
    # From GitHub's documentation of validating webhook deliveries.
    headers = github("sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17")
    assert GitHub().signed(headers, BODY, ["It's a Secret to Everybody"], NOW)
    assert not GitHub().signed(headers, BODY + b".", ["It's a Secret to Everybody"], NOW)
    assert not GitHub().signed(headers, BODY, ["another"], NOW)


def test_any_of_several_secrets_holds_and_none_holds_nothing() -> None:
    headers = github("sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17")
    assert GitHub().signed(headers, BODY, ["new", "It's a Secret to Everybody"], NOW)
    assert not GitHub().signed(headers, BODY, [], NOW)


@pytest.mark.parametrize("signature", ["", "sha256=", "sha1=" + "a" * 40, "a" * 64, "sha256=" + "A" * 64, "sha256=é"])
def test_what_is_no_sha_256_signature_is_refused(signature: str) -> None:
    with pytest.raises(RefusedError, match="is no SHA-256 signature") as refused:
        GitHub().check(github(signature))
    assert refused.value.status == 401


def test_the_example_of_standard_webhooks_holds() -> None:
    # From the reference implementation's tests.
    headers = sent(
        x_gitlab_event="Push Hook",
        webhook_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        webhook_timestamp="1614265330",
        webhook_signature="v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    )
    body = b'{"test": 2432232314}'
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    assert GitLab().signed(headers, body, [secret], 1614265330)
    assert not GitLab().signed(headers, body + b" ", [secret], 1614265330)


def test_one_of_several_signatures_is_enough() -> None:
    headers = gitlab()
    one = headers["webhook-signature"][0]
    assert GitLab().signed({**headers, "webhook-signature": [f"v2,AAAA v1,AAAA {one}"]}, BODY, [TOKEN], NOW)


@pytest.mark.parametrize("signature", ["", "v1", "v1,", "v1,=", "v1,é", "v2,AAAA", "AAAA", " "])
def test_a_signature_that_is_none_does_not_hold(signature: str) -> None:
    assert not GitLab().signed(gitlab(webhook_signature=signature), BODY, [TOKEN], NOW)


@pytest.mark.parametrize("shift", [-300, 0, 300])
def test_a_signature_of_within_five_minutes_holds(shift: int) -> None:
    assert GitLab().signed(gitlab(NOW + shift), BODY, [TOKEN], NOW)


@pytest.mark.parametrize("shift", [-301, 301])
def test_an_older_or_younger_signature_is_refused(shift: int) -> None:
    with pytest.raises(RefusedError, match="signed more than 300 seconds from now"):
        GitLab().signed(gitlab(NOW + shift), BODY, [TOKEN], NOW)


def test_a_token_does_not_make_up_for_a_wrong_signature() -> None:
    headers = gitlab(key=b"guessed", x_gitlab_token="plain")
    assert not GitLab().signed(headers, BODY, [TOKEN, "plain"], NOW)
    assert GitLab().signed(headers, BODY, ["plain"], NOW), "no signing token is set here, so the token decides"


def test_a_signing_token_is_never_taken_as_a_token() -> None:
    headers = sent(x_gitlab_event="Push Hook", idempotency_key="1", x_gitlab_token=TOKEN)
    assert not GitLab().signed(headers, BODY, [TOKEN], NOW)


@pytest.mark.parametrize("secret", ["whsec_", "whsec_%%%"])
def test_a_signing_token_without_a_key_signs_nothing(secret: str) -> None:
    assert not GitLab().signed(gitlab(key=b"x"), BODY, [secret], NOW)
    assert not GitLab().signed(gitlab(key=b"x", x_gitlab_token=secret), BODY, [secret], NOW)


def test_gitlabs_id_stays_when_it_is_sent_again() -> None:
    assert GitLab().delivery(sent(idempotency_key="k-1", x_gitlab_event_uuid="u-1"), BODY) == "k-1"
    assert GitLab().delivery(gitlab(), BODY) == "m-1"
    old = sent(x_gitlab_event_uuid="u-1")
    assert GitLab().delivery(old, BODY) == GitLab().delivery(old, BODY)
    assert GitLab().delivery(old, BODY) != GitLab().delivery(old, b"of a webhook it set off")


@pytest.mark.parametrize("time", ["", "now", "-1", "9" * 13, "1.5"])
def test_a_time_that_is_none_is_refused(time: str) -> None:
    with pytest.raises(RefusedError, match="webhook-timestamp is no time"):
        GitLab().check(gitlab(webhook_timestamp=time))


@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"']
)
def test_json_in_utf_8_is_taken(kind: str) -> None:
    check_content(sent(content_type=kind))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("", "neither JSON nor a form"),
        ("multipart/form-data", "neither JSON nor a form"),
        ("application/json; charset=latin-1", "not in UTF-8"),
    ],
)
def test_other_content_is_refused(kind: str, message: str) -> None:
    with pytest.raises(RefusedError, match=message) as refused:
        check_content(sent(content_type=kind))
    assert refused.value.status == 415


def test_headers_are_kept_by_name_and_cut() -> None:
    headers = headers_of([(b"user-agent", b"x" * 999), (b"cookie", b"hush"), (b"x-github-event", b"push")])
    assert kept(headers, GitHub.kept) == {"user-agent": "x" * 256, "x-github-event": "push"}


def test_no_header_that_is_kept_is_secret() -> None:
    secret = {
        "x-hub-signature-256",
        "x-hub-signature",
        "x-gitlab-token",
        "webhook-signature",
        "authorization",
        "cookie",
    }
    assert not secret & {*GitHub.kept, *GitLab.kept}


@pytest.mark.parametrize(
    "given", ["", "00-" + "0" * 32 + "-" + "1" * 16 + "-01", "01-" + "1" * 32 + "-" + "1" * 16 + "-01"]
)
def test_a_trace_that_is_none_is_replaced(given: str) -> None:
    made = traceparent(sent(traceparent=given))
    assert made != given
    assert traceparent(sent(traceparent=made)) == made
