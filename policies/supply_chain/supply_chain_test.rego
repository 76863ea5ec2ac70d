package maestro.supply_chain_test

digest := "sha256:aaaa"

signer := {"keyid": "k1", "name": "release-2026", "development": false}

verified := {"state": "verified", "reason": null, "signer": signer, "age_hours": 0.1, "bundle": "sha256:bbbb", "predicate_type": "t"}

image := {
	"name": "registry.example/shop/web", "digest": digest, "kind": "image",
	"uri": "docker://registry.example/shop/web@sha256:aaaa", "registry": "registry.example",
	"builder": "https://ci.example/builders/main", "quarantined": null,
	"evidence": {"sbom": verified, "vulnerabilities": verified, "provenance": verified},
}

scan := {
	"subject": digest, "state": "clean", "reason": null, "database": {"digest": "sha256:dddd", "age_hours": 12},
	"unscanned": [], "findings": [],
}

good := {
	"project": "shop", "workflow": "deliver", "tenant": "acme", "environment": "production", "revision": "c0ffee",
	"run_id": "r1", "now": "2026-11-21T12:00:00Z", "user": {"name": "ada", "groups": []},
	"required": ["sbom", "vulnerabilities", "provenance", "test-report", "secrets"],
	"subjects": [image],
	"source": {"digest": {"gitCommit": "c0ffee"}, "evidence": {"test-report": verified, "secrets": verified}},
	"vulnerabilities": [scan],
	"secrets": {"state": "clean", "reason": null, "findings": []},
	"licenses": [], "tests": {"result": "PASSED", "passed": 12, "failed": 0, "skipped": 1},
	"promotion": null, "freeze": [], "config": {},
}

with_config(settings) := object.union(good, {"config": settings})

with_image(changes) := object.union(good, {"subjects": [object.union(image, changes)]})

with_evidence(type, evidence) := object.union(good, {"subjects": [object.union(
	object.remove(image, ["evidence"]),
	{"evidence": object.union(object.remove(image.evidence, [type]), evidence)},
)]})

with_scan(changes) := object.union(good, {"vulnerabilities": [object.union(scan, changes)]})

finding := {
	"id": "CVE-2026-1", "aliases": ["GHSA-1"], "package": "libx", "version": "1.0", "purl": "pkg:pypi/libx@1.0",
	"severity": "high", "fixed": ["1.1", "2.0"], "vex": null, "days_known": 8, "waived": false, "waiver": null,
}

with_finding(changes) := with_scan({"state": "findings", "findings": [object.union(finding, changes)]})

spoken(result) := {one.rule | some one in result.deny}

warned(result) := {one.rule | some one in result.warn}

first(result, rule) := found[0] if {
	found := [one | some one in result.deny; one.rule == rule]
}

# --- what is allowed

test_what_has_all_of_its_evidence_is_allowed if {
	result := data.maestro.supply_chain.release with input as good
	result == {"allow": true, "deny": set(), "warn": set(), "waived": set()}
}

test_a_minor_finding_is_allowed if {
	data.maestro.supply_chain.allow with input as with_finding({"severity": "medium", "days_known": 1000})
}

# --- input that cannot be judged

test_an_empty_input_is_denied if {
	result := data.maestro.supply_chain.release with input as {}
	not result.allow
	spoken(result) == {"input"}
}

test_a_field_of_the_wrong_type_is_denied if {
	every field in ["subjects", "required", "vulnerabilities", "source", "config", "now"] {
		result := data.maestro.supply_chain.release with input as object.union(good, {field: 7})
		"input" in spoken(result)
	}
}

test_a_time_that_is_none_is_denied if {
	result := data.maestro.supply_chain.release with input as object.union(good, {"now": "soon"})
	spoken(result) == {"input"}
}

test_a_subject_without_a_digest_is_denied if {
	result := data.maestro.supply_chain.release with input as object.union(good, {"subjects": [object.remove(image, ["digest"])]})
	"input" in spoken(result)
}

test_nothing_to_release_is_denied if {
	result := data.maestro.supply_chain.release with input as object.union(good, {"subjects": [], "vulnerabilities": []})
	spoken(result) == {"subjects"}
}

test_an_unknown_setting_is_denied if {
	result := data.maestro.supply_chain.release with input as with_config({"max_severty": "low"})
	first(result, "config").object == "max_severty"
}

test_a_setting_of_the_wrong_type_is_denied if {
	every settings in [{"allowed_builders": "**"}, {"grace_days": 3}, {"database_max_age_hours": "1"}, {"allow_unscanned": "no"}] {
		result := data.maestro.supply_chain.release with input as with_config(settings)
		"config" in spoken(result)
	}
}

