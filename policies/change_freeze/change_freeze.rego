# Whether something may change now: not within a window of the calendar, unless a person is exempt.
package maestro.change_freeze

release := {"allow": allow, "deny": deny, "warn": warn, "waived": []}

default allow := false

allow if count(deny) == 0

# exempt_groups: who may go on in a freeze all the same, with a warning.
defaults := {"exempt_groups": []}

given := data.maestro.lib.object_at(input, "config")

config := data.maestro.lib.settings(defaults, given)

now := data.maestro.lib.moment(object.get(input, "now", null))

windows := data.maestro.lib.array_at(input, "freeze")

deny contains data.maestro.lib.reason(
	"input", sprintf("the input has no usable '%s': it is %s, not %s", [field, type_name(value), kind]),
	field, type_name(value), kind, "ask with the input document of a gate (docs/policies.md)",
) if {
	some field, kind in {"freeze": "array", "environment": "string", "config": "object"}
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
	"config", sprintf("'%s' is no setting of change_freeze", [key]), key, key, sort(object.keys(defaults)),
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
	"window", sprintf("freeze '%s' has no usable beginning and end: %s to %s", [called(window), begin(window), end(window)]),
	called(window), sprintf("%s to %s", [begin(window), end(window)]), "two RFC 3339 times, the first one earlier",
	sprintf("correct 'from' and 'to' of freeze '%s'", [called(window)]),
) if {
	some window in windows
	not usable(window)
}

usable(window) if {
	data.maestro.lib.moment(object.get(window, "from", null)) < data.maestro.lib.moment(object.get(window, "to", null))
	is_array(object.get(window, "environments", []))
}

deny contains data.maestro.lib.reason(
	"frozen", sprintf("freeze '%s' lasts until %s: %s", [called(window), window.to, cause(window)]), called(window),
	input.now, sprintf("before %s, or from %s on", [window.from, window.to]),
	sprintf("wait until %s%s", [window.to, or_ask]),
) if {
	some window in concerned
	not over(window)
	not ahead(window)
	not exempt
}

warn contains data.maestro.lib.reason(
	"frozen", sprintf("freeze '%s' lasts until %s, but %s is exempt: %s", [called(window), window.to, user, cause(window)]),
	called(window), input.now, sprintf("before %s, or from %s on", [window.from, window.to]), "nothing; it is recorded",
) if {
	some window in concerned
	not over(window)
	not ahead(window)
	exempt
}

concerned contains window if {
	some window in windows
	usable(window)
	object.get(window, "environments", []) == []
}

concerned contains window if {
	some window in windows
	usable(window)
	some name in object.get(window, "environments", [])
	data.maestro.lib.environment(name) in {data.maestro.lib.environment(input.environment), "*"}
}

# Proven to be outside; where the time is not known, it is not.
over(window) if now >= data.maestro.lib.moment(window.to)

ahead(window) if now < data.maestro.lib.moment(window.from)

exempt if {
	some group in data.maestro.lib.array_at(data.maestro.lib.object_at(input, "user"), "groups")
	group in config.exempt_groups
}

or_ask := sprintf(", or let somebody of %s do it", [concat(", ", config.exempt_groups)]) if count(config.exempt_groups) > 0

or_ask := "" if count(config.exempt_groups) == 0

user := data.maestro.lib.text(object.get(input, ["user", "name"], "somebody"))

called(window) := data.maestro.lib.text(object.get(window, "name", "without a name"))

begin(window) := data.maestro.lib.text(object.get(window, "from", null))

end(window) := data.maestro.lib.text(object.get(window, "to", null))

cause(window) := data.maestro.lib.text(object.get(window, "reason", "no reason given"))
