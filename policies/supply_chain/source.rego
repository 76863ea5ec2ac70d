# The revision it was built from: its tests, and secrets left in it.
package maestro.supply_chain

tests := object.get(input, "tests", null)

deny contains data.maestro.lib.reason(
	"tests", "no test report of this revision can be read", "tests", null, "a test report",
	"add a test step that leaves a report before the gate",
) if {
	"test-report" in required
	not is_object(tests)
}

deny contains data.maestro.lib.reason("tests", sprintf("%v tests failed", [tests.failed]), "tests", tests.failed, 0, "make the failing tests pass") if {
	is_object(tests)
	object.get(tests, "failed", 0) != 0
}

deny contains data.maestro.lib.reason(
	"tests", "no test of this revision has passed", "tests", object.get(tests, "passed", 0), "at least 1",
	"run the tests of this revision before the gate",
) if {
	"test-report" in required
	is_object(tests)
	not passed_some
}

passed_some if {
	is_number(object.get(tests, "passed", 0))
	tests.passed > 0
}

secrets := object.get(input, "secrets", null)

deny contains data.maestro.lib.reason(
	"secrets_not_scanned", "the source was not scanned for secrets", "source", null, "clean or findings",
	"add scan.secrets before the gate",
) if {
	"secrets" in required
	not is_object(secrets)
}

deny contains data.maestro.lib.reason(
	"secrets_not_scanned", sprintf("the source was not scanned for secrets: %s", [why(secrets, "no reason given")]),
	"source", object.get(secrets, "state", null), "clean or findings", "make the scan for secrets succeed",
) if {
	is_object(secrets)
	not object.get(secrets, "state", null) in {"clean", "findings"}
}

deny contains data.maestro.lib.reason(
	"secret", sprintf("%s holds a secret (%s)", [place(finding), data.maestro.lib.text(object.get(finding, "type", "of an unknown type"))]),
	place(finding), object.get(finding, "type", "unknown"), "no secret",
	sprintf("revoke the secret, then remove it from %s; or, if it is none, waive %v", [
		place(finding), object.get(finding, "fingerprint", "it"),
	]),
) if {
	is_object(secrets)
	some finding in object.get(secrets, "findings", [])
	not data.maestro.lib.waived(finding, now)
}

place(finding) := sprintf("%v:%v", [object.get(finding, "file", "an unknown file"), object.get(finding, "line", "?")])

waived contains waiver_of(finding, data.maestro.lib.text(object.get(finding, "fingerprint", "a secret")), place(finding)) if {
	is_object(secrets)
	some finding in object.get(secrets, "findings", [])
	data.maestro.lib.waived(finding, now)
}