test_a_severity_nobody_knows_is_denied if {
	result := data.maestro.supply_chain.release with input as with_config({"max_severity": "awful"})
	"config" in spoken(result)
}

test_grace_of_an_unknown_severity_or_length_is_denied if {
	every grace in [{"awful": 1}, {"high": -1}, {"high": "long"}] {
		result := data.maestro.supply_chain.release with input as with_config({"grace_days": grace})
		"config" in spoken(result)
	}
}

test_development_keys_are_a_yes_or_a_no if {
	result := data.maestro.supply_chain.release with input as with_config({"allow_development_keys": "yes"})
	"config" in spoken(result)
}

# --- quarantine

test_what_is_in_quarantine_is_denied_with_its_reason if {
	mark := {"reason": "its sbom statement does not verify", "by": "maestro", "at": "2026-11-20T00:00:00Z"}
	result := data.maestro.supply_chain.release with input as with_image({"quarantined": mark})
	spoken(result) == {"quarantined"}
	first(result, "quarantined").actual == "its sbom statement does not verify"
}

test_an_input_that_is_silent_about_quarantine_is_denied if {
	result := data.maestro.supply_chain.release with input as object.union(good, {"subjects": [object.remove(image, ["quarantined"])]})
	spoken(result) == {"quarantined"}
}

# --- evidence

test_missing_evidence_is_denied_and_says_which_step_to_add if {
	result := data.maestro.supply_chain.release with input as with_evidence("sbom", {})
	spoken(result) == {"evidence_missing"}
	reason := first(result, "evidence_missing")
	reason.object == "registry.example/shop/web"
	reason.actual == "missing"
	reason.allowed == "verified"
	contains(reason.fix, "sbom")
}

test_rejected_evidence_is_denied_with_the_reason if {
	rejected := object.union(verified, {"state": "rejected", "reason": "the signature is not of the key"})
	result := data.maestro.supply_chain.release with input as with_evidence("provenance", {"provenance": rejected})
	spoken(result) == {"evidence_rejected"}
	contains(first(result, "evidence_rejected").message, "the signature is not of the key")
}

test_missing_evidence_of_the_source_is_denied if {
	result := data.maestro.supply_chain.release with input as object.union(
		object.remove(good, ["source"]),
		{"source": {"digest": {}, "evidence": {"secrets": verified}}},
	)
	first(result, "evidence_missing").object == "source"
}

test_evidence_nobody_signed_is_denied if {
	result := data.maestro.supply_chain.release with input as with_evidence("sbom", {"sbom": object.union(verified, {"signer": null})})
	spoken(result) == {"evidence_unsigned"}
}

by_development_key := with_evidence("sbom", {"sbom": object.union(verified, {"signer": object.union(signer, {"development": true})})})

test_a_development_key_is_denied_in_production if {
	every name in ["production", "prod"] {
		result := data.maestro.supply_chain.release with input as object.union(by_development_key, {"environment": name})
		spoken(result) == {"development_key"}
	}
}

test_a_development_key_is_allowed_elsewhere if {
	data.maestro.supply_chain.allow with input as object.union(by_development_key, {"environment": "staging"})
}

test_a_development_key_is_denied_where_the_environment_is_not_known if {
	result := data.maestro.supply_chain.release with input as object.union(by_development_key, {"environment": null})
	spoken(result) == {"development_key"}
}

test_development_keys_can_be_allowed_and_denied_by_setting if {
	data.maestro.supply_chain.allow with input as object.union(by_development_key, {"config": {"allow_development_keys": true}})
	not data.maestro.supply_chain.allow with input as object.union(
		by_development_key,
		{"environment": "development", "config": {"allow_development_keys": false}},
	)
}

# --- origin

test_a_builder_that_is_not_allowed_is_denied if {
	result := data.maestro.supply_chain.release with input as with_config({"allowed_builders": ["https://ci.example/builders/release*"]})
	reason := first(result, "builder")
	reason.actual == "https://ci.example/builders/main"
	reason.allowed == "https://ci.example/builders/release*"
}

test_an_allowed_builder_is_allowed if {
	data.maestro.supply_chain.allow with input as with_config({"allowed_builders": ["https://ci.example/builders/*"]})
}

test_an_unknown_builder_is_denied_whatever_is_allowed if {
	result := data.maestro.supply_chain.release with input as with_image({"builder": null})
	spoken(result) == {"builder"}
}

test_a_registry_that_is_not_allowed_is_denied if {
	result := data.maestro.supply_chain.release with input as with_config({"allowed_registries": ["registry.other"]})
	first(result, "registry").actual == "registry.example"
}

