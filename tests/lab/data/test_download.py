import hashlib
import http.server
import os
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mixwright.lab.data import DataError
from mixwright.lab.data.sources.download import fetch_file, file_sha256

CONTENT = bytes(range(256)) * 16384  # 4 MiB: several pieces
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/missing":
            self.send_error(404)
            return
        if self.path == "/elsewhere":
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.1:9/file")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[: len(CONTENT) // 2] if self.path == "/half" else CONTENT)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of this machine, with its key."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on this system to make a certificate with")
    file = tmp_path_factory.mktemp("certificate") / "here.pem"
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    where = ["-nodes", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    out = ["-keyout", str(file), "-out", str(file.with_suffix(".crt"))]
    subprocess.run([*make, *where, *out], check=True, capture_output=True)
    file.write_bytes(file.read_bytes() + file.with_suffix(".crt").read_bytes())
    return file


@pytest.fixture
def address(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server on this machine, whose certificate is trusted."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.with_suffix(".crt")))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"https://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_file_arrives_whole_with_its_progress(address: str, tmp_path: Path):
    target = tmp_path / "deep" / "er" / "file.bin"
    said: list[str] = []
    fetch_file(f"{address}/file", sha256=SHA256, target=target, say=said.append)
    assert target.read_bytes() == CONTENT
    assert file_sha256(target) == SHA256
    assert said[0].startswith(f"Downloading {address}/file (4 MB) to ")
    assert said[-1] == "Downloaded 100 % of file.bin."
    assert [path.name for path in target.parent.iterdir()] == ["file.bin"]


@pytest.mark.parametrize(
    ("page", "sha256", "says"),
    [
        ("missing", SHA256, "cannot be downloaded: HTTP Error 404"),
        ("half", SHA256, "checksum|cannot be downloaded"),
        ("elsewhere", SHA256, "http://127.0.0.1:9/file is not encrypted; expected https"),
        ("file", "0" * 64, f"checksum {SHA256}; expected 0000"),
    ],
)
def test_nothing_is_left_of_a_failed_download(
    address: str, tmp_path: Path, page: str, sha256: str, says: str
):
    target = tmp_path / "file.bin"
    with pytest.raises(DataError, match=says) as caught:
        fetch_file(f"{address}/{page}", sha256=sha256, target=target, say=lambda message: None)
    assert f"place it at {target}" in str(caught.value)
    assert "--data-dir" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="no umask on this system")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0, 0o644)])
def test_colleagues_may_read_it_where_the_umask_lets_them(tmp_path: Path, umask: int, mode: int):
    source = tmp_path / "source"
    source.write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, B.1
    before = os.umask(umask)
    try:
        fetch_file(
            source.as_uri(), sha256=known, target=tmp_path / "file", say=lambda message: None
        )
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == mode


def test_what_is_not_encrypted_is_not_asked_for(tmp_path: Path):
    """Nothing listens at the address: had it been asked for, the message would be another."""
    with pytest.raises(DataError, match=r"9/file is not encrypted; expected https"):
        fetch_file("http://127.0.0.1:9/file", sha256=SHA256, target=tmp_path / "x", say=print)


def test_no_server_and_no_place(tmp_path: Path):
    def fetch(url: str, target: Path) -> None:
        fetch_file(url, sha256=SHA256, target=target, say=lambda message: None)

    with pytest.raises(DataError, match=r"cannot be downloaded: .*place it at"):
        fetch("https://127.0.0.1:9/file", tmp_path / "file.bin")
    (tmp_path / "file").write_text("in the way")
    source = tmp_path / "source"
    source.write_bytes(CONTENT)
    with pytest.raises(DataError, match="cannot be downloaded"):
        fetch(source.as_uri(), tmp_path / "file" / "file.bin")
