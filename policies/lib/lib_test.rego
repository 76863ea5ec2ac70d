package maestro.lib_test

test_a_reason_has_texts_only if {
	data.maestro.lib.reason("r", "m", null, ["a", 1], {"k": true}, "f") == {
		"rule": "r",
		"message": "m",
		"object": "nothing",
		"actual": "a, 1",
		"allowed": `{"k": true}`,
		"fix": "f",
	}
}

test_a_moment_is_a_time_of_rfc_3339 if data.maestro.lib.moment("2026-01-01T00:00:00Z") == 1767225600000000000

test_a_moment_has_an_offset_or_none_at_all if data.maestro.lib.moment("2026-01-01T01:00:00+01:00") == 1767225600000000000

test_what_is_no_time_is_no_moment if {
	every value in [null, 7, "", "tomorrow", "2026-01-01", "2026-02-30T00:00:00Z", "2026-06-31T00:00:00Z", "2025-02-29T00:00:00Z", "2026-01-01T25:00:00Z"] {
		not data.maestro.lib.moment(value)
	}
}

test_a_leap_day_is_a_day if data.maestro.lib.moment("2028-02-29T00:00:00Z")

test_the_leap_day_of_a_whole_century_needs_400_years if {
	data.maestro.lib.moment("2000-02-29T00:00:00Z")
	not data.maestro.lib.moment("2100-02-29T00:00:00Z")
}

test_a_star_stays_between_slashes if {
	data.maestro.lib.matches(["registry.example/*"], "registry.example/shop")
	not data.maestro.lib.matches(["registry.example/*"], "registry.example/shop/evil")
	data.maestro.lib.matches(["registry.example/**"], "registry.example/shop/web")
}

test_nothing_matches_no_pattern if not data.maestro.lib.matches(["**"], null)

test_settings_are_laid_over_defaults if {
	data.maestro.lib.settings({"a": 1, "b": {"x": 1, "y": 2}}, {"b": {"x": 3}, "a": null}) == {"a": 1, "b": {"x": 3, "y": 2}}
}

test_an_unknown_setting_is_named if data.maestro.lib.unknown_settings({"a": 1}, {"a": 2, "aa": 2}) == {"aa"}

test_a_setting_of_another_type_is_named if data.maestro.lib.wrong_settings({"a": 1, "n": null}, {"a": "2", "n": [1]}) == {"a"}

test_short_names_of_environments_are_known if {
	data.maestro.lib.environment("dev") == "development"
	data.maestro.lib.environment("prod") == "production"
	data.maestro.lib.environment("staging") == "staging"
}

waiver := {"id": "w", "reason": "r", "approver": "a", "expires": "2026-02-01T00:00:00Z"}

test_a_waiver_counts_while_it_lasts if {
	data.maestro.lib.waived({"waived": true, "waiver": waiver}, data.maestro.lib.moment("2026-01-31T23:59:59Z"))
	not data.maestro.lib.waived({"waived": true, "waiver": waiver}, data.maestro.lib.moment("2026-02-01T00:00:00Z"))
}

test_a_mark_without_a_waiver_waives_nothing if {
	not data.maestro.lib.waived({"waived": true, "waiver": null}, 0)
	not data.maestro.lib.waived({"waived": true}, 0)
	not data.maestro.lib.waived({"waived": false, "waiver": waiver}, 0)
	not data.maestro.lib.waived({"waived": true, "waiver": object.remove(waiver, ["expires"])}, 0)
}
