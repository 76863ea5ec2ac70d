# What all packages share: how a reason looks, times, patterns, settings.
package maestro.lib

# A rule that spoke. Texts only, so that every engine and every table shows the same.
reason(rule, message, object, actual, allowed, fix) := {
	"rule": rule,
	"message": message,
	"object": text(object),
	"actual": text(actual),
	"allowed": text(allowed),
	"fix": fix,
}

text(value) := value if is_string(value)

text(value) := "nothing" if is_null(value)

text(value) := concat(", ", shown) if {
	is_array(value)
	shown := [sprintf("%v", [one]) | some one in value]
}

text(value) := sprintf("%v", [value]) if {
	not is_string(value)
	not is_null(value)
	not is_array(value)
}

# RFC 3339 in nanoseconds; undefined for anything else, so ask positively: "deny unless it is proven to be over".
moment(value) := time.parse_rfc3339_ns(value) if {
	is_string(value)
	regex.match(`^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`, value)
	real_day(value)
}

# The parsers of the engines disagree on the 31st of June; nobody is asked about it.
real_day(value) if to_number(trim_left(substring(value, 8, 2), "0")) <= days_in(substring(value, 0, 4), substring(value, 5, 2))

days_in(_, month) := 31 if month in {"01", "03", "05", "07", "08", "10", "12"}

days_in(_, month) := 30 if month in {"04", "06", "09", "11"}

days_in(year, "02") := 29 if leap(to_number(concat("", ["1", year])) - 10000)

days_in(year, "02") := 28 if not leap(to_number(concat("", ["1", year])) - 10000)

leap(year) if year % 400 == 0

leap(year) if {
	year % 4 == 0
	year % 100 != 0
}

# `*` stays between slashes, `**` does not.
matches(patterns, value) if {
	is_string(value)
	some pattern in patterns
	glob.match(pattern, ["/"], value)
}

# Fields of the type that is asked for, whatever the input holds: engines differ in what they do with another one.
array_at(document, key) := object.get(document, key, []) if is_array(object.get(document, key, []))

array_at(document, key) := [] if not is_array(object.get(document, key, []))

object_at(document, key) := object.get(document, key, {}) if is_object(object.get(document, key, {}))

object_at(document, key) := {} if not is_object(object.get(document, key, {}))

# One digit after the point.
number(value) := sprintf("%v", [round(value * 10) / 10])

# What a person wrote over what the package says. A setting of null is one that was not given; one of another type than
# the default's is denied for that, see wrong_settings, and not used.
settings(defaults, given) := object.union(defaults, {key: value |
	some key, value in given
	not is_null(value)
	type_name(object.get(defaults, key, null)) in {"null", type_name(value)}
})

# Settings nobody knows are mistakes, and a mistake in a limit must not pass for one.
unknown_settings(defaults, given) := {key | some key, _ in given; not key in object.keys(defaults)}

# Settings of another type than the default's.
wrong_settings(defaults, given) := {key |
	some key, value in given
	not is_null(value)
	some kind in [type_name(object.get(defaults, key, value))]
	kind != "null"
	type_name(value) != kind
}

environment(name) := object.get({"dev": "development", "prod": "production"}, name, name)

# A waiver counts while it lasts, whatever marked the finding.
waived(finding, now) if {
	object.get(finding, "waived", false) == true
	waiver := object.get(finding, "waiver", null)
	is_object(waiver)
	now < moment(object.get(waiver, "expires", null))
}
