package maestro.licenses_test

component := {"purl": "pkg:pypi/libx@1.0", "name": "libx", "version": "1.0", "license": "MIT", "allowed": true, "reason": null}

report := {"subject": "sha256:aaaa", "state": "clean", "reason": null, "components": [component]}

good := {
	"subjects": [{"name": "web", "digest": "sha256:aaaa", "kind": "image"}],
	"licenses": [report],
	"config": {},
}

with_component(changes, settings) := object.union(good, {
	"licenses": [object.union(report, {"components": [object.union(component, changes)]})],
	"config": settings,
})

spoken(result) := {one.rule | some one in result.deny}

test_allowed_licences_are_allowed if {
	result := data.maestro.licenses.release with input as good
	result == {"allow": true, "deny": set(), "warn": set(), "waived": []}
}

test_an_empty_input_is_denied if {
	result := data.maestro.licenses.release with input as {}
	spoken(result) == {"input"}
}

test_an_unknown_setting_is_denied if {
	result := data.maestro.licenses.release with input as object.union(good, {"config": {"allow": ["MIT"]}})
	spoken(result) == {"config"}
}

test_a_setting_of_the_wrong_type_is_denied if {
	every settings in [{"allowed": "MIT"}, {"allow_unknown": "yes"}] {
		result := data.maestro.licenses.release with input as object.union(good, {"config": settings})
		"config" in spoken(result)
	}
}

test_settings_that_are_no_object_are_denied if {
	result := data.maestro.licenses.release with input as object.union(good, {"config": 7})
	spoken(result) == {"input"}
}

test_nothing_to_judge_is_denied if {
	result := data.maestro.licenses.release with input as object.union(good, {"subjects": []})
	spoken(result) == {"subjects"}
}

test_a_subject_without_a_report_is_denied if {
	result := data.maestro.licenses.release with input as object.union(good, {"licenses": []})
	spoken(result) == {"not_scanned"}
}

test_a_report_that_failed_is_denied_with_its_reason if {
	failed := object.union(report, {"state": "not_scanned", "reason": "no SBOM"})
	result := data.maestro.licenses.release with input as object.union(good, {"licenses": [failed]})
	some reason in result.deny
	contains(reason.message, "no SBOM")
}

test_a_report_that_failed_without_a_reason_is_denied if {
	result := data.maestro.licenses.release with input as object.union(good, {"licenses": [object.union(report, {"state": "not_scanned"})]})
	spoken(result) == {"not_scanned"}
}

test_what_the_report_does_not_allow_is_denied if {
	result := data.maestro.licenses.release with input as with_component({"license": "AGPL-3.0-only", "allowed": false}, {})
	some reason in result.deny
	reason.rule == "license"
	reason.object == "web: pkg:pypi/libx@1.0"
	reason.actual == "AGPL-3.0-only"
	reason.allowed == "what scan.licenses allows"
}

test_the_gates_own_list_goes_before_the_reports_word if {
	result := data.maestro.licenses.release with input as with_component({"license": "MIT", "allowed": true}, {"allowed": ["Apache-2.0", "BSD-3-Clause"]})
	some reason in result.deny
	reason.allowed == "Apache-2.0, BSD-3-Clause"
}

test_identifiers_are_compared_without_case if {
	data.maestro.licenses.allow with input as with_component({"license": "mit", "allowed": false}, {"allowed": ["MIT"]})
}

test_one_of_several_alternatives_is_enough if {
	data.maestro.licenses.allow with input as with_component({"license": "GPL-2.0-only OR MIT"}, {"allowed": ["MIT"]})
}

test_all_of_what_belongs_together_must_be_allowed if {
	not data.maestro.licenses.allow with input as with_component({"license": "GPL-2.0-only AND MIT"}, {"allowed": ["MIT"]})
	data.maestro.licenses.allow with input as with_component({"license": "BSD-3-Clause AND MIT"}, {"allowed": ["MIT", "BSD-3-Clause"]})
}

test_and_binds_tighter_than_or if {
	data.maestro.licenses.allow with input as with_component({"license": "GPL-2.0-only AND MIT OR MIT"}, {"allowed": ["MIT"]})
	not data.maestro.licenses.allow with input as with_component({"license": "MIT AND GPL-2.0-only OR GPL-3.0-only"}, {"allowed": ["MIT"]})
}

test_a_whole_expression_can_be_allowed if {
	data.maestro.licenses.allow with input as with_component({"license": "GPL-2.0-only WITH Classpath-exception-2.0"}, {"allowed": ["GPL-2.0-only WITH Classpath-exception-2.0"]})
	not data.maestro.licenses.allow with input as with_component({"license": "GPL-2.0-only"}, {"allowed": ["GPL-2.0-only WITH Classpath-exception-2.0"]})
}

test_parentheses_are_not_guessed_at if {
	not data.maestro.licenses.allow with input as with_component({"license": "(MIT OR GPL-2.0-only) AND MIT"}, {"allowed": ["MIT"]})
}

test_alternatives_in_the_input_are_followed if {
	data.maestro.licenses.allow with input as with_component(
		{"license": "(MIT OR GPL-2.0-only) AND ISC", "alternatives": [["GPL-2.0-only", "ISC"], ["MIT", "ISC"]]},
		{"allowed": ["MIT", "ISC"]},
	)
}

test_no_alternative_is_no_licence if {
	not data.maestro.licenses.allow with input as with_component({"license": "MIT-ish", "alternatives": [[]]}, {"allowed": ["MIT"]})
}

test_an_unknown_licence_is_denied if {
	result := data.maestro.licenses.release with input as with_component({"license": null, "allowed": false}, {})
	spoken(result) == {"license_unknown"}
}

test_an_unknown_licence_is_denied_by_the_gates_own_list if {
	result := data.maestro.licenses.release with input as with_component({"license": null, "allowed": true}, {"allowed": ["MIT"]})
	spoken(result) == {"license_unknown"}
}

test_an_unknown_licence_can_be_accepted_with_a_warning if {
	result := data.maestro.licenses.release with input as with_component({"license": null, "allowed": false}, {"allow_unknown": true})
	result.allow
	count(result.warn) == 1
}

test_an_unknown_licence_the_report_accepts_warns if {
	result := data.maestro.licenses.release with input as with_component({"license": null, "allowed": true}, {})
	result.allow
	count(result.warn) == 1
}

test_a_component_without_purl_is_named if {
	result := data.maestro.licenses.release with input as with_component({"purl": null, "license": "AGPL-3.0-only", "allowed": false}, {})
	some reason in result.deny
	reason.object == "web: libx 1.0"
}
