"""Files from the network: tried at several addresses, resumed where a connection broke, and verified before use.

They lie in the folder that MINIDL_DATA names, else in the user's cache.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

ATTEMPTS = 3  # at each address, each going on where the one before it broke off
CHUNK = 1 << 16  # bytes


def data_folder() -> Path:
    """Where downloaded files are kept."""
    if folder := os.environ.get("MINIDL_DATA"):
        return Path(folder)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "minidl"


def fetch(path: Path, addresses: Sequence[str], sha256: str) -> None:
    """Download the file `path` from the first of `addresses` that gives it whole, as its SHA-256 shows.

    Until then it is called `path`.part, which a later call goes on with.  RuntimeError says what went wrong at each
    address.
    """
    from http.client import HTTPException
    from urllib.error import HTTPError

    path.parent.mkdir(parents=True, exist_ok=True)
    part, failures = path.with_name(path.name + ".part"), []
    for address in addresses:
        for _ in range(ATTEMPTS):
            try:
                _go_on(part, address)
            except HTTPError as error:
                failures.append(f"{address}: {error}")
                break  # the server answers: asking again would change nothing
            except (OSError, HTTPException) as error:
                failures.append(f"{address}: {error}")
                continue
            found = hashlib.sha256(part.read_bytes()).hexdigest()
            if found == sha256:
                os.replace(part, path)
                return
            part.unlink()
            failures.append(f"{address}: damaged, SHA-256 {found} in place of {sha256}")
            break
    reasons = "\n  ".join(dict.fromkeys(failures))
    raise RuntimeError(
        f"{path.name} could not be downloaded:\n  {reasons}\nTry again later, or copy the file to {path.parent}; "
        "the environment variable MINIDL_DATA names another folder for data"
    )


def _go_on(part: Path, address: str) -> None:
    """Append to `part` what is still missing; ConnectionError if the connection breaks before the end."""
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    from tqdm import tqdm

    have = part.stat().st_size if part.exists() else 0
    request = Request(address, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urlopen(request, timeout=30)
    except HTTPError as error:
        if error.code == 416 and have:  # nothing is missing
            return
        raise
    with response:
        if response.status != 206:  # the server starts again
            have = 0
        total = have + int(response.headers.get("Content-Length", 0))
        with (
            part.open("ab" if have else "wb") as file,
            tqdm(total=total or None, initial=have, unit="B", unit_scale=True, desc=part.stem, leave=False) as bar,
        ):
            while chunk := response.read(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
    if part.stat().st_size < total:
        raise ConnectionError(f"the connection broke after {part.stat().st_size} of {total} bytes")
