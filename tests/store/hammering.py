"""Changes and reads a store at random until it is killed: `python hammering.py FOLDER SEED`. Prints a line when it
begins and nothing more; what other processes may cause (a version is gone, or in use) is no error, all else ends it."""

from __future__ import annotations

import random
import sys
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import crashing

from penjing.manifest import Manifest, digest
from penjing.store import bundle
from penjing.store.faults import InUse, NotInStore
from penjing.store.fetch import Folder
from penjing.store.lease import Lease
from penjing.store.versions import Store

NAMES = ("one", "two")
TAGS = ("stable", "canary")


class Hammer:
    """One process."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.choose = random.Random(seed)
        self.store = Store(folder / "store")
        self.own = folder / f"own-{seed}"
        self.own.mkdir(exist_ok=True)

    def add(self) -> None:
        number = self.choose.randrange(5)
        (self.own / f"{number}.gguf").unlink(missing_ok=True)  # root could write into what the store has a link to
        path = crashing.model(self.own, number)
        facts: dict[str, object] = {"kind": self.choose.randrange(3)}
        manifest = Manifest(name=self.choose.choice(NAMES), version="", facts=facts)
        self.store.add({"model.gguf": path}, manifest, taking=self.choose.choice(["move", "copy", "link"]))

    def tag(self) -> None:
        version = self.choose.choice(self.store.versions())
        self.store.tag(version.name, self.choose.choice(TAGS), version)

    def remove(self) -> None:
        versions = self.store.versions()
        if len(versions) > 3:
            self.store.remove(self.choose.choice(versions))

    def gc(self) -> None:
        self.store.gc()

    def read(self) -> None:
        version = self.choose.choice(self.store.versions())
        path = self.store.path(version)
        lease = Lease(path)
        found = digest(path)
        lease.end()
        if found != version.manifest.files[0].sha256:
            raise RuntimeError(f"{version} is another file")

    def travel(self) -> None:
        version = self.choose.choice(self.store.versions())
        bundle.export(self.store, [version], self.own / "bundle")
        bundle.take(Store(self.own / "store"), Folder(self.own / "bundle"), [str(version)], retag=True)
        bundle.take(self.store, Folder(self.own / "bundle"))

    def run(self) -> None:
        """For ever."""
        self.add()
        print("begun", flush=True)
        acts = [self.add, self.add, self.tag, self.remove, self.gc, self.read, self.read, self.travel]
        while True:
            with suppress(NotInStore, InUse, IndexError):
                self.choose.choice(acts)()


Hammer(Path(sys.argv[1]), int(sys.argv[2])).run()
