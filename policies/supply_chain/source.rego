# The revision it was built from: its tests, and secrets left in it.
package maestro.supply_chain

tests := data.maestro.lib.object_at(input, "tests")

reported if is_object(object.get(input, "tests", null))

deny contains data.maestro.lib.reason(
	"tests", "no test report of this revision can be read", "tests", null, "a test report",
	"add a test step that leaves a report before the gate",
) if {
	"test-report" in required
	not reported
}

deny contains data.maestro.lib.reason("tests", sprintf("%v tests failed", [object.get(tests, "failed", 0)]), "tests", object.get(tests, "failed", 0), 0, "make the failing tests pass") if {
	reported
	object.get(tests, "failed", 0) != 0
}

deny contains data.maestro.lib.reason(
	"tests", "no test of this revision has passed", "tests", object.get(tests, "passed", 0), "at least 1",
	"run the tests of this revision before the gate",
) if {
	"test-report" in required
	reported
	not passed_some
}

passed_some if {
	passed := object.get(tests, "passed", 0)
	is_number(passed)
	passed > 0
}

secrets := data.maestro.lib.object_at(input, "secrets")

looked if is_object(object.get(input, "secrets", null))

deny contains data.maestro.lib.reason(
	"secrets_not_scanned", "the source was not scanned for secrets", "source", null, "clean or findings",
	"add scan.secrets before the gate",
) if {
	"secrets" in required
	not looked
}

deny contains data.maestro.lib.reason(
	"secrets_not_scanned", sprintf("the source was not scanned for secrets: %s", [why(secrets, "no reason given")]),
	"source", object.get(secrets, "state", null), "clean or findings", "make the scan for secrets succeed",
) if {
	looked
	not object.get(secrets, "state", null) in {"clean", "findings"}
}

deny contains data.maestro.lib.reason(
	"secret", sprintf("%s holds a secret (%s)", [place(finding), data.maestro.lib.text(object.get(finding, "type", "of an unknown type"))]),
	place(finding), object.get(finding, "type", "unknown"), "no secret",
	sprintf("revoke the secret, then remove it from %s; or, if it is none, waive %v", [
		place(finding), object.get(finding, "fingerprint", "it"),
	]),
) if {
	looked
	some finding in data.maestro.lib.array_at(secrets, "findings")
	not data.maestro.lib.waived(finding, now)
}

place(finding) := sprintf("%v:%v", [object.get(finding, "file", "an unknown file"), object.get(finding, "line", "?")])

waived contains waiver_of(finding, data.maestro.lib.text(object.get(finding, "fingerprint", "a secret")), place(finding)) if {
	looked
	some finding in data.maestro.lib.array_at(secrets, "findings")
	data.maestro.lib.waived(finding, now)
}