test_an_allowed_registry_is_allowed if {
	data.maestro.supply_chain.allow with input as with_config({"allowed_registries": ["registry.*"]})
}

test_an_image_in_no_registry_is_allowed_only_where_any_is if {
	data.maestro.supply_chain.allow with input as with_image({"registry": null})
	not data.maestro.supply_chain.allow with input as object.union(with_image({"registry": null}), {"config": {"allowed_registries": ["registry.*"]}})
}

test_a_file_needs_no_registry if {
	data.maestro.supply_chain.allow with input as object.union(
		with_image({"kind": "package", "registry": null}),
		{"config": {"allowed_registries": ["registry.*"]}},
	)
}

# --- scans

test_a_missing_scan_is_denied if {
	result := data.maestro.supply_chain.release with input as object.union(good, {"vulnerabilities": []})
	spoken(result) == {"not_scanned"}
}

test_not_scanned_is_denied_with_the_reason if {
	result := data.maestro.supply_chain.release with input as with_scan({"state": "not_scanned", "reason": "the database is missing"})
	spoken(result) == {"not_scanned"}
	contains(first(result, "not_scanned").message, "the database is missing")
}

test_a_state_nobody_knows_is_denied if {
	result := data.maestro.supply_chain.release with input as with_scan({"state": "fine"})
	spoken(result) == {"not_scanned"}
}

test_a_scan_that_is_not_required_and_was_not_made_is_allowed if {
	data.maestro.supply_chain.allow with input as object.union(
		with_scan({"state": "not_scanned", "reason": "nobody has made it", "database": null}),
		{"required": ["sbom"]},
	)
}

test_what_a_scan_nobody_required_has_found_counts if {
	result := data.maestro.supply_chain.release with input as object.union(with_finding({}), {"required": ["sbom"]})
	spoken(result) == {"vulnerability"}
}

test_findings_of_a_scan_that_failed_count_too if {
	result := data.maestro.supply_chain.release with input as object.union(
		with_scan({"state": "not_scanned", "findings": [finding]}),
		{"required": ["sbom"]},
	)
	spoken(result) == {"not_scanned", "vulnerability"}
}

test_an_old_database_is_denied if {
	result := data.maestro.supply_chain.release with input as with_scan({"database": {"digest": "d", "age_hours": 169}})
	reason := first(result, "database_age")
	reason.actual == "169 h"
	reason.allowed == "168 h"
}

test_a_database_of_unknown_age_is_denied if {
	every database in [null, {"digest": "d", "age_hours": null}] {
		result := data.maestro.supply_chain.release with input as with_scan({"database": database})
		first(result, "database_age").actual == "unknown"
	}
}

test_components_that_were_not_looked_up_are_denied if {
	left := with_scan({"unscanned": [{"purl": "pkg:generic/x@1", "reason": "no ecosystem"}]})
	result := data.maestro.supply_chain.release with input as left
	contains(first(result, "unscanned_component").message, "pkg:generic/x@1")
	data.maestro.supply_chain.allow with input as object.union(left, {"config": {"allow_unscanned": true}})
}

test_a_component_without_purl_is_named if {
	result := data.maestro.supply_chain.release with input as with_scan({"unscanned": [{"name": "busybox", "reason": "no purl"}]})
	contains(first(result, "unscanned_component").message, "busybox")
}

test_a_scan_of_something_else_is_named_by_its_digest if {
	other := object.union(scan, {"subject": "sha256:eeee", "state": "not_scanned"})
	result := data.maestro.supply_chain.release with input as object.union(good, {"vulnerabilities": [scan, other]})
	first(result, "not_scanned").object == "sha256:eeee"
}

# --- findings

test_a_severe_finding_is_denied_with_a_remedy if {
	result := data.maestro.supply_chain.release with input as with_finding({"severity": "critical", "days_known": 0})
	reason := first(result, "vulnerability")
	reason.object == "registry.example/shop/web: CVE-2026-1 in libx 1.0"
	reason.actual == "critical, known for 0 days"
	reason.allowed == "medium, or critical for 0 days"
	reason.fix == "update libx to 1.1 or 2.0; or waive CVE-2026-1"
}

test_a_finding_without_a_fix_says_so if {
	result := data.maestro.supply_chain.release with input as object.union(
		good,
		{"vulnerabilities": [object.union(scan, {"findings": [object.union(object.remove(finding, ["fixed"]), {"fixed": []})]})]},
	)
	first(result, "vulnerability").fix == "no fixed version of libx is known: replace it, or waive CVE-2026-1"
}

