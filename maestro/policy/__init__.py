"""Policy: Rego bundles, engines, and decisions that say why."""
