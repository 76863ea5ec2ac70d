"""SPDX's own validator agrees with what Maestro writes."""

from __future__ import annotations

from pathlib import Path

from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from maestro.sbom import canonical, spdx
from maestro.sbom.normalise import Tool, cyclonedx
from tests.unit.sbom_content import ROOT, content


def test_a_written_spdx_document_is_valid_for_the_validator_of_spdx(tmp_path: Path) -> None:
    made = cyclonedx(ROOT, [content()], tools=[Tool("syft", "1.18.1")])
    file = tmp_path / "sbom.spdx.json"
    file.write_bytes(canonical.encoded(spdx.from_cyclonedx(made)))
    assert validate_full_spdx_document(parse_file(str(file))) == []
