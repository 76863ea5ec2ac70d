"""Keys of cloud services: a wrong URI and a missing library are named before anything is asked for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from maestro.signing import KeyUnusableError, open_signer

ROOT = Path(__file__).resolve().parents[2]
GCP = "gcpkms://projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1"
AZURE = "azurekms://vault.vault.azure.net/keys/k"


@pytest.mark.parametrize(
    "uri",
    [
        "awskms:",
        "awskms:alias/release",
        "awskms://",
        "awskms:///",
        "gcpkms://projects/p",
        GCP.replace("cryptoKeyVersions", "versions"),
        "azurekms://vault.example.org/keys/k",
        "azurekms://vault.vault.azure.net/secrets/k",
    ],
)
def test_a_uri_that_names_no_key_is_refused_with_the_right_form(uri: str) -> None:
    scheme = uri.partition(":")[0]
    with pytest.raises(KeyUnusableError, match=f"the {scheme}: URI names no key") as caught:
        open_signer(uri, environ={})
    assert f"write {scheme}://" in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "library", "extra"),
    [
        ("awskms:///alias/k", "boto3", "awskms"),
        ("awskms:///alias/k", "securesystemslib", "awskms"),
        (GCP, "google.cloud", "gcpkms"),
        (AZURE, "azure.identity", "azurekms"),
        ("pkcs11:object=k?module-path=/l.so&pin-source=env:PIN", "pkcs11", "pkcs11"),
    ],
)
def test_a_library_that_is_not_installed_is_named_by_its_extra(uri: str, library: str, extra: str) -> None:
    program = (
        f"import sys; sys.modules[{library!r}] = None\n"
        "from maestro.signing import KeyUnusableError, open_signer\n"
        "try:\n"
        f"    open_signer({uri!r}, environ={{'PIN': '1'}})\n"
        "except KeyUnusableError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert f"pip install 'maestro-conductor[{extra}]'" in done.stdout
    assert done.stderr == ""


def test_signing_and_verifying_with_files_loads_no_cloud_library() -> None:
    program = (
        "import sys\n"
        "import maestro.signing\n"
        "print('cryptography' in sys.modules)\n"
        "from tests.unit.signing_statements import NOW, signed\n"
        "one = signed()\n"
        "maestro.signing.verify_bundle(one.bundle, one.trust, at=NOW)\n"
        "print(sorted({'securesystemslib', 'boto3', 'pkcs11', 'yaml'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["False", "[]"]
