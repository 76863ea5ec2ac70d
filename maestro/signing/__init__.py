"""Statements, envelopes and keys: in-toto Statement v1, DSSE, Sigstore bundles, and whom to trust."""
