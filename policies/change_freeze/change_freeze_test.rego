package maestro.change_freeze_test

window := {
	"name": "year end", "from": "2026-12-20T00:00:00Z", "to": "2027-01-03T00:00:00Z",
	"environments": ["production"], "reason": "books are closed",
}

asked(now, environment) := {
	"now": now, "environment": environment, "user": {"name": "ada", "groups": ["dev"]},
	"freeze": [window], "config": {},
}

within := asked("2026-12-24T12:00:00Z", "production")

spoken(result) := {one.rule | some one in result.deny}

test_without_a_window_everything_is_allowed if {
	data.maestro.change_freeze.allow with input as object.union(within, {"freeze": []})
}

test_before_and_after_a_window_is_allowed if {
	data.maestro.change_freeze.allow with input as asked("2026-12-19T23:59:59Z", "production")
	data.maestro.change_freeze.allow with input as asked("2027-01-03T00:00:00Z", "production")
}

test_within_a_window_is_denied_with_its_end_and_reason if {
	result := data.maestro.change_freeze.release with input as within
	some reason in result.deny
	reason.rule == "frozen"
	reason.object == "year end"
	reason.actual == "2026-12-24T12:00:00Z"
	reason.message == "freeze 'year end' lasts until 2027-01-03T00:00:00Z: books are closed"
	reason.fix == "wait until 2027-01-03T00:00:00Z"
}

test_the_first_moment_of_a_window_is_denied if {
	not data.maestro.change_freeze.allow with input as asked("2026-12-20T00:00:00Z", "production")
}

test_another_zone_is_the_same_moment if {
	not data.maestro.change_freeze.allow with input as asked("2026-12-20T01:00:00+01:00", "production")
}

test_another_environment_is_allowed if data.maestro.change_freeze.allow with input as asked("2026-12-24T12:00:00Z", "staging")

test_short_names_mean_the_same_environment if not data.maestro.change_freeze.allow with input as asked("2026-12-24T12:00:00Z", "prod")

test_a_window_for_all_environments_denies_in_each if {
	every names in [[], ["*"]] {
		frozen := {"freeze": [object.union(window, {"environments": names})]}
		not data.maestro.change_freeze.allow with input as object.union(asked("2026-12-24T12:00:00Z", "staging"), frozen)
	}
}

test_an_exempt_group_is_warned if {
	result := data.maestro.change_freeze.release with input as object.union(within, {"config": {"exempt_groups": ["dev"]}})
	result.allow
	count(result.warn) == 1
}

test_who_is_not_exempt_is_told_who_is if {
	result := data.maestro.change_freeze.release with input as object.union(within, {"config": {"exempt_groups": ["sre"]}})
	some reason in result.deny
	endswith(reason.fix, "or let somebody of sre do it")
}

test_a_window_that_cannot_be_read_is_denied if {
	every changes in [{"from": "Christmas"}, {"to": null}, {"to": "2026-12-20T00:00:00Z"}, {"environments": "production"}] {
		result := data.maestro.change_freeze.release with input as object.union(within, {"freeze": [object.union(window, changes)]})
		spoken(result) == {"window"}
	}
}

test_an_unknown_time_is_denied if {
	every now in ["now", null] {
		result := data.maestro.change_freeze.release with input as object.union(within, {"now": now})
		"input" in spoken(result)
	}
}

test_an_empty_input_is_denied if {
	result := data.maestro.change_freeze.release with input as {}
	spoken(result) == {"input"}
}

test_settings_that_cannot_be_used_are_denied if {
	every settings in [{"exempt": ["dev"]}, {"exempt_groups": "dev"}] {
		result := data.maestro.change_freeze.release with input as object.union(asked("2026-12-01T00:00:00Z", "production"), {"config": settings})
		"config" in spoken(result)
	}
}

test_settings_that_are_no_object_are_denied if {
	result := data.maestro.change_freeze.release with input as object.union(asked("2026-12-01T00:00:00Z", "production"), {"config": 7})
	spoken(result) == {"input"}
}