test_a_finding_in_its_grace_warns if {
	result := data.maestro.supply_chain.release with input as with_finding({"days_known": 6.5})
	result.allow
	warned(result) == {"vulnerability_in_grace"}
}

test_grace_ends_on_its_last_day if {
	result := data.maestro.supply_chain.release with input as with_finding({"days_known": 7})
	spoken(result) == {"vulnerability"}
}

test_a_finding_of_unknown_age_has_no_grace if {
	result := data.maestro.supply_chain.release with input as with_finding({"days_known": null})
	first(result, "vulnerability").actual == "high, known since an unknown day"
}

test_a_finding_of_unknown_severity_is_taken_for_the_worst if {
	every severity in ["unknown", "moderate", null] {
		result := data.maestro.supply_chain.release with input as with_finding({"severity": severity, "days_known": 0})
		spoken(result) == {"vulnerability"}
	}
}

test_the_highest_severity_that_passes_is_a_setting if {
	data.maestro.supply_chain.allow with input as object.union(with_finding({}), {"config": {"max_severity": "high"}})
	not data.maestro.supply_chain.allow with input as object.union(with_finding({"severity": "low", "days_known": 91}), {"config": {"max_severity": "none"}})
}

test_grace_is_a_setting_by_severity if {
	data.maestro.supply_chain.allow with input as object.union(with_finding({}), {"config": {"grace_days": {"high": 30}}})
}

test_what_vex_calls_not_affected_warns if {
	result := data.maestro.supply_chain.release with input as with_finding({"vex": {
		"status": "not_affected", "justification": "vulnerable_code_not_present", "source": "openvex.json",
	}})
	result.allow
	warned(result) == {"vex"}
}

test_what_vex_calls_affected_is_denied if {
	every status in ["affected", "under_investigation"] {
		result := data.maestro.supply_chain.release with input as with_finding({"vex": {"status": status, "justification": null, "source": "s"}})
		spoken(result) == {"vulnerability"}
	}
}

waiver := {"id": "w1", "reason": "not reachable", "approver": "ada", "expires": "2026-12-01T00:00:00Z"}

test_a_waived_finding_is_allowed_and_listed if {
	result := data.maestro.supply_chain.release with input as with_finding({"waived": true, "waiver": waiver})
	result.allow
	result.waived == {object.union(waiver, {"finding": "CVE-2026-1", "object": "registry.example/shop/web"})}
}

test_an_expired_waiver_does_not_count if {
	result := data.maestro.supply_chain.release with input as with_finding({
		"waived": true,
		"waiver": object.union(waiver, {"expires": "2026-11-21T12:00:00Z"}),
	})
	spoken(result) == {"vulnerability"}
	result.waived == set()
}

# --- source

test_failed_tests_are_denied if {
	result := data.maestro.supply_chain.release with input as object.union(good, {"tests": {"failed": 2}})
	first(result, "tests").message == "2 tests failed"
}

test_tests_that_did_not_run_are_denied if {
	result := data.maestro.supply_chain.release with input as object.union(good, {"tests": {"passed": 0}})
	spoken(result) == {"tests"}
}

test_an_unreadable_test_report_is_denied if {
	result := data.maestro.supply_chain.release with input as object.union(good, {"tests": null})
	spoken(result) == {"tests"}
}

test_failed_tests_count_even_when_no_report_is_required if {
	result := data.maestro.supply_chain.release with input as object.union(good, {"required": ["sbom"], "tests": {"failed": 1}})
	spoken(result) == {"tests"}
}

test_a_source_nobody_scanned_for_secrets_is_denied if {
	result := data.maestro.supply_chain.release with input as object.union(good, {"secrets": null})
	spoken(result) == {"secrets_not_scanned"}
}

test_a_failed_scan_for_secrets_is_denied if {
	result := data.maestro.supply_chain.release with input as object.union(good, {"secrets": {"state": "not_scanned", "reason": "no scanner"}})
	spoken(result) == {"secrets_not_scanned"}
}

secret := {"file": "deploy/key.pem", "line": 1, "type": "Private Key", "fingerprint": "f1", "waived": false, "waiver": null}

test_a_secret_is_denied_with_its_place if {
	result := data.maestro.supply_chain.release with input as object.union(good, {"secrets": {"state": "findings", "findings": [secret]}})
	first(result, "secret").object == "deploy/key.pem:1"
}

test_a_waived_secret_is_allowed_and_listed if {
	result := data.maestro.supply_chain.release with input as object.union(good, {"secrets": {
		"state": "findings",
		"findings": [object.union(secret, {"waived": true, "waiver": waiver})],
	}})
	result.allow
	result.waived == {object.union(waiver, {"finding": "f1", "object": "deploy/key.pem:1"})}
}
