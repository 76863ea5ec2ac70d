package maestro.promotion_test

entry(environment, at, allowed) := {
	"subject": "sha256:aaaa", "environment": environment, "at": at, "allowed": allowed, "decision": "d1",
}

asked(source, target, history) := {
	"now": "2026-11-21T12:00:00Z", "environment": target, "subjects": [{"name": "web", "digest": "sha256:aaaa"}],
	"promotion": {"from": source, "to": target, "history": history}, "config": {},
}

staged := entry("staging", "2026-11-20T12:00:00Z", true)

good := asked("staging", "production", [staged])

spoken(result) := {one.rule | some one in result.deny}

test_what_was_let_into_staging_may_go_to_production if {
	result := data.maestro.promotion.release with input as good
	result == {"allow": true, "deny": set(), "warn": [], "waived": []}
}

test_short_names_mean_the_same_environments if {
	data.maestro.promotion.allow with input as asked("dev", "staging", [entry("development", "2026-11-20T12:00:00Z", true)])
}

test_the_first_environment_needs_no_promotion if {
	data.maestro.promotion.allow with input as object.union(good, {"environment": "development", "promotion": null})
}

test_a_later_environment_needs_one if {
	result := data.maestro.promotion.release with input as object.union(good, {"promotion": null})
	spoken(result) == {"promotion"}
}

test_an_environment_must_not_be_left_out if {
	result := data.maestro.promotion.release with input as asked("development", "production", [staged])
	some reason in result.deny
	reason.rule == "order"
	reason.actual == "development"
	reason.allowed == "staging"
}

test_what_was_never_let_in_is_denied if {
	result := data.maestro.promotion.release with input as asked("staging", "production", [])
	spoken(result) == {"not_in_environment"}
}

test_words_about_something_else_do_not_count if {
	result := data.maestro.promotion.release with input as asked("staging", "production", [object.union(staged, {"subject": "sha256:bbbb"})])
	spoken(result) == {"not_in_environment"}
}

test_words_of_another_environment_do_not_count if {
	result := data.maestro.promotion.release with input as asked("staging", "production", [entry("development", "2026-11-20T12:00:00Z", true)])
	spoken(result) == {"not_in_environment"}
}

test_words_from_the_future_do_not_count if {
	result := data.maestro.promotion.release with input as asked("staging", "production", [entry("staging", "2026-11-22T12:00:00Z", true)])
	spoken(result) == {"not_in_environment"}
}

test_a_later_refusal_takes_an_earlier_word_back if {
	result := data.maestro.promotion.release with input as asked("staging", "production", [staged, entry("staging", "2026-11-21T11:00:00Z", false)])
	spoken(result) == {"refused"}
}

test_a_refusal_at_the_same_moment_counts if {
	result := data.maestro.promotion.release with input as asked("staging", "production", [staged, entry("staging", "2026-11-20T12:00:00Z", false)])
	spoken(result) == {"refused"}
}

test_a_later_word_takes_a_refusal_back if {
	data.maestro.promotion.allow with input as asked("staging", "production", [entry("staging", "2026-11-19T12:00:00Z", false), staged])
}

test_each_subject_needs_its_own_word if {
	other := {"name": "worker", "digest": "sha256:cccc"}
	result := data.maestro.promotion.release with input as object.union(good, {"subjects": [good.subjects[0], other]})
	some reason in result.deny
	reason.object == "worker"
}

test_what_has_not_been_there_long_enough_is_denied if {
	result := data.maestro.promotion.release with input as object.union(good, {"config": {"soak_hours": {"staging": 36}}})
	some reason in result.deny
	reason.rule == "soak"
	reason.actual == "24 h"
	reason.allowed == "36 h"
	reason.fix == "wait 12 hours"
}

test_a_second_word_does_not_start_the_time_anew if {
	history := [staged, entry("staging", "2026-11-21T11:00:00Z", true)]
	data.maestro.promotion.allow with input as object.union(asked("staging", "production", history), {"config": {"soak_hours": {"staging": 24}}})
}

test_a_refusal_starts_the_time_anew if {
	history := [
		staged,
		entry("staging", "2026-11-21T10:00:00Z", false),
		entry("staging", "2026-11-21T11:00:00Z", true),
	]
	result := data.maestro.promotion.release with input as object.union(asked("staging", "production", history), {"config": {"soak_hours": {"staging": 24}}})
	spoken(result) == {"soak"}
}

test_the_order_is_a_setting if {
	settings := {"config": {"order": ["test", "live"]}}
	data.maestro.promotion.allow with input as object.union(asked("test", "live", [entry("test", "2026-11-20T12:00:00Z", true)]), settings)
}

test_an_environment_that_is_not_in_the_order_is_denied if {
	result := data.maestro.promotion.release with input as asked("staging", "moon", [staged])
	spoken(result) == {"environment"}
}

test_a_promotion_to_another_environment_than_the_gates_is_denied if {
	result := data.maestro.promotion.release with input as object.union(good, {"environment": "staging"})
	"environment" in spoken(result)
}

test_a_promotion_that_is_no_object_is_denied if {
	result := data.maestro.promotion.release with input as object.union(good, {"promotion": "staging"})
	"promotion" in spoken(result)
}

test_nothing_to_promote_is_denied if {
	result := data.maestro.promotion.release with input as object.union(good, {"subjects": []})
	spoken(result) == {"subjects"}
}

test_an_empty_input_is_denied if {
	result := data.maestro.promotion.release with input as {}
	"input" in spoken(result)
	not result.allow
}

test_an_unknown_time_is_denied if {
	result := data.maestro.promotion.release with input as object.union(good, {"now": "today"})
	"input" in spoken(result)
}

test_settings_that_cannot_be_used_are_denied if {
	every settings in [{"oder": []}, {"order": "dev"}, {"soak_hours": 3}, {"soak_hours": {"moon": 1}}, {"soak_hours": {"staging": -1}}] {
		result := data.maestro.promotion.release with input as object.union(good, {"config": settings})
		"config" in spoken(result)
	}
}

test_settings_that_are_no_object_are_denied if {
	result := data.maestro.promotion.release with input as object.union(good, {"config": 7})
	spoken(result) == {"input"}
}
