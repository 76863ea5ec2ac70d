# Who built it, and where it may lie.
package maestro.supply_chain

deny contains data.maestro.lib.reason(
	"builder", sprintf("%s was built by %s, which may not build releases", [subject.name, known_or(builder, "an unknown builder")]),
	subject.name, known_or(builder, "unknown"), config.allowed_builders,
	sprintf("build %s with an allowed builder, or add this one to allowed_builders", [subject.name]),
) if {
	"provenance" in required
	some subject in subjects
	builder := object.get(subject, "builder", null)
	not data.maestro.lib.matches(config.allowed_builders, builder)
}

deny contains data.maestro.lib.reason(
	"registry", sprintf("image %s lies in %s, which is not an allowed registry", [subject.name, known_or(registry, "no registry")]),
	subject.name, registry, config.allowed_registries,
	sprintf("push %s to an allowed registry, or add this one to allowed_registries", [subject.name]),
) if {
	some subject in subjects
	object.get(subject, "kind", "") == "image"
	registry := object.get(subject, "registry", null)
	not anywhere
	not data.maestro.lib.matches(config.allowed_registries, registry)
}

known_or(value, _) := value if is_string(value)

known_or(value, otherwise) := otherwise if not is_string(value)

# With this an image that was pushed nowhere, and lies in the artifact store only, passes too.
anywhere if "**" in config.allowed_registries
