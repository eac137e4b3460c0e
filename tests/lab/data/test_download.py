import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mixwright.lab.data import DataError
from mixwright.lab.data.sources.download import fetch_file, file_md5

CONTENT = bytes(range(256)) * 16384  # 4 MiB: several pieces
MD5 = hashlib.md5(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/missing":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[: len(CONTENT) // 2] if self.path == "/half" else CONTENT)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def address() -> Iterator[str]:
    """A server on this machine."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_file_arrives_whole_with_its_progress(address: str, tmp_path: Path):
    target = tmp_path / "deep" / "er" / "file.bin"
    said: list[str] = []
    fetch_file(f"{address}/file", md5=MD5, target=target, say=said.append)
    assert target.read_bytes() == CONTENT
    assert file_md5(target) == MD5
    assert said[0].startswith(f"Downloading {address}/file (4 MB) to ")
    assert said[-1] == "Downloaded 100 % of file.bin."
    assert [path.name for path in target.parent.iterdir()] == ["file.bin"]


@pytest.mark.parametrize(
    ("page", "md5", "says"),
    [
        ("missing", MD5, "cannot be downloaded: HTTP Error 404"),
        ("half", MD5, "checksum|cannot be downloaded"),
        ("file", "0" * 32, f"checksum {MD5}; expected 0000"),
    ],
)
def test_nothing_is_left_of_a_failed_download(
    address: str, tmp_path: Path, page: str, md5: str, says: str
):
    target = tmp_path / "file.bin"
    with pytest.raises(DataError, match=says) as caught:
        fetch_file(f"{address}/{page}", md5=md5, target=target, say=lambda message: None)
    assert f"place it at {target}" in str(caught.value)
    assert "--data-dir" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_no_server_and_no_place(tmp_path: Path):
    def fetch(url: str, target: Path) -> None:
        fetch_file(url, md5=MD5, target=target, say=lambda message: None)

    with pytest.raises(DataError, match=r"cannot be downloaded: .*place it at"):
        fetch("http://127.0.0.1:9/file", tmp_path / "file.bin")
    (tmp_path / "file").write_text("in the way")
    source = tmp_path / "source"
    source.write_bytes(CONTENT)
    with pytest.raises(DataError, match="cannot be downloaded"):
        fetch(source.as_uri(), tmp_path / "file" / "file.bin")
