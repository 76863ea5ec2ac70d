"""Keys on a token, here SoftHSM2's: they sign without ever leaving it, and every mistake is named without the PIN."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from maestro.signing import KeyUnusableError, SigningError, TrustRoot, open_signer, sign_statement, verify_bundle
from maestro.signing.project_keys import trusted
from tests.unit.signing_statements import NOW, statement

MODULE = "/usr/lib/softhsm/libsofthsm2.so"
PIN = "4711-0815"
ENVIRON = {"TOKEN_PIN": PIN}
WHERE = f"module-path={MODULE}&pin-source=env:TOKEN_PIN"


@pytest.fixture(scope="module", autouse=True)
def token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One token named 'release' with three keys. The library reads its settings once in a process."""
    folder = tmp_path_factory.mktemp("softhsm")
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder}/tokens\nlog.level = ERROR\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(folder / "softhsm2.conf"))
        _init("release", folder)
        _import(folder, "signing", "01", "EC", "ec_paramgen_curve:P-256")
        _import(folder, "large", "02", "EC", "ec_paramgen_curve:P-384")
        _import(folder, "old", "03", "EC", "ec_paramgen_curve:P-521")
        _import(folder, "twice", "04", "EC", "ec_paramgen_curve:P-256")
        _import(folder, "twice", "05", "EC", "ec_paramgen_curve:P-256")
        yield


def _init(label: str, folder: Path) -> None:
    command = ["softhsm2-util", "--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "12345678"]
    subprocess.run(command, check=True, capture_output=True, cwd=folder)


def _import(folder: Path, label: str, number: str, kind: str, option: str) -> None:
    made = ["openssl", "genpkey", "-algorithm", kind, "-pkeyopt", option, "-out", "key.pem"]
    subprocess.run(made, check=True, capture_output=True, cwd=folder)
    into = ["softhsm2-util", "--import", "key.pem", "--token", "release", "--label", label, "--id", number]
    subprocess.run([*into, "--pin", PIN], check=True, capture_output=True, cwd=folder)


@pytest.mark.parametrize("path", ["token=release;object=signing", "token=release;id=%02", "object=twice;id=%05"])
def test_a_key_on_a_token_signs_what_verifies(path: str) -> None:
    signer = open_signer(f"pkcs11:{path}?{WHERE}", environ=ENVIRON)
    assert not signer.development
    trust = TrustRoot((trusted(signer.public_key, name="release", at=NOW),))
    for _ in range(3):
        assert verify_bundle(sign_statement(statement(), signer), trust, at=NOW).signer.name == "release"


def test_threads_may_sign_at_once_with_several_keys() -> None:
    signers = [open_signer(f"pkcs11:id=%0{n}?{WHERE}", environ=ENVIRON) for n in (1, 2)] * 8
    with ThreadPoolExecutor(8) as pool:
        signatures = list(pool.map(lambda signer: signer.sign(b"data"), signers))
    assert all(
        signer.public_key.verify(signature, b"data") for signer, signature in zip(signers, signatures, strict=True)
    )


def test_the_pin_may_come_from_a_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    pin = tmp_path / "pin"
    pin.write_text(PIN + "\n")
    pin.chmod(0o600)
    uri = f"pkcs11:object=signing?module-path={MODULE}&pin-source=file:{pin}"
    assert open_signer(uri, environ={}).sign(b"x")
    pin.chmod(0o640)
    with pytest.raises(KeyUnusableError, match="others may use the PIN: the mode of its file is 0640"):
        open_signer(uri, environ={})


def test_the_library_may_come_from_the_environment() -> None:
    environ = {**ENVIRON, "MAESTRO_PKCS11_MODULE": MODULE}
    assert open_signer("pkcs11:object=signing?pin-source=env:TOKEN_PIN", environ=environ).sign(b"x")


def test_neither_pin_nor_uri_is_in_what_a_signer_prints() -> None:
    assert PIN not in repr(open_signer(f"pkcs11:object=signing?{WHERE}", environ=ENVIRON))


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("token=other;object=signing", "no token of"),
        ("serial=0000;object=signing", "no token of"),
        ("token=release;object=nothing", "there is no public key"),
        ("token=release;id=%09", "there is no public key"),
        ("token=release;object=twice", "more than one public key"),
        ("token=release;object=old", "this kind"),
    ],
)
def test_a_uri_that_fits_no_usable_key_is_refused(path: str, says: str) -> None:
    with pytest.raises(KeyUnusableError) as caught:
        open_signer(f"pkcs11:{path}?{WHERE}", environ=ENVIRON)
    assert says in str(caught.value)
    assert caught.value.next_step
    assert PIN not in str(caught.value)


def test_a_wrong_pin_is_refused_and_not_repeated() -> None:
    with pytest.raises(KeyUnusableError, match="the token refuses the PIN") as caught:
        open_signer(f"pkcs11:object=signing?{WHERE}", environ={"TOKEN_PIN": "9999-wrong"})
    assert "9999" not in str(caught.value)


def test_a_library_that_is_not_there_is_refused() -> None:
    with pytest.raises(KeyUnusableError, match=r"/nowhere/lib\.so cannot be used"):
        open_signer("pkcs11:object=signing?module-path=/nowhere/lib.so&pin-source=env:TOKEN_PIN", environ=ENVIRON)


def test_a_key_that_was_removed_meanwhile_does_not_sign(delete_key: Callable[[str], None]) -> None:
    signer = open_signer(f"pkcs11:object=leaving?{WHERE}", environ=ENVIRON)
    delete_key("leaving")
    with pytest.raises(SigningError, match="the token did not sign: there is no private key"):
        signer.sign(b"x")


@pytest.fixture
def delete_key(tmp_path: Path) -> Callable[[str], None]:
    _import(tmp_path, "leaving", "08", "EC", "ec_paramgen_curve:P-256")

    def delete(label: str) -> None:
        import pkcs11

        with pkcs11.lib(MODULE).get_token(token_label="release").open(rw=True, user_pin=PIN) as session:
            for one in session.get_objects({pkcs11.Attribute.LABEL: label}):
                one.destroy()

    return delete
