package maestro.models_test

request := {
	"model": "gpt-4o-mini", "provider": "openai", "region": "us", "tenant": "acme", "project": "shop", "actor": "ada",
	"personal_data": false, "prompt": null, "override": null, "est_usd": 0.01, "config": {},
}

asked(changes) := object.union(request, changes)

spoken(result) := {one.rule | some one in result.deny}

test_without_settings_a_model_may_be_asked if data.maestro.models.allow with input as request

test_a_model_of_unknown_price_may_be_asked_as_far_as_policy_goes if data.maestro.models.allow with input as asked({"est_usd": null})

test_only_what_is_allowed_may_be_asked if {
	every names in [["gpt-*"], ["qwen3:8b", "gpt-4o-mini"], ["**"]] {
		data.maestro.models.allow with input as asked({"config": {"allowed": names}})
	}
	result := data.maestro.models.release with input as asked({"config": {"allowed": ["claude-*"]}})
	some reason in result.deny
	reason.rule == "model"
	reason.message == "model gpt-4o-mini is not allowed"
	reason.fix == "ask for one that is allowed: claude-*"
}

test_what_is_denied_may_not_be_asked_though_it_is_allowed if {
	result := data.maestro.models.release with input as asked({"config": {"allowed": ["gpt-*"], "denied": ["gpt-4o*"]}})
	spoken(result) == {"model"}
}

test_only_allowed_providers_may_be_asked if {
	data.maestro.models.allow with input as asked({"config": {"providers": ["openai"]}})
	result := data.maestro.models.release with input as asked({"config": {"providers": ["mistral", "ollama"]}})
	some reason in result.deny
	reason.message == "provider openai of model gpt-4o-mini is not allowed"
	reason.allowed == "mistral, ollama"
}

test_data_go_to_allowed_regions_only if {
	data.maestro.models.allow with input as asked({"config": {"regions": ["eu", "us"]}})
	result := data.maestro.models.release with input as asked({"config": {"regions": ["eu"]}})
	some reason in result.deny
	reason.rule == "region"
	reason.message == "model gpt-4o-mini processes data in region us, and data may go to eu only"
}

test_the_own_machines_are_in_every_region if {
	settings := {"regions": ["eu"], "personal_regions": ["eu"]}
	data.maestro.models.allow with input as asked({"region": "local", "personal_data": true, "config": settings})
}

test_personal_data_stay_where_they_may_be if {
	settings := {"personal_regions": ["eu"]}
	data.maestro.models.allow with input as asked({"config": settings})
	data.maestro.models.allow with input as asked({"region": "eu", "personal_data": true, "config": settings})
	result := data.maestro.models.release with input as asked({"personal_data": true, "config": settings})
	some reason in result.deny
	reason.rule == "personal_data"
	reason.allowed == "eu, or the own machines"
}

test_personal_data_never_go_where_nobody_knows if {
	data.maestro.models.allow with input as asked({"personal_data": true})
	data.maestro.models.allow with input as asked({"region": "unknown"})
	result := data.maestro.models.release with input as asked({"region": "unknown", "personal_data": true})
	some reason in result.deny
	reason.allowed == "any region that is known"
}

test_a_request_may_cost_so_much_and_no_more if {
	data.maestro.models.allow with input as asked({"config": {"max_usd": 0.01}})
	result := data.maestro.models.release with input as asked({"est_usd": 0.5, "config": {"max_usd": 0.4}})
	some reason in result.deny
	reason.message == "the request may cost $0.5 at model gpt-4o-mini, and one may cost $0.4"
}

test_an_override_needs_somebody_who_may_and_a_reason if {
	settings := {"overriders": ["ada", "ops-*"]}
	data.maestro.models.allow with input as asked({"override": {"actor": "ada", "reason": "an outage"}, "config": settings})
	result := data.maestro.models.release with input as asked({"override": {"actor": "bob", "reason": "an outage"}, "config": settings})
	some reason in result.deny
	reason.message == "bob may not put model gpt-4o-mini in place of what was asked for"
	reason.fix == "let somebody do it who may: ada, ops-*"
	every given in [{"actor": "ada", "reason": " "}, {"actor": "ada"}] {
		without := data.maestro.models.release with input as asked({"override": given, "config": settings})
		spoken(without) == {"override"}
	}
}

test_an_override_of_nobody_is_denied_where_somebody_is_asked_for if {
	result := data.maestro.models.release with input as asked({"override": {"reason": "x"}, "config": {"overriders": ["ada"]}})
	some reason in result.deny
	reason.actual == "somebody"
}

test_what_a_prompt_says_of_itself_is_for_policies_of_one_s_own if {
	prompt := {"name": "review", "version": "1", "digest": "sha256:0", "policy": {"purpose": "marketing"}}
	data.maestro.models.allow with input as asked({"prompt": prompt})
}

test_an_empty_input_is_denied if {
	result := data.maestro.models.release with input as {}
	not result.allow
	"input" in spoken(result)
}

test_fields_that_cannot_be_used_are_denied if {
	every changes in [{"model": 7}, {"region": null}, {"personal_data": "no"}, {"prompt": "review"}, {"est_usd": "1"}, {"override": true}, {"actor": []}, {"config": 7}] {
		result := data.maestro.models.release with input as asked(changes)
		"input" in spoken(result)
	}
}

test_settings_that_cannot_be_used_are_denied if {
	every settings in [{"region": ["eu"]}, {"regions": "eu"}, {"max_usd": "1"}, {"allowed": {}}] {
		result := data.maestro.models.release with input as asked({"config": settings})
		"config" in spoken(result)
	}
}
