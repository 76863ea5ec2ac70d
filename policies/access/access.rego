# Who may let something go on: attributes of user, tenant, project and environment, and nothing else.
package maestro.access

release := {"allow": allow, "deny": deny, "warn": [], "waived": []}

default allow := false

allow if count(deny) == 0

# A grant holds when each attribute it names matches (`*` within a name, `**` anything); one it does not name matches anything.
# Without a grant for production nobody releases there.
defaults := {"grants": [{"environments": ["development", "staging"], "users": ["**"]}]}

attributes := ["environments", "tenants", "projects", "users", "groups"]

given := data.maestro.lib.object_at(input, "config")

config := data.maestro.lib.settings(defaults, given)

deny contains data.maestro.lib.reason(
	"input", sprintf("the input has no usable '%s': it is %s, not string", [field, type_name(value)]), field,
	type_name(value), "string", "ask with the input document of a gate (docs/policies.md)",
) if {
	some field in ["tenant", "project", "environment"]
	value := object.get(input, field, null)
	not named(value)
}

deny contains data.maestro.lib.reason(
	"user", "nobody is named who asks", "user", object.get(input, ["user", "name"], null), "a user with a name",
	"sign in, so that it is known who asks",
) if {
	not named(object.get(input, ["user", "name"], null))
}

named(value) if {
	is_string(value)
	value != ""
}

deny contains data.maestro.lib.reason(
	"config", sprintf("'%s' is no setting of access", [key]), key, key, sort(object.keys(defaults)),
	sprintf("remove '%s' from the gate's config, or spell it right", [key]),
) if {
	some key in data.maestro.lib.unknown_settings(defaults, given)
}

deny contains data.maestro.lib.reason(
	"config", "'grants' is no list of grants", "grants", type_name(given.grants), "a list",
	"write 'grants' as a list in the gate's config",
) if {
	some key in data.maestro.lib.wrong_settings(defaults, given)
	key == "grants"
}

deny contains data.maestro.lib.reason(
	"config", sprintf("grant %d cannot be used: %s", [position, data.maestro.lib.text(grant)]), "grants", grant,
	sprintf("lists under %s, and users or groups among them", [concat(", ", attributes)]),
	sprintf("correct grant %d in the gate's config", [position]),
) if {
	some position, grant in config.grants
	not usable(grant)
}

# A grant that names neither users nor groups would be for everybody by mistake.
usable(grant) if {
	is_object(grant)
	some who in ["users", "groups"]
	grant[who]
	every name, values in grant {
		name in attributes
		is_array(values)
	}
}

deny contains data.maestro.lib.reason(
	"not_granted",
	sprintf("%s (%s) may not release project %s of tenant %s to %s", [user, groups_text, input.project, input.tenant, input.environment]),
	sprintf("%s to %s", [input.project, input.environment]), sprintf("%s (%s)", [user, groups_text]), who_may,
	sprintf("let somebody do it who may (%s), or add a grant", [who_may]),
) if {
	not granted
}

granted if {
	some grant in config.grants
	usable(grant)
	holds(grant)
}

holds(grant) if {
	for_place(grant)
	for_user(grant)
}

for_place(grant) if {
	data.maestro.lib.matches(canonical(object.get(grant, "environments", ["**"])), data.maestro.lib.environment(input.environment))
	data.maestro.lib.matches(object.get(grant, "tenants", ["**"]), input.tenant)
	data.maestro.lib.matches(object.get(grant, "projects", ["**"]), input.project)
}

for_user(grant) if {
	data.maestro.lib.matches(object.get(grant, "users", ["**"]), input.user.name)
	in_group(grant)
}

in_group(grant) if not "groups" in object.keys(grant)

in_group(grant) if {
	some group in data.maestro.lib.array_at(data.maestro.lib.object_at(input, "user"), "groups")
	data.maestro.lib.matches(object.get(grant, "groups", []), group)
}

canonical(names) := [data.maestro.lib.environment(name) | some name in names]

user := data.maestro.lib.text(object.get(input, ["user", "name"], "nobody"))

groups_text := sprintf("groups: %s", [data.maestro.lib.text(data.maestro.lib.array_at(data.maestro.lib.object_at(input, "user"), "groups"))]) if count(data.maestro.lib.array_at(data.maestro.lib.object_at(input, "user"), "groups")) > 0

groups_text := "in no group" if count(data.maestro.lib.array_at(data.maestro.lib.object_at(input, "user"), "groups")) == 0

may contains sprintf("users %s", [data.maestro.lib.text(grant.users)]) if {
	some grant in config.grants
	usable(grant)
	for_place(grant)
	grant.users
}

may contains sprintf("groups %s", [data.maestro.lib.text(grant.groups)]) if {
	some grant in config.grants
	usable(grant)
	for_place(grant)
	grant.groups
}

who_may := concat(" or ", may) if count(may) > 0

who_may := "nobody: no grant is for this place" if count(may) == 0
