"""Room for files where none were deleted lately, so that figures are of the mail and not of the disk's history.

ext4 looks for a free inode near the directory's own, and passes by those that were freed a moment ago: where a test has
just cleaned up, that takes a millisecond a file, more than all else that a delivery costs, and each rival the same.
"""

from __future__ import annotations

import subprocess
from pathlib import Path


def spread(folder: Path) -> None:
    """Have each directory that is made in this one begin in a part of the disk of its own, as chattr(1) says of `T`.

    Other file systems than ext4 know nothing of it, and do without.
    """
    subprocess.run(["chattr", "+T", folder], check=False, stderr=subprocess.DEVNULL)
