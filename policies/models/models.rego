# Whether one model may be asked for one request: by place, price, name, personal data, and who puts another one in its place.
package maestro.models

release := {"allow": allow, "deny": deny, "warn": [], "waived": []}

default allow := false

allow if count(deny) == 0

# allowed, denied: patterns of names of models; providers: patterns of theirs. regions, personal_regions: where data may
# go, and where personal data may; empty: anywhere, personal data only where the region is known. The own machines are
# always allowed. max_usd: most one request may cost, as far as its price is known. overriders: patterns of actors.
defaults := {
	"allowed": ["**"], "denied": [], "providers": ["**"], "regions": [], "personal_regions": [], "max_usd": null,
	"overriders": ["**"],
}

fields := {
	"model": {"string"}, "provider": {"string"}, "region": {"string"}, "tenant": {"string"}, "project": {"string"},
	"actor": {"string"}, "personal_data": {"boolean"}, "prompt": {"object", "null"}, "override": {"object", "null"},
	"est_usd": {"number", "null"}, "config": {"object"},
}

given := data.maestro.lib.object_at(input, "config")

config := data.maestro.lib.settings(defaults, given)

deny contains data.maestro.lib.reason(
	"input", sprintf("the input has no usable '%s': it is %s", [field, kind_of(field)]), field, kind_of(field),
	concat(" or ", sort(kinds)), "ask with the input document of a model (docs/models.md)",
) if {
	some field, kinds in fields
	not kind_of(field) in kinds
}

kind_of(field) := type_name(input[field]) if field in object.keys(input)

kind_of(field) := "missing" if not field in object.keys(input)

deny contains data.maestro.lib.reason(
	"config", sprintf("'%s' is no setting of models", [key]), key, key, sort(object.keys(defaults)),
	sprintf("remove '%s' from the settings of the policy, or spell it right", [key]),
) if {
	some key in data.maestro.lib.unknown_settings(defaults, given)
}

deny contains data.maestro.lib.reason(
	"config", sprintf("setting '%s' is %s", [key, type_name(given[key])]), key, type_name(given[key]),
	type_name(defaults[key]), sprintf("write '%s' as %s in the settings of the policy", [key, type_name(defaults[key])]),
) if {
	some key in data.maestro.lib.wrong_settings(defaults, given)
}

deny contains data.maestro.lib.reason(
	"config", sprintf("setting 'max_usd' is %s", [type_name(config.max_usd)]), "max_usd", type_name(config.max_usd),
	"number", "write 'max_usd' as a number of dollars in the settings of the policy",
) if {
	not type_name(config.max_usd) in {"number", "null"}
}

deny contains data.maestro.lib.reason(
	"model", sprintf("model %s is not allowed", [model]), model, model, config.allowed,
	sprintf("ask for one that is allowed: %s", [data.maestro.lib.text(config.allowed)]),
) if {
	not data.maestro.lib.matches(config.allowed, model)
}

deny contains data.maestro.lib.reason(
	"model", sprintf("model %s is denied", [model]), model, model, sprintf("none of %s", [data.maestro.lib.text(config.denied)]),
	"ask for another model",
) if {
	data.maestro.lib.matches(config.denied, model)
}

deny contains data.maestro.lib.reason(
	"provider", sprintf("provider %s of model %s is not allowed", [provider, model]), model, provider, config.providers,
	sprintf("ask for a model of %s", [data.maestro.lib.text(config.providers)]),
) if {
	not data.maestro.lib.matches(config.providers, provider)
}

deny contains data.maestro.lib.reason(
	"region", sprintf("model %s processes data in region %s, and data may go to %s only", [model, region, data.maestro.lib.text(config.regions)]),
	model, region, config.regions, "ask for a model in one of these regions, or on the own machines",
) if {
	count(config.regions) > 0
	not in_region(config.regions)
}

deny contains data.maestro.lib.reason(
	"personal_data", sprintf("the request has personal data, and model %s processes them in region %s", [model, region]),
	model, region, personal_places, "ask for a model there, or leave the personal data out",
) if {
	object.get(input, "personal_data", true) == true
	not personal_allowed
}

personal_allowed if {
	count(config.personal_regions) == 0
	region != "unknown"
}

personal_allowed if in_region(config.personal_regions)

personal_places := sprintf("%s, or the own machines", [data.maestro.lib.text(config.personal_regions)]) if count(config.personal_regions) > 0

personal_places := "any region that is known" if count(config.personal_regions) == 0

in_region(_) if region == "local"

in_region(regions) if region in regions

deny contains data.maestro.lib.reason(
	"cost", sprintf("the request may cost $%v at model %s, and one may cost $%v", [input.est_usd, model, config.max_usd]),
	model, input.est_usd, config.max_usd, "ask for a shorter answer, or for a cheaper model",
) if {
	is_number(config.max_usd)
	is_number(input.est_usd)
	input.est_usd > config.max_usd
}

deny contains data.maestro.lib.reason(
	"override", sprintf("%s may not put model %s in place of what was asked for", [overrider, model]), model, overrider,
	config.overriders, sprintf("let somebody do it who may: %s", [data.maestro.lib.text(config.overriders)]),
) if {
	is_object(input.override)
	not data.maestro.lib.matches(config.overriders, overrider)
}

deny contains data.maestro.lib.reason(
	"override", sprintf("the override to model %s has no reason", [model]), model, "no reason", "a reason",
	"say why (`--reason`)",
) if {
	is_object(input.override)
	trim_space(data.maestro.lib.text(object.get(input.override, "reason", ""))) == ""
}

model := data.maestro.lib.text(object.get(input, "model", "without a name"))

provider := data.maestro.lib.text(object.get(input, "provider", "unknown"))

region := data.maestro.lib.text(object.get(input, "region", "unknown"))

overrider := data.maestro.lib.text(object.get(input.override, "actor", "somebody"))
