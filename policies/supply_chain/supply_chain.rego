# Whether what was built may be released: its evidence, where it comes from, what is known to be wrong with it.
package maestro.supply_chain

release := {"allow": allow, "deny": deny, "warn": warn, "waived": waived}

default allow := false

allow if count(deny) == 0

# Settings of a gate's `with: config:` and their defaults. In `severity order` a finding up to max_severity passes at once.
defaults := {
	"max_severity": "medium",
	"grace_days": {"critical": 0, "high": 7, "medium": 30, "low": 90, "none": 365, "unknown": 0},
	"allowed_builders": ["**"],
	"allowed_registries": ["**"],
	"database_max_age_hours": 168,
	"allow_development_keys": null,
	"allow_unscanned": false,
}

severities := {"none": 0, "low": 1, "medium": 2, "high": 3, "critical": 4, "unknown": 4}

given := data.maestro.lib.object_at(input, "config")

config := data.maestro.lib.settings(defaults, given)

now := data.maestro.lib.moment(object.get(input, "now", null))

subjects := data.maestro.lib.array_at(input, "subjects")

required := data.maestro.lib.array_at(input, "required")

# What a rule needs and does not find would leave it silent; so what is needed is asked for first.
deny contains data.maestro.lib.reason(
	"input",
	sprintf("the input has no usable '%s': it is %s, not %s", [field, type_name(value), kind]),
	field, type_name(value), kind,
	"ask with the input document of a gate (docs/policies.md)",
) if {
	some field, kind in {
		"subjects": "array", "required": "array", "vulnerabilities": "array",
		"source": "object", "config": "object", "now": "string",
	}
	value := object.get(input, field, null)
	type_name(value) != kind
}

deny contains data.maestro.lib.reason(
	"input", sprintf("the time of the question is '%v', which is no RFC 3339 time", [input.now]),
	"now", input.now, "RFC 3339", "ask with the input document of a gate (docs/policies.md)",
) if {
	is_string(input.now)
	not data.maestro.lib.moment(input.now)
}

deny contains data.maestro.lib.reason(
	"input", sprintf("subject %d has no usable '%s'", [position, field]),
	"subjects", type_name(value), kind, "ask with the input document of a gate (docs/policies.md)",
) if {
	some position, subject in subjects
	some field, kind in {"name": "string", "digest": "string", "kind": "string", "evidence": "object"}
	value := object.get(subject, field, null)
	type_name(value) != kind
}

deny contains data.maestro.lib.reason(
	"config", sprintf("'%s' is no setting of supply_chain", [key]),
	key, key, sort(object.keys(defaults)), sprintf("remove '%s' from the gate's config, or spell it right", [key]),
) if {
	some key in data.maestro.lib.unknown_settings(defaults, given)
}

deny contains data.maestro.lib.reason(
	"config", sprintf("setting '%s' is %s", [key, type_name(given[key])]),
	key, type_name(given[key]), type_name(defaults[key]),
	sprintf("write '%s' as %s in the gate's config", [key, type_name(defaults[key])]),
) if {
	some key in data.maestro.lib.wrong_settings(defaults, given)
}

deny contains data.maestro.lib.reason(
	"config", sprintf("max_severity '%v' is no severity", [config.max_severity]),
	"max_severity", config.max_severity, sort(object.keys(severities)), "choose one of the severities for max_severity",
) if {
	not config.max_severity in object.keys(severities)
}

deny contains data.maestro.lib.reason(
	"config", sprintf("grace_days has '%v: %v'", [name, days]),
	"grace_days", sprintf("%v: %v", [name, days]), "a severity and a number of days",
	"give grace_days a number for each of critical, high, medium, low, none, unknown",
) if {
	some name, days in config.grace_days
	not grace_is_usable(name, days)
}

grace_is_usable(name, days) if {
	name in object.keys(severities)
	is_number(days)
	days >= 0
}

deny contains data.maestro.lib.reason(
	"subjects", "there is nothing to release: no step before the gate has delivered anything",
	"subjects", 0, "at least 1", "let the gate depend on the steps that build what is released",
) if {
	is_array(object.get(input, "subjects", null))
	count(subjects) == 0
}

deny contains data.maestro.lib.reason(
	"quarantined",
	sprintf("%s is in quarantine since %v: %v (by %v)", [
		subject.name, object.get(mark, "at", "an unknown time"), object.get(mark, "reason", "no reason given"),
		object.get(mark, "by", "nobody named"),
	]),
	subject.name, object.get(mark, "reason", "in quarantine"), "not in quarantine",
	sprintf("build %s again; or, if it is sound, release it: maestro evidence quarantine %s --release", [subject.name, subject.digest]),
) if {
	some subject in subjects
	mark := object.get(subject, "quarantined", {"reason": "the input does not say whether it is"})
	not is_null(mark)
}
