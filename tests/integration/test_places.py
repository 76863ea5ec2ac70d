"""As many steps work at once as the profile allows, never more, whatever is written down about others meanwhile."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from maestro.profile import load_profile
from tests.integration.delivery import Delivery

STEPS = 12
COUNTED = """
set -eu
mkdir at-work/$MAESTRO_RUN_ID-$$
ls at-work | wc -l >> seen
[ "$(ls at-work | wc -l)" -le {places} ]
sleep 0.02
rmdir at-work/$MAESTRO_RUN_ID-$$
"""


@pytest.mark.parametrize("places", [1, 3])
def test_no_step_works_before_it_has_a_place(tmp_path: Path, places: int) -> None:
    folder = tmp_path / "profile"
    shutil.copytree(load_profile("default").folder, folder)
    settings = folder / "settings.yaml"
    settings.write_text(settings.read_text().replace("max_concurrent: null", f"max_concurrent: {places}"))
    root = tmp_path / "shop"
    (root / "at-work").mkdir(parents=True)
    shop = Delivery(root, load_profile(f"{folder}/"))
    shop.git("init", "-q", "-b", "main")
    (root / "counted.sh").write_text(COUNTED.format(places=places))
    step = "run: shell, cache: false, with: {command: sh counted.sh}"
    lines = ["name: flow", "project: shop", "stages:", "  - name: work", "    parallel:"]
    lines += [f"      - {{id: s{number}, {step}}}" for number in range(STEPS)]
    lines += ["finally:", *(f"  - {{id: f{number}, {step}}}" for number in range(2))]
    shop.workflow("\n".join(lines) + "\n")
    run = shop.run()
    assert run.passed, run.failures() + "".join(run.logs.values())
    seen = [int(line) for line in (root / "seen").read_text().split()]
    assert len(seen) == STEPS + 2
    assert max(seen) <= places
    assert all(count == 1 for count in seen[-2:]), "finally steps go one after another"


def test_the_next_step_finds_what_the_one_before_it_left_kept(tmp_path: Path) -> None:
    """With one place each step overwrites the same file; each one's output is what it wrote itself."""
    folder = tmp_path / "profile"
    shutil.copytree(load_profile("default").folder, folder)
    settings = folder / "settings.yaml"
    settings.write_text(settings.read_text().replace("max_concurrent: null", "max_concurrent: 1"))
    root = tmp_path / "shop"
    root.mkdir()
    shop = Delivery(root, load_profile(f"{folder}/"))
    shop.git("init", "-q", "-b", "main")
    lines = ["name: flow", "project: shop", "stages:", "  - name: work", "    parallel:"]
    lines += [
        f"      - {{id: s{number}, run: shell, cache: false, with: {{command: 'echo {number} > out'}}, outputs: [out]}}"
        for number in range(STEPS)
    ]
    shop.workflow("\n".join(lines) + "\n")
    run = shop.run()
    assert run.passed, run.failures()
    store = shop.store()
    kept = {name: store.get_bytes(record.outputs[0].sha256) for name, record in run.records.items()}
    assert kept == {f"work/s{number}": f"{number}\n".encode() for number in range(STEPS)}
