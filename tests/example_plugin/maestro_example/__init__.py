"""A third-party step kind for Maestro."""
