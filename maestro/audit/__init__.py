"""The audit log: every decision, waiver, signing and deletion, in an append-only Merkle log (RFC 6962) with signed checkpoints."""
