# Whether the licences of what something is made of are allowed.
package maestro.licenses

release := {"allow": allow, "deny": deny, "warn": warn, "waived": []}

default allow := false

allow if count(deny) == 0

# `allowed: null` takes the word of the licence report, which has its own allow-list.
defaults := {"allowed": null, "allow_unknown": false}

given := data.maestro.lib.object_at(input, "config")

config := data.maestro.lib.settings(defaults, given)

reports := data.maestro.lib.array_at(input, "licenses")

subjects := data.maestro.lib.array_at(input, "subjects")

deny contains data.maestro.lib.reason(
	"input", sprintf("the input has no usable '%s': it is %s, not %s", [field, type_name(value), kind]),
	field, type_name(value), kind, "ask with the input document of a gate (docs/policies.md)",
) if {
	some field, kind in {"subjects": "array", "licenses": "array", "config": "object"}
	value := object.get(input, field, null)
	type_name(value) != kind
}

deny contains data.maestro.lib.reason(
	"config", sprintf("'%s' is no setting of licenses", [key]), key, key, sort(object.keys(defaults)),
	sprintf("remove '%s' from the gate's config, or spell it right", [key]),
) if {
	some key in data.maestro.lib.unknown_settings(defaults, given)
}

deny contains data.maestro.lib.reason(
	"config", sprintf("setting '%s' is %s, not %s", [key, type_name(given[key]), kind]), key, type_name(given[key]), kind,
	sprintf("write '%s' as %s in the gate's config", [key, kind]),
) if {
	some key, kind in {"allowed": "array", "allow_unknown": "boolean"}
	not type_name(object.get(given, key, null)) in {kind, "null"}
}

deny contains data.maestro.lib.reason(
	"subjects", "there is nothing to judge: no step before the gate has delivered anything", "subjects", 0, "at least 1",
	"let the gate depend on the steps that build what is released",
) if {
	is_array(object.get(input, "subjects", null))
	count(subjects) == 0
}

deny contains data.maestro.lib.reason(
	"not_scanned", sprintf("the licences of %s are not known: %s", [name, why(report)]), name,
	object.get(report, "state", "missing"), "clean or findings", sprintf("add scan.licenses for %s before the gate", [name]),
) if {
	some [name, report] in of_subject
	not object.get(report, "state", "clean") in {"clean", "findings"}
}

of_subject contains [object.get(subject, "name", "a subject without name"), report] if {
	some subject in subjects
	some report in reports
	object.get(report, "subject", null) == object.get(subject, "digest", "")
}

deny contains data.maestro.lib.reason(
	"not_scanned", sprintf("the licences of %s are not known: no report is about it", [name]), name, "missing",
	"clean or findings", sprintf("add scan.licenses for %s before the gate", [name]),
) if {
	some subject in subjects
	name := object.get(subject, "name", "a subject without name")
	not object.get(subject, "digest", "") in {object.get(report, "subject", null) | some report in reports}
}

why(report) := report.reason if is_string(object.get(report, "reason", null))

why(report) := "no reason given" if not is_string(object.get(report, "reason", null))

deny contains data.maestro.lib.reason(
	"license", sprintf("%s of %s is under %s, which is not allowed", [called(component), name, expression]),
	sprintf("%s: %s", [name, called(component)]), expression, allowed_text,
	sprintf("replace %s; or, if %s is acceptable, add it to the allowed licences", [called(component), expression]),
) if {
	some [name, report] in of_subject
	some component in data.maestro.lib.array_at(report, "components")
	is_string(object.get(component, "license", null))
	expression := component.license
	not accepted(component)
}

deny contains data.maestro.lib.reason(
	"license_unknown", sprintf("the licence of %s of %s is not known", [called(component), name]),
	sprintf("%s: %s", [name, called(component)]), "unknown", allowed_text,
	sprintf("find out the licence of %s and put it into the SBOM; or set allow_unknown: true", [called(component)]),
) if {
	some [name, report] in of_subject
	some component in data.maestro.lib.array_at(report, "components")
	not is_string(object.get(component, "license", null))
	not accepted_unknown(component)
}

warn contains data.maestro.lib.reason(
	"license_unknown", sprintf("the licence of %s of %s is not known, which is accepted here", [called(component), name]),
	sprintf("%s: %s", [name, called(component)]), "unknown", "unknown licences",
	sprintf("find out the licence of %s and put it into the SBOM", [called(component)]),
) if {
	some [name, report] in of_subject
	some component in data.maestro.lib.array_at(report, "components")
	not is_string(object.get(component, "license", null))
	accepted_unknown(component)
}

accepted_unknown(_) if config.allow_unknown == true

accepted_unknown(component) if {
	is_null(config.allowed)
	object.get(component, "allowed", false) == true
}

allowed_text := "what scan.licenses allows" if is_null(config.allowed)

allowed_text := config.allowed if not is_null(config.allowed)

accepted(component) if {
	is_null(config.allowed)
	object.get(component, "allowed", false) == true
}

accepted(component) if lower(component.license) in allowed

# One of the alternatives, all of it.
accepted(component) if {
	some alternative in alternatives(component)
	count(alternative) > 0
	every license in alternative {
		lower(license) in allowed
	}
}

allowed contains lower(one) if {
	is_array(config.allowed)
	some one in config.allowed
	is_string(one)
}

# Split by whoever made the input; it knows the whole grammar of SPDX.
alternatives(component) := component.alternatives if is_array(object.get(component, "alternatives", null))

# Without parentheses AND binds tighter than OR (SPDX 2.3, annex D). Anything else is not guessed at.
alternatives(component) := found if {
	not is_array(object.get(component, "alternatives", null))
	not contains(component.license, "(")
	found := [split(one, " AND ") | some one in split(component.license, " OR ")]
}

called(component) := component.purl if is_string(object.get(component, "purl", null))

called(component) := sprintf("%s %s", [
	data.maestro.lib.text(object.get(component, "name", "a component")), data.maestro.lib.text(object.get(component, "version", "")),
]) if {
	not is_string(object.get(component, "purl", null))
}
