"""Checks what was made against the schemas of its format.

The validator is jsonschema-rs: the schema of CycloneDX asks for unique items, for which the Python validators compare
every component with every other (10,000 components: two minutes; here: hundredths of a second). The schemas of
CycloneDX and the list of SPDX licences are those cyclonedx-python-lib carries; that of SPDX is in this folder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any

from maestro.sbom.errors import SbomError
from maestro.sbom.model import CYCLONEDX, SPDX

_BASE = "http://cyclonedx.org/schema/"


def validate(document: Mapping[str, Any]) -> None:
    """Check a document Maestro made, CycloneDX 1.6 or SPDX 2.3, against its schema.

    Raises:
        SbomError: it does not conform; the message says where.
    """
    name = CYCLONEDX if "bomFormat" in document else SPDX
    validator = _cyclonedx() if name == CYCLONEDX else _spdx()
    for error in validator.iter_errors(document):
        place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.instance_path)
        raise SbomError(
            f"the {name} document does not conform to its schema: {place.lstrip('.') or 'the document'}: "
            f"{error.message[:300]}",
            next_step="check the component named there; if it is as its package says, report it as a fault of Maestro",
        )


@lru_cache(maxsize=1)
def spdx_license_ids() -> frozenset[str]:
    """The identifiers a CycloneDX 1.6 document may use as a licence's ``id``."""
    return frozenset(_schema("spdx")["enum"])


@lru_cache(maxsize=1)
def _cyclonedx() -> Any:
    import jsonschema_rs

    parts = [(f"{_BASE}{name}.SNAPSHOT.schema.json", _schema(name)) for name in ("spdx", "jsf-0.82")]
    registry = jsonschema_rs.Registry(parts, draft=jsonschema_rs.Draft7, retriever=_nothing_outside)
    return jsonschema_rs.Draft7Validator(_schema("bom-1.6"), registry=registry)


@lru_cache(maxsize=1)
def _spdx() -> Any:
    import jsonschema_rs

    schema = json.loads((files("maestro.sbom") / "spdx-2.3.schema.json").read_bytes())
    return jsonschema_rs.Draft7Validator(schema, retriever=_nothing_outside)


def _schema(name: str) -> Any:
    # cyclonedx.schema._res is where cyclonedx-python-lib keeps them; its own validators read the same files.
    return json.loads((files("cyclonedx.schema") / "_res" / f"{name}.SNAPSHOT.schema.json").read_bytes())


def _nothing_outside(uri: str) -> Any:
    raise ValueError(f"a schema refers to {uri}, which is not part of it")
