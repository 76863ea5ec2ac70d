# Whether something may go from one environment to the next: in order, and only what the one before let in.
package maestro.promotion

release := {"allow": allow, "deny": deny, "warn": [], "waived": []}

default allow := false

allow if count(deny) == 0

# soak_hours: environment -> how long something must have been let into it before it goes on from there.
defaults := {"order": ["development", "staging", "production"], "soak_hours": {}}

given := data.maestro.lib.object_at(input, "config")

config := data.maestro.lib.settings(defaults, given)

now := data.maestro.lib.moment(object.get(input, "now", null))

order := [data.maestro.lib.environment(name) | some name in config.order]

said := object.get(input, "promotion", null)

promotion := data.maestro.lib.object_at(input, "promotion")

environment := data.maestro.lib.environment(object.get(input, "environment", null))

target := data.maestro.lib.environment(object.get(promotion, "to", null)) if is_object(said)

source := data.maestro.lib.environment(object.get(promotion, "from", null)) if is_object(said)

subjects := data.maestro.lib.array_at(input, "subjects")

deny contains data.maestro.lib.reason(
	"input", sprintf("the input has no usable '%s': it is %s, not %s", [field, type_name(value), kind]),
	field, type_name(value), kind, "ask with the input document of a gate (docs/policies.md)",
) if {
	some field, kind in {"subjects": "array", "environment": "string", "config": "object"}
	value := object.get(input, field, null)
	type_name(value) != kind
}

deny contains data.maestro.lib.reason(
	"input", "it is not known what time it is", "now", object.get(input, "now", null), "RFC 3339",
	"ask with the input document of a gate (docs/policies.md)",
) if {
	not now
}

deny contains data.maestro.lib.reason(
	"config", sprintf("'%s' is no setting of promotion", [key]), key, key, sort(object.keys(defaults)),
	sprintf("remove '%s' from the gate's config, or spell it right", [key]),
) if {
	some key in data.maestro.lib.unknown_settings(defaults, given)
}

deny contains data.maestro.lib.reason(
	"config", sprintf("setting '%s' is %s", [key, type_name(given[key])]), key, type_name(given[key]),
	type_name(defaults[key]), sprintf("write '%s' as %s in the gate's config", [key, type_name(defaults[key])]),
) if {
	some key in data.maestro.lib.wrong_settings(defaults, given)
}

deny contains data.maestro.lib.reason(
	"config", sprintf("soak_hours has '%v: %v'", [name, hours]), "soak_hours", sprintf("%v: %v", [name, hours]),
	"an environment of the order and a number of hours", "correct soak_hours in the gate's config",
) if {
	some name, hours in config.soak_hours
	not soak_is_usable(name, hours)
}

soak_is_usable(name, hours) if {
	data.maestro.lib.environment(name) in order
	is_number(hours)
	hours >= 0
}

deny contains data.maestro.lib.reason(
	"subjects", "there is nothing to promote: no step before the gate has delivered anything", "subjects", 0, "at least 1",
	"let the gate depend on the steps that build what is promoted",
) if {
	is_array(object.get(input, "subjects", null))
	count(subjects) == 0
}

deny contains data.maestro.lib.reason(
	"promotion", sprintf("nothing says where it comes from, and %s is not the first environment", [data.maestro.lib.text(environment)]),
	environment, null, order[0], "say `promote_from` in the gate",
) if {
	is_null(said)
	environment != order[0]
}

deny contains data.maestro.lib.reason(
	"promotion", "the promotion is no object", "promotion", type_name(said), "object",
	"ask with the input document of a gate (docs/policies.md)",
) if {
	not type_name(said) in {"object", "null"}
}

deny contains data.maestro.lib.reason(
	"environment", sprintf("the promotion is to %s, the gate is of %s", [data.maestro.lib.text(target), data.maestro.lib.text(environment)]),
	"environment", target, environment, "promote to the environment of the gate",
) if {
	is_object(said)
	target != environment
}

deny contains data.maestro.lib.reason(
	"environment", sprintf("%s is no environment of the order", [data.maestro.lib.text(environment)]), "environment", environment, order,
	"choose an environment of the order, or add this one to it",
) if {
	not environment in order
}

before := order[position - 1] if {
	some position, name in order
	name == target
	position > 0
}

deny contains data.maestro.lib.reason(
	"order", sprintf("it comes from %s; what goes to %s comes from %s", [data.maestro.lib.text(source), target, before]), target, source,
	before, sprintf("promote it to %s first, and from there", [before]),
) if {
	source != before
}

# About each subject the newest decision of the environment before counts: a later refusal takes an earlier word back.
decisions(subject) := [entry |
	some entry in data.maestro.lib.array_at(promotion, "history")
	data.maestro.lib.environment(object.get(entry, "environment", null)) == before
	object.get(entry, "subject", subject.digest) == subject.digest
	data.maestro.lib.moment(object.get(entry, "at", null)) <= now
]

newest(subject) := entry if {
	latest := max([data.maestro.lib.moment(one.at) | some one in decisions(subject)])
	entries := [one | some one in decisions(subject); data.maestro.lib.moment(one.at) == latest; object.get(one, "allowed", false) != true]
	allowed_entries := [one | some one in decisions(subject); data.maestro.lib.moment(one.at) == latest]
	entry := array.concat(entries, allowed_entries)[0]
}

deny contains data.maestro.lib.reason(
	"not_in_environment", sprintf("%s has never been let into %s", [data.maestro.lib.text(object.get(subject, "name", null)), before]),
	object.get(subject, "name", null), "no decision", sprintf("let into %s", [before]),
	sprintf("let it pass the gate of %s first", [before]),
) if {
	some subject in subjects
	before
	not newest(subject)
}

deny contains data.maestro.lib.reason(
	"refused", sprintf("%s was refused by %s at %s", [subject.name, before, newest(subject).at]), subject.name,
	sprintf("refused (%s)", [data.maestro.lib.text(object.get(newest(subject), "decision", null))]), sprintf("let into %s", [before]),
	sprintf("let it pass the gate of %s again", [before]),
) if {
	some subject in subjects
	object.get(newest(subject), "allowed", false) != true
}

deny contains data.maestro.lib.reason(
	"soak", sprintf("%s has been in %s for %s hours", [subject.name, before, data.maestro.lib.number(time_in(subject))]), subject.name,
	sprintf("%s h", [data.maestro.lib.number(time_in(subject))]), sprintf("%v h", [soak]), sprintf("wait %s hours", [data.maestro.lib.number(soak - time_in(subject))]),
) if {
	some subject in subjects
	newest(subject).allowed == true
	time_in(subject) < soak
}

soak := max(array.concat([0], [hours | some name, hours in config.soak_hours; data.maestro.lib.environment(name) == before]))

time_in(subject) := (now - data.maestro.lib.moment(first_allowed(subject))) / ((3600 * 1000) * 1000000)

# Since the first of the words that still hold.
first_allowed(subject) := entry.at if {
	since := [data.maestro.lib.moment(one.at) | some one in decisions(subject); object.get(one, "allowed", false) == true; not taken_back(subject, one)]
	earliest := min(since)
	some entry in decisions(subject)
	data.maestro.lib.moment(entry.at) == earliest
	entry.allowed == true
}

taken_back(subject, entry) if {
	some other in decisions(subject)
	object.get(other, "allowed", false) != true
	data.maestro.lib.moment(other.at) >= data.maestro.lib.moment(entry.at)
}
