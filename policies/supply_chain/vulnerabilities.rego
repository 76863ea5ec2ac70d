# Known vulnerabilities: scanned at all, with a young database, and what was found.
package maestro.supply_chain

scans := data.maestro.lib.array_at(input, "vulnerabilities")

scanned := {object.get(scan, "subject", "") | some scan in scans}

deny contains data.maestro.lib.reason(
	"not_scanned", sprintf("%s was not scanned for vulnerabilities", [subject.name]),
	subject.name, "not scanned", "clean or findings", sprintf("add scan.vulnerabilities for %s before the gate", [subject.name]),
) if {
	"vulnerabilities" in required
	some subject in subjects
	not subject.digest in scanned
}

deny contains data.maestro.lib.reason(
	"not_scanned", sprintf("%s was not scanned for vulnerabilities: %s", [called(scan), why(scan, "no reason given")]),
	called(scan), object.get(scan, "state", null), "clean or findings",
	sprintf("make the scan of %s succeed: %s", [called(scan), why(scan, "see the log of the scan step")]),
) if {
	some scan in counted
	not object.get(scan, "state", null) in {"clean", "findings"}
}

# A scan nobody required and nobody made says nothing.
counted contains scan if {
	some scan in scans
	"vulnerabilities" in required
}

counted contains scan if {
	some scan in scans
	object.get(scan, "state", null) in {"clean", "findings"}
}

counted contains scan if {
	some scan in scans
	count(data.maestro.lib.array_at(scan, "findings")) > 0
}

deny contains data.maestro.lib.reason(
	"database_age", sprintf("the advisory database %s was scanned with is %s old", [called(scan), age(scan)]),
	called(scan), age(scan), sprintf("%v h", [config.database_max_age_hours]),
	"update the advisory database and scan again",
) if {
	some scan in counted
	object.get(scan, "state", null) in {"clean", "findings"}
	not young(scan)
}

young(scan) if {
	hours := object.get(scan, ["database", "age_hours"], null)
	is_number(hours)
	hours <= config.database_max_age_hours
}

age(scan) := sprintf("%v h", [round(hours)]) if {
	hours := object.get(scan, ["database", "age_hours"], null)
	is_number(hours)
}

age(scan) := "unknown" if not is_number(object.get(scan, ["database", "age_hours"], null))

deny contains data.maestro.lib.reason(
	"unscanned_component", sprintf("%d components of %s were not looked up, the first is %s", [count(left), called(scan), component(left[0])]),
	called(scan), count(left), 0,
	"make them known to the scanner, or accept that with allow_unscanned: true",
) if {
	some scan in counted
	config.allow_unscanned != true
	left := data.maestro.lib.array_at(scan, "unscanned")
	count(left) > 0
}

component(one) := object.get(one, "purl", object.get(one, "name", "unnamed"))

called(scan) := name if {
	names := [subject.name | some subject in subjects; subject.digest == object.get(scan, "subject", "")]
	name := names[0]
} else := object.get(scan, "subject", "a subject without digest")

# Above the highest severity that passes at once; what has no known severity is taken for the worst.
severe contains [scan, finding] if {
	some scan in counted
	some finding in data.maestro.lib.array_at(scan, "findings")
	rank(finding) > severities[config.max_severity]
}

rank(finding) := object.get(severities, severity(finding), 4)

not_affected(finding) if object.get(data.maestro.lib.object_at(finding, "vex"), "status", null) in {"not_affected", "fixed"}

excused(finding) if data.maestro.lib.waived(finding, now)

excused(finding) if not_affected(finding)

in_grace(finding) if left_days(finding) > 0

left_days(finding) := grace(finding) - days if {
	days := object.get(finding, "days_known", null)
	is_number(days)
}

grace(finding) := object.get(config.grace_days, severity(finding), 0)

deny contains data.maestro.lib.reason(
	"vulnerability",
	sprintf("%s has %s (%s) in %s%s", [called(scan), id(finding), severity(finding), package_of(finding), known(finding)]),
	sprintf("%s: %s in %s", [called(scan), id(finding), package_of(finding)]),
	sprintf("%s%s", [severity(finding), known(finding)]),
	sprintf("%s, or %s for %v days", [config.max_severity, severity(finding), grace(finding)]),
	remedy(finding),
) if {
	some [scan, finding] in severe
	not excused(finding)
	not in_grace(finding)
}

warn contains data.maestro.lib.reason(
	"vulnerability_in_grace",
	sprintf("%s has %s (%s) in %s; in %s days it denies", [
		called(scan), id(finding), severity(finding), package_of(finding), data.maestro.lib.number(left_days(finding)),
	]),
	sprintf("%s: %s in %s", [called(scan), id(finding), package_of(finding)]),
	sprintf("%s%s", [severity(finding), known(finding)]),
	sprintf("%s, or %s for %v days", [config.max_severity, severity(finding), grace(finding)]),
	remedy(finding),
) if {
	some [scan, finding] in severe
	not excused(finding)
	in_grace(finding)
}

warn contains data.maestro.lib.reason(
	"vex",
	sprintf("%s has %s in %s, but %s says it is %s: %s", [
		called(scan), id(finding), package_of(finding),
		data.maestro.lib.text(object.get(finding, ["vex", "source"], "a VEX document")), finding.vex.status,
		data.maestro.lib.text(object.get(finding, ["vex", "justification"], "no justification given")),
	]),
	sprintf("%s: %s in %s", [called(scan), id(finding), package_of(finding)]),
	finding.vex.status, "not_affected or fixed", "nothing, if that is true",
) if {
	some [scan, finding] in severe
	not_affected(finding)
}

waived contains waiver_of(finding, id(finding), called(scan)) if {
	some scan in counted
	some finding in data.maestro.lib.array_at(scan, "findings")
	data.maestro.lib.waived(finding, now)
}

waiver_of(finding, name, object_name) := object.union(finding.waiver, {"finding": name, "object": object_name})

id(finding) := data.maestro.lib.text(object.get(finding, "id", "a finding without id"))

severity(finding) := data.maestro.lib.text(object.get(finding, "severity", "unknown"))

package_of(finding) := sprintf("%s %s", [data.maestro.lib.text(object.get(finding, "package", "a package")), data.maestro.lib.text(object.get(finding, "version", ""))])

known(finding) := sprintf(", known for %v days", [round(finding.days_known)]) if is_number(object.get(finding, "days_known", null))

known(finding) := ", known since an unknown day" if not is_number(object.get(finding, "days_known", null))

remedy(finding) := sprintf("update %s to %s; or waive %s", [
	data.maestro.lib.text(object.get(finding, "package", "the package")), concat(" or ", finding.fixed), id(finding),
]) if {
	count(data.maestro.lib.array_at(finding, "fixed")) > 0
}

remedy(finding) := sprintf("no fixed version of %s is known: replace it, or waive %s", [
	data.maestro.lib.text(object.get(finding, "package", "the package")), id(finding),
]) if {
	count(data.maestro.lib.array_at(finding, "fixed")) == 0
}
