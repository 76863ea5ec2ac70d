"""The built-in functions a policy may call: those that give the same answer here and in OPA, and the same one tomorrow.

Not here: what reads the clock, the network, the environment or chance (``time.now_ns``, ``http.send``,
``opa.runtime``, ``rand.intn``). A decision must follow from its input alone, or its input digest would prove nothing.
regorus knows stubs for some of these that are *undefined*, so a deny rule that calls one would never speak; hence a
list of what is allowed.
The interoperability tests call each of them in both engines.
"""

from __future__ import annotations

_NAMES = """
    abs ceil floor round numbers.range
    count sum product max min sort
    array.concat array.reverse array.slice
    and or union intersection
    object.get object.keys object.union object.union_n object.filter object.remove object.subset
    concat contains endswith startswith format_int indexof lower upper replace split sprintf substring
    trim trim_left trim_prefix trim_right trim_space trim_suffix strings.any_prefix_match strings.any_suffix_match
    strings.reverse
    regex.match regex.is_valid regex.split regex.replace regex.find_n
    glob.match
    is_array is_boolean is_null is_number is_object is_set is_string type_name
    to_number json.unmarshal json.is_valid
    base64.encode base64.decode base64.is_valid hex.encode hex.decode
    time.parse_rfc3339_ns time.parse_duration_ns time.add_date time.diff time.date time.clock time.weekday time.format
    semver.compare semver.is_valid
    walk graph.reachable print
    internal.member_2 internal.member_3
"""

ALLOWED: frozenset[str] = frozenset(_NAMES.split())
