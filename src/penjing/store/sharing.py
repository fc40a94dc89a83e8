"""Blocks that two files share: the file system keeps them once until one of the files is changed.

Linux on Btrfs, XFS, bcachefs and others (ioctl_ficlonerange(2)); elsewhere nothing is shared.

Does not know: what the blocks hold.
"""

from __future__ import annotations

import struct
import sys

BLOCK = 4096
"""Ranges that do not begin and end at multiples of this cannot be shared."""
FICLONE, FICLONERANGE = 0x40049409, 0x4020940D  # linux/fs.h
RANGE = struct.Struct("=qQQQ")  # struct file_clone_range


if sys.platform == "linux":
    import fcntl

    def share_all(source: int, target: int) -> bool:
        """Whether all of the open file `source` is now in `target` too."""
        return _asked(target, FICLONE, source)

    def share(source: int, at: int, target: int, to: int, size: int) -> bool:
        """Whether `size` bytes at `at` of the open file `source` are now at `to` of `target`."""
        if (at | to | size) % BLOCK:
            return False
        return _asked(target, FICLONERANGE, RANGE.pack(source, at, size, to))

    def _asked(target: int, request: int, argument: int | bytes) -> bool:
        try:
            fcntl.ioctl(target, request, argument)
        except OSError:  # not this file system, or two of them
            return False
        return True

else:

    def share_all(source: int, target: int) -> bool:
        """Whether all of the open file `source` is now in `target` too."""
        return False

    def share(source: int, at: int, target: int, to: int, size: int) -> bool:
        """Whether `size` bytes at `at` of the open file `source` are now at `to` of `target`."""
        return False
