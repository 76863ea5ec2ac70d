"""On a server, a project's secrets are files of its own folder and nothing else."""

from pathlib import Path

import pytest

from maestro.errors import InputError
from maestro.secrets import SecretReader, SecretSource, kept_apart


def reader(folder: Path, source: SecretSource) -> SecretReader:
    return SecretReader(folder / "root", {"TOKEN": "of-the-server"}, {"TOKEN": kept_apart("TOKEN", source, folder)})


def keep(folder: Path, name: str, value: str) -> None:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(value)
    file.chmod(0o600)


def test_a_secret_of_the_environment_is_the_projects_file_of_that_name(tmp_path: Path) -> None:
    keep(tmp_path, "NPM_TOKEN", "of-the-project")
    assert reader(tmp_path, SecretSource(variable="NPM_TOKEN")).read(["TOKEN"])["TOKEN"] == "of-the-project"


def test_the_servers_environment_is_never_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"TOKEN: file .*TOKEN does not exist"):
        reader(tmp_path, SecretSource()).read(["TOKEN"])


def test_a_path_is_looked_for_in_the_projects_folder(tmp_path: Path) -> None:
    keep(tmp_path, "deploy/key", "of-the-project")
    source = SecretSource("file", path="deploy/key")
    assert reader(tmp_path, source).read(["TOKEN"])["TOKEN"] == "of-the-project"


@pytest.mark.parametrize("path", ["../other/TOKEN", "/etc/passwd", "a/../../other/TOKEN"])
def test_no_path_leads_out_of_the_folder(tmp_path: Path, path: str) -> None:
    keep(tmp_path / "other", "TOKEN", "of-another-project")
    folder = tmp_path / "mine"
    folder.mkdir()
    with pytest.raises(InputError, match="TOKEN does not exist"):
        reader(folder, SecretSource("file", path=path)).read(["TOKEN"])


def test_a_link_out_of_the_folder_is_not_followed_by_another_name(tmp_path: Path) -> None:
    keep(tmp_path / "other", "key", "of-another-project")
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "linked").symlink_to(tmp_path / "other" / "key")
    with pytest.raises(InputError, match="TOKEN does not exist"):
        reader(folder, SecretSource("file", path="linked")).read(["TOKEN"])
