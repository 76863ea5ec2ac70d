# Evidence the project's contract requires: there, verified, and not signed with a key that only protects against accidents.
package maestro.supply_chain

# These are about the revision of the source, the others about each subject.
of_source := {"test-report", "secrets"}

# [object, type, evidence]
wanted contains [subject.name, type, object.get(subject, ["evidence", type], {})] if {
	some type in required
	not type in of_source
	some subject in subjects
}

wanted contains ["source", type, object.get(input, ["source", "evidence", type], {})] if {
	some type in required
	type in of_source
}

deny contains data.maestro.lib.reason(
	"evidence_missing", sprintf("%s has no %s evidence: %s", [name, type, why(evidence, "nobody has made it")]),
	name, "missing", "verified",
	sprintf("add a step that makes %s evidence of %s before the gate", [type, name]),
) if {
	some [name, type, evidence] in wanted
	object.get(evidence, "state", "missing") == "missing"
}

deny contains data.maestro.lib.reason(
	"evidence_rejected", sprintf("the %s evidence of %s does not verify: %s", [type, name, why(evidence, "no reason given")]),
	name, object.get(evidence, "state", "missing"), "verified",
	sprintf("make the %s evidence of %s again; find out who could change it", [type, name]),
) if {
	some [name, type, evidence] in wanted
	not object.get(evidence, "state", "missing") in {"missing", "verified"}
}

deny contains data.maestro.lib.reason(
	"evidence_unsigned", sprintf("nobody is named who signed the %s evidence of %s", [type, name]),
	name, "no signer", "a trusted signer", sprintf("make the %s evidence of %s again", [type, name]),
) if {
	some [name, type, evidence] in wanted
	object.get(evidence, "state", "missing") == "verified"
	not is_boolean(object.get(evidence, ["signer", "development"], null))
}

deny contains data.maestro.lib.reason(
	"development_key",
	sprintf("the %s evidence of %s is signed with the development key '%s', which does not count in %v", [
		type, name, object.get(evidence, ["signer", "name"], "unnamed"), object.get(input, "environment", "an unnamed environment"),
	]),
	name, "a development key", "a key of a release",
	"sign with a key others cannot read: set `key` under `evidence` in the profile's settings.yaml",
) if {
	some [name, type, evidence] in wanted
	object.get(evidence, ["signer", "development"], false) == true
	not development_keys_count
}

development_keys_count if config.allow_development_keys == true

development_keys_count if {
	is_null(config.allow_development_keys)
	is_string(object.get(input, "environment", null))
	data.maestro.lib.environment(input.environment) != "production"
}

deny contains data.maestro.lib.reason(
	"config", sprintf("setting 'allow_development_keys' is %s", [type_name(config.allow_development_keys)]),
	"allow_development_keys", type_name(config.allow_development_keys), "boolean",
	"write 'allow_development_keys' as true or false in the gate's config",
) if {
	not type_name(config.allow_development_keys) in {"null", "boolean"}
}

why(evidence, otherwise) := otherwise if is_null(object.get(evidence, "reason", null))

why(evidence, _) := evidence.reason if is_string(object.get(evidence, "reason", null))
