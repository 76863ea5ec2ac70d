"""Evidence of a revision: signed, indexed, verified before anything downstream uses what it is about."""
