package maestro.access_test

asked(environment, groups, settings) := {
	"project": "shop", "tenant": "acme", "environment": environment,
	"user": {"name": "ada", "groups": groups}, "config": settings,
}

grants := {"grants": [{"environments": ["production"], "tenants": ["acme"], "projects": ["shop*"], "groups": ["release"]}]}

spoken(result) := {one.rule | some one in result.deny}

test_anybody_with_a_name_may_in_development if data.maestro.access.allow with input as asked("development", [], {})

test_nobody_may_in_production_without_a_grant if {
	result := data.maestro.access.release with input as asked("production", ["release"], {})
	spoken(result) == {"not_granted"}
	some reason in result.deny
	reason.allowed == "nobody: no grant is for this place"
}

test_who_has_a_grant_may if {
	data.maestro.access.allow with input as asked("production", ["dev", "release"], grants)
	data.maestro.access.allow with input as asked("prod", ["release"], grants)
}

test_who_has_none_is_told_who_may if {
	result := data.maestro.access.release with input as asked("production", ["dev"], grants)
	some reason in result.deny
	reason.object == "shop to production"
	reason.actual == "ada (groups: dev)"
	reason.allowed == "groups release"
}

test_who_is_in_no_group_is_told_so if {
	result := data.maestro.access.release with input as asked("production", [], grants)
	some reason in result.deny
	reason.actual == "ada (in no group)"
}

test_a_grant_is_for_its_tenant_and_its_projects_only if {
	every changes in [{"tenant": "globex"}, {"project": "books"}] {
		not data.maestro.access.allow with input as object.union(asked("production", ["release"], grants), changes)
	}
}

test_a_grant_for_a_user_names_the_user if {
	settings := {"grants": [{"users": ["ada"], "environments": ["production"]}]}
	data.maestro.access.allow with input as asked("production", [], settings)
	result := data.maestro.access.release with input as object.union(asked("production", [], settings), {"user": {"name": "eve"}})
	some reason in result.deny
	reason.allowed == "users ada"
}

test_a_grant_of_users_and_groups_needs_both if {
	settings := {"grants": [{"users": ["ada"], "groups": ["release"]}]}
	data.maestro.access.allow with input as asked("production", ["release"], settings)
	not data.maestro.access.allow with input as asked("production", ["dev"], settings)
}

test_a_grant_that_names_nobody_is_denied if {
	every grant in [{"environments": ["production"]}, {"users": "ada"}, {"users": ["ada"], "envs": ["x"]}, "everybody"] {
		result := data.maestro.access.release with input as asked("production", [], {"grants": [grant]})
		"config" in spoken(result)
	}
}

test_somebody_without_a_name_is_denied if {
	every user in [{}, {"name": ""}, {"name": null}] {
		result := data.maestro.access.release with input as object.union(object.remove(asked("development", [], {}), ["user"]), {"user": user})
		"user" in spoken(result)
	}
}

test_an_empty_input_is_denied if {
	result := data.maestro.access.release with input as {}
	not result.allow
	{"input", "user"} & spoken(result) == {"input", "user"}
}

test_settings_that_cannot_be_used_are_denied if {
	every settings in [{"grant": []}, {"grants": {}}] {
		result := data.maestro.access.release with input as asked("development", [], settings)
		"config" in spoken(result)
	}
}

test_settings_that_are_no_object_are_not_followed if {
	not data.maestro.access.allow with input as asked("production", ["release"], [grants])
}
