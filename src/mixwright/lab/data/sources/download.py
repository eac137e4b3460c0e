"""Files from the net, checked before they are believed."""

from __future__ import annotations

import hashlib
import os
import tempfile
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError

from mixwright.lab.data.errors import DataError
from mixwright.lab.data.source import Request

_CHUNK = 1 << 20
_TIMEOUT_SECONDS = 30.0


def cache_folder() -> Path:
    """Return where downloads go: ``$XDG_CACHE_HOME/mixwright``, else ``~/.cache/mixwright``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mixwright"


def file_md5(path: Path) -> str:
    """Return a file's checksum, 32 hexadecimal digits; it finds accidents, not attackers."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def need_file(path: Path, *, url: str, md5: str, request: Request, missing: str) -> None:
    """Check a file; download one that is not there, or raise a DataError that says ``missing``."""
    if not path.is_file():
        if not request.download:
            raise DataError(missing)
        fetch_file(url, md5=md5, target=path, say=request.say)
    elif (found := file_md5(path)) != md5:
        raise DataError(
            f"{path} has the checksum {found}; expected {md5}. It is damaged or another file: "
            f"remove it, and place a fresh copy of {url} or let it be downloaded."
        )


def fetch_file(url: str, *, md5: str, target: Path, say: Callable[[str], None]) -> None:
    """Download a file; ``target`` appears whole and checked, or not at all; its folder is made."""
    by_hand = (
        f"Fetch it on a machine that can, place it at {target}, and run again (--data-dir names "
        "another folder)."
    )
    partial: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            dir=target.parent, prefix=f".{target.name}.", delete=False
        ) as file:
            partial = Path(file.name)
            with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as answer:
                size = int(answer.headers.get("Content-Length") or 0)
                say(f"Downloading {url} ({size / 1e6:.0f} MB) to {target}.")
                done, tenths = 0, 0
                while chunk := answer.read(_CHUNK):
                    file.write(chunk)
                    done += len(chunk)
                    if size and 10 * done // size > tenths:
                        tenths = 10 * done // size
                        say(f"Downloaded {10 * tenths} % of {target.name}.")
        found = file_md5(partial)
        if found != md5:
            raise DataError(
                f"{url} gave a file with the checksum {found}; expected {md5}. The download was "
                f"damaged, or the file has changed. Try again. {by_hand}"
            )
        partial.replace(target)
        partial = None
    except (OSError, HTTPException) as error:  # urllib's own errors are OSErrors
        if isinstance(error, HTTPError):
            error.close()  # it holds the connection
        raise DataError(f"{url} cannot be downloaded: {error}. {by_hand}") from error
    finally:
        if partial is not None:
            partial.unlink(missing_ok=True)
