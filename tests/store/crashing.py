"""Kills a process that changes a store, at one moment after another, and looks at what is left each time.

    python crashing.py ACT FIRST STEP      one line of JSON: the last moment, how many were tried, what was wrong

A moment is just before one change to the file system (Python's audit events), so all states that a reader or the next
writer can meet are met. Run as a process of its own: it forks, and a forked child cannot take an audit hook off.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from differing_models import changed, tensors, write_gguf
from penjing.manifest import Manifest, digest
from penjing.store import bundle
from penjing.store.fetch import Folder
from penjing.store.versions import Store

CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate", "os.chmod"}
LAYERS = [f"blk.{number}.weight" for number in range(4)]


def weights(number: int) -> dict[str, object]:
    return changed(tensors(count=4, rows=24, columns=256), *LAYERS[:number])


def model(folder: Path, number: int) -> Path:
    return write_gguf(folder / f"{number}.gguf", weights(number), template=f"template {number}", vocabulary=400)


def add(store: Store, number: int, folder: Path) -> None:
    store.add({"model.gguf": model(folder, number)}, Manifest(name="test", version=""), taking="move")


def prepare(folder: Path) -> None:
    """Four versions, two of them at rest with packs of their own; a bundle with two more; a file to be added."""
    store = Store(folder / "store")
    for number in range(3):
        add(store, number, folder)
    store.gc()
    add(store, 3, folder)
    store.tag("test", "stable", "test@3")
    other = Store(folder / "other")
    for number in (0, 4):
        add(other, number, folder)
    bundle.export(other, other.versions(), folder / "bundle")
    model(folder, 4).rename(folder / "new.gguf")


def act_add(folder: Path) -> None:
    Store(folder / "store").add({"model.gguf": folder / "new.gguf"}, Manifest(name="test", version=""), taking="move")


def act_copy(folder: Path) -> None:
    Store(folder / "store").add({"a/b": folder / "new.gguf"}, Manifest(name="else", version=""), taking="copy")


def act_rm(folder: Path) -> None:
    """The version on which two others rest."""
    store = Store(folder / "store")
    if any(version.number == 3 for version in store.versions()):
        store.remove("test@3")


def act_rm_resting(folder: Path) -> None:
    store = Store(folder / "store")
    if any(version.number == 1 for version in store.versions()):
        store.remove("test@1")
    store.gc()


def act_gc(folder: Path) -> None:
    store = Store(folder / "store")
    if "stable" in store.tags("test"):
        store.tag("test", "stable", None)
    store.gc()


def act_wake(folder: Path) -> None:
    store = Store(folder / "store")
    store.path(store.find("test@1"))


def act_tag(folder: Path) -> None:
    Store(folder / "store").tag("test", "canary", "test@2")


def act_import(folder: Path) -> None:
    bundle.take(Store(folder / "store"), Folder(folder / "bundle"), ["test@2"])


def act_export(folder: Path) -> None:
    store = Store(folder / "store")
    bundle.export(store, store.versions(), folder / "bundle")


ACTS: dict[str, Callable[[Path], None]] = {
    name.removeprefix("act_"): act for name, act in list(globals().items()) if name.startswith("act_")
}


def state(folder: Path) -> tuple[list[str], dict[str, int]]:
    """What there is: the files of every version by digest, and the tags."""
    store = Store(folder / "store")
    versions = [f"{each}: {[(entry.path, entry.sha256) for entry in each.manifest.files]}" for each in store.versions()]
    return versions, store.tags("test")


def killed(act: Callable[[Path], None], folder: Path, moment: int) -> bool:
    """Run `act` in a child that is killed at `moment`; False when it was done before."""
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status) and os.WEXITSTATUS(status):
            raise RuntimeError(f"the act itself failed at {moment}")
        return os.WIFSIGNALED(status)
    left = moment

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if event in CHANGES or writes:
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    try:
        act(folder)
    except BaseException:
        import traceback

        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def wrong(act: Callable[[Path], None], folder: Path, before: object, after: object) -> list[str]:
    """What is wrong with a store in which `act` was cut short."""
    found = []
    store = Store(folder / "store")
    found += [f"{fault.where}: {fault.detail}" for fault in store.verify()]
    now = state(folder)
    for each, one, two in zip(now, before, after, strict=True):  # type: ignore[call-overload]
        if each not in (one, two):
            found.append(f"neither before nor after: {each}")
    source = folder / "new.gguf"
    if act is act_add and not source.exists() and now == before:
        found.append("the file is neither here nor there")
    if source.exists() or act is not act_add:
        act(folder)  # the same again is done to its end
    if state(folder) != after:
        found.append(f"done again it is {state(folder)}")
    found += [f"{fault.where}: {fault.detail}" for fault in store.verify()]
    for version in store.versions():
        path = store.path(version)
        if digest(path) != version.manifest.files[0].sha256:
            found.append(f"{version} is another file")
    store.gc(unfinished=True)
    left = [path for path in folder.rglob("*") if ".part" in path.name or path.parent.name == "staging"]
    found += [f"left over: {path}" for path in left if not path.name.startswith("kept-") or path.is_dir()]
    return found


def main(name: str, first: int, step: int) -> None:
    act = ACTS[name]
    with tempfile.TemporaryDirectory() as root:
        template = Path(root, "template")
        template.mkdir()
        prepare(template)
        before = state(template)
        done = copied(template, Path(root, "done"))
        act(done)
        after = state(done)
        moments, tried, faults = 0, 0, []
        while True:
            folder = copied(template, Path(root, "tried"))
            if not killed(act, folder, first + tried * step):
                break
            moments = first + tried * step
            faults += [f"{name} {moments}: {fault}" for fault in wrong(act, folder, before, after)]
            tried += 1
    print(json.dumps({"moments": moments, "tried": tried, "wrong": faults}))


def copied(template: Path, folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(template, folder)
    return folder


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
