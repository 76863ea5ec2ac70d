"""What an evidence pack is: one ``.tar.zst`` a revision, that a stranger can verify offline.

::

    README.md                              how to verify, with openssl alone and with Maestro
    index.json                             every other file with its sha256, and every statement with its files
    statements/index.sigstore.json         a signed statement about index.json, so that nothing can be left out unseen
    keys/<keyid>.pem, keys/trust.yaml      public keys, as they were trusted when the pack was made
    statements/<n>-<type>.sigstore.json    signed statements (Sigstore bundle v0.3)
    statements/<n>-<type>.{pae,sig,key}    the bytes that were signed, the signature, and the key's id, for openssl
    reports/<n>-<name>                     reports, SBOMs and decisions the statements name by digest
    audit/checkpoint.txt, audit/key.pub    the audit log as it was signed
    audit/<row>.json                       proof that the row of a statement is in that log (RFC 6962)
"""

from __future__ import annotations

SCHEMA = 1
PREDICATE_TYPE = "https://maestro.example/attestation/evidence-pack/v1"
TYPE = "pack"
README = "README.md"
INDEX = "index.json"
KEYS = "keys"
TRUST = "keys/trust.yaml"
STATEMENTS = "statements"
SIGNED_INDEX = "statements/index"
BUNDLE = ".sigstore.json"
REPORTS = "reports"
AUDIT = "audit"
CHECKPOINT = "audit/checkpoint.txt"
AUDIT_KEY = "audit/key.pub"

MOST_FILES = 20_000
MOST_BYTES = 4 * 1024**3
MOST_KEPT_BYTES = 512 * 1024**2
"""Of all files but reports, which are only hashed."""
MOST_INDEX_BYTES = 64 * 1024**2

README_TEXT = r"""# Evidence pack of {project}, revision {revision}

Made {made_at} by Maestro. It holds every signed statement about this revision, what the statements name, the public
keys, and proofs that each signing stands in an append-only audit log. Nothing here needs a network to be verified.

## With openssl alone

Each statement `statements/N.sigstore.json` is a DSSE envelope in a Sigstore bundle. `N.pae` are the bytes that were
signed, `N.sig` is the signature, `N.key` the id of the key. `statements/index` is the statement about `index.json`.
In the folder with this file, with a POSIX shell:

```sh
for pae in statements/*.pae; do
  n="${{pae%.pae}}"
  openssl dgst -sha256 -verify "keys/$(tr -dc 0-9a-f < "$n.key").pem" -signature "$n.sig" "$pae" > /dev/null 2>&1 \
    && echo "signed: $n" || echo "REFUSED: $n"
done
sum="$(openssl dgst -sha256 -r index.json | cut -d ' ' -f 1)"
grep -q "\"sha256\":\"$sum\"" statements/index.pae && echo "signed: index.json" || echo "REFUSED: index.json"
sed -n 's/^  "\(.*\)": "sha256:\([0-9a-f]\{{64\}}\)",\{{0,1\}}$/\2 \1/p' index.json | while read -r sum file; do
  [ "$(openssl dgst -sha256 -r "$file" | cut -d ' ' -f 1)" = "$sum" ] || echo "REFUSED: $file"
done
```

It must say `signed` of {count} statements, of `statements/index` and of `index.json`, and `REFUSED` of nothing.

This is for keys of ECDSA over P-256 and RSA (PKCS #1). For P-384 write `-sha384` where a statement is verified, for
RSA-PSS add `-sigopt rsa_padding_mode:pss`, and Ed25519 is
`openssl pkeyutl -verify -pubin -inkey KEY.pem -rawin -in N.pae -sigfile N.sig`.

That the signed bytes say what the envelope says: the text after the second length in `N.pae` is the statement, JSON
with `subject` (digests of what it is about), `predicateType` and `predicate`. Compare the digests with
`openssl dgst -sha256 FILE` of what you were given, or with the digest an image is pulled by.

**Whose keys?** The keys in this pack prove only that the pack fits together. Ask whoever sent it for the id of their
key, over another way, and compare: `openssl pkey -pubin -in KEY.pem -outform DER | openssl dgst -sha256`.

## With Maestro

```sh
maestro evidence verify PACK.tar.zst --key KEY.pem      # a key you trust, or --trust trust.yaml
```

It checks that the index is signed and nothing is missing, every digest in it, every signature, that every statement is
of this project and revision, every document a statement names, and every proof against `audit/checkpoint.txt`.

## The statements

{statements}
"""
