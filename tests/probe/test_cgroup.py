from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.probe import cgroup
from penjing.probe.reading import Reading

GIB = 1 << 30


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "sys/fs/cgroup"


def lay(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text + "\n")


def seen(tmp_path: Path, membership: str) -> cgroup.Limits:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(membership)
    return cgroup.read(Reading(tmp_path))


def test_v2_least_limit_of_all_ancestors_wins(tmp_path: Path, root: Path) -> None:
    lay(root / "a", memory__max=str(2 * GIB), memory__current=str(GIB), cpu__max="max 100000")
    lay(root / "a/b", memory__max="max", cpu__max="150000 100000")
    limits = seen(tmp_path, "0::/a/b\n")
    assert limits == cgroup.Limits(2 * GIB, GIB, 1.5)


def test_v2_page_cache_counts_as_free(tmp_path: Path, root: Path) -> None:
    stat = f"anon 1\ninactive_file {GIB // 4}\nactive_file 7"
    lay(root / "a", memory__max=str(GIB), memory__current=str(GIB // 2), memory__stat=stat)
    assert seen(tmp_path, "0::/a\n").memory_used == GIB // 4


def test_v1_controllers_have_their_own_trees(tmp_path: Path, root: Path) -> None:
    lay(root / "memory/x", memory__limit_in_bytes=str(GIB), memory__usage_in_bytes=str(GIB // 2))
    lay(root / "memory", memory__limit_in_bytes="9223372036854771712")
    lay(root / "cpu/y", cpu__cfs_quota_us="50000", cpu__cfs_period_us="100000")
    limits = seen(tmp_path, "4:memory:/x\n2:cpu,cpuacct:/y\n0::/\n")
    assert limits == cgroup.Limits(GIB, GIB // 2, 0.5)


def test_inside_a_container_only_the_root_is_visible(tmp_path: Path, root: Path) -> None:
    lay(root, memory__max=str(GIB), memory__current="0")
    assert seen(tmp_path, "0::/host/name/of/me\n").memory == GIB


def test_no_quota_is_minus_one_in_v1_and_max_in_v2(tmp_path: Path, root: Path) -> None:
    lay(root / "cpu", cpu__cfs_quota_us="-1", cpu__cfs_period_us="100000")
    lay(root, cpu__max="max 100000", memory__max="max")
    assert seen(tmp_path, "2:cpu:/\n0::/\n") == cgroup.Limits()


def test_a_machine_without_groups_has_no_limits(tmp_path: Path, root: Path) -> None:
    assert cgroup.read(Reading(tmp_path)) == cgroup.Limits()


@given(st.text(max_size=200))
def test_membership_survives_any_text(text: str) -> None:
    for controller, path in cgroup.membership(text).items():
        assert isinstance(controller, str)
        assert isinstance(path, str)
