"""OCI registries and image layouts: reading, pushing and attaching evidence, over HTTP."""
