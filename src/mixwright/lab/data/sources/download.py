"""Files from the net, checked before they are believed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import urllib.request
import uuid
from collections.abc import Callable
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO
from urllib.error import HTTPError, URLError

from mixwright.files import write_errors
from mixwright.lab.data.errors import DataError
from mixwright.lab.data.source import Request

_CHUNK = 1 << 20
_TIMEOUT_SECONDS = 30.0


def cache_folder() -> Path:
    """Return where downloads go: ``$XDG_CACHE_HOME/mixwright``, else ``~/.cache/mixwright``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mixwright"


def file_sha256(path: Path) -> str:
    """Return a file's checksum, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def need_file(path: Path, *, url: str, sha256: str, request: Request, missing: str) -> None:
    """Check a file; download one that is not there, or raise a DataError that says ``missing``."""
    if not path.is_file():
        if not request.download:
            raise DataError(missing)
        fetch_file(url, sha256=sha256, target=path, say=request.say)
    elif (found := file_sha256(path)) != sha256:
        raise DataError(
            f"{path} has the checksum {found}; expected {sha256}. It is damaged or another file: "
            f"remove it, and place a fresh copy of {url} or let it be downloaded."
        )


def fetch_file(url: str, *, sha256: str, target: Path, say: Callable[[str], None]) -> None:
    """Download a file; ``target`` appears whole and checked, or not at all; its folder is made."""
    by_hand = (
        f"Fetch it on a machine that can, place it at {target}, and run again (--data-dir names "
        "another folder)."
    )
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
    try:
        _check_encrypted(url)
        target.parent.mkdir(parents=True, exist_ok=True)
        # The cache is often a shared folder: colleagues may read it where the umask allows.
        with write_errors(target), open(partial, "xb", opener=_readable_by_all) as file:
            opener = urllib.request.build_opener(_EncryptedRedirects)
            with opener.open(url, timeout=_TIMEOUT_SECONDS) as answer:
                size = int(answer.headers.get("Content-Length") or 0)
                say(f"Downloading {url} ({size / 1e6:.0f} MB) to {target}.")
                done, tenths = 0, 0
                while chunk := answer.read(_CHUNK):
                    file.write(chunk)
                    done += len(chunk)
                    if size and 10 * done // size > tenths:
                        tenths = 10 * done // size
                        say(f"Downloaded {10 * tenths} % of {target.name}.")
        found = file_sha256(partial)
        if found != sha256:
            raise DataError(
                f"{url} gave a file with the checksum {found}; expected {sha256}. The download was "
                f"damaged, or the file has changed. Try again. {by_hand}"
            )
        partial.replace(target)
    except (OSError, HTTPException) as error:  # urllib's own errors are OSErrors
        if isinstance(error, HTTPError):
            error.close()  # it holds the connection
        raise DataError(f"{url} cannot be downloaded: {error}. {by_hand}") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


def _readable_by_all(path: str, flags: int) -> int:
    return os.open(path, flags, 0o644)


def _check_encrypted(url: str) -> None:
    if not url.startswith(("https:", "file:")):  # a file of this machine crosses no net
        raise URLError(f"{url} is not encrypted; expected https")


class _EncryptedRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to encrypted addresses only: anyone on the way could answer for others."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        try:
            _check_encrypted(newurl)
        except URLError:
            fp.close()  # it holds the connection
            raise
        return super().redirect_request(req, fp, code, msg, headers, newurl)
