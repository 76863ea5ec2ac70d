"""What an evidence pack is: one ``.tar.zst`` a revision, that a stranger can verify offline.

::

    README.md                              how to verify, with openssl alone and with Maestro
    index.json                             every other file with its sha256, and every statement with its files
    keys/<keyid>.pem, keys/trust.yaml      public keys, as they were trusted when the pack was made
    statements/<n>-<type>.sigstore.json    signed statements (Sigstore bundle v0.3)
    statements/<n>-<type>.{pae,sig}        the bytes that were signed, and the signature, for openssl
    reports/<n>-<name>                     reports, SBOMs and decisions the statements name by digest
    audit/checkpoint.txt, audit/key.pub    the audit log as it was signed
    audit/<row>.json                       proof that the row of a statement is in that log (RFC 6962)
"""

from __future__ import annotations

SCHEMA = 1
README = "README.md"
INDEX = "index.json"
KEYS = "keys"
TRUST = "keys/trust.yaml"
STATEMENTS = "statements"
REPORTS = "reports"
AUDIT = "audit"
CHECKPOINT = "audit/checkpoint.txt"
AUDIT_KEY = "audit/key.pub"

MOST_FILES = 20_000
MOST_BYTES = 4 * 1024**3
MOST_INDEX_BYTES = 64 * 1024**2

README_TEXT = """\
# Evidence pack of {project}, revision {revision}

Made {made_at} by Maestro. It holds every signed statement about this revision, what the statements name, the public
keys, and proofs that each signing stands in an append-only audit log. Nothing here needs a network to be verified.

## With openssl alone

Each statement `statements/N.sigstore.json` is a DSSE envelope. `N.pae` are the bytes that were signed, `N.sig` is the
signature, and `index.json` names the key. To verify every one of them:

    cd this-folder
    for pae in statements/*.pae; do
      n="${{pae%.pae}}"
      key=keys/$(sed -n 's/.*"keyid": *"\\([0-9a-f]\\{{64\\}}\\)".*/\\1/p' "$n.key.json").pem
      openssl dgst -sha256 -verify "$key" -signature "$n.sig" "$pae" || echo "REFUSED: $n"
    done

That the signed bytes say what the envelope says: the text after the second length in `N.pae` is the statement, JSON
with `subject` (digests of what it is about), `predicateType` and `predicate`. Compare the digests with
`sha256sum FILE` of what you were given, or with the digest an image is pulled by.

**Whose keys?** The keys in this pack prove only that the pack fits together. Ask whoever sent it for the fingerprint of
their key, over another way, and compare: `openssl pkey -pubin -in KEY.pem -outform DER | sha256sum` is the key's id.

## With Maestro

    maestro evidence verify PACK.tar.zst --key KEY.pem      # a key you trust, or --trust trust.yaml

It checks every digest in `index.json`, every signature, that every statement is of this project and revision, every
report a statement names, and every proof against the checkpoint in `audit/checkpoint.txt`.

## The statements

{statements}
"""
