"""Downloads from a real server on the loopback: whole, damaged, cut off, resumed, from a second mirror, not at all."""

import gzip
import hashlib
import struct
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minidl.data import KMNIST, FashionMNIST
from minidl.data.download import data_folder, fetch
from minidl.data.mnist import IdxFile

CONTENT = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves the server's `files`; `cut` of them break off after so many bytes, once each."""

    def do_GET(self) -> None:
        name = self.path.strip("/")
        self.server.asked.append((name, self.headers.get("Range")))
        if name not in self.server.files:
            return self.send_error(404)
        content, start = self.server.files[name], 0
        if (wanted := self.headers.get("Range")) and self.server.resumes:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                return self.send_error(416)
            self.send_response(206)
        else:
            self.send_response(200)
        body = content[start:]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: self.server.cut.pop(name, len(body))])

    def log_message(self, *arguments: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {"a.bin": CONTENT}
        self.cut: dict[str, int] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.resumes = True

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=partial(running.serve_forever, poll_interval=0.01))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_a_file_arrives_whole(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.bin"
    fetch(path, [server.address + "a.bin"], SHA256)
    assert path.read_bytes() == CONTENT and list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("resumes", [True, False])
def test_a_cut_connection_is_gone_on_with(server: Server, tmp_path: Path, resumes: bool) -> None:
    server.cut["a.bin"], server.resumes = 100_000, resumes
    fetch(tmp_path / "a.bin", [server.address + "a.bin"], SHA256)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert server.asked == [("a.bin", None), ("a.bin", "bytes=100000-")]


def test_a_later_call_goes_on_where_the_first_stopped(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.bin.part").write_bytes(CONTENT[:250_000])
    fetch(tmp_path / "a.bin", [server.address + "a.bin"], SHA256)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT and server.asked == [("a.bin", "bytes=250000-")]


def test_a_part_that_is_whole_already_is_only_verified(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.bin.part").write_bytes(CONTENT)
    fetch(tmp_path / "a.bin", [server.address + "a.bin"], SHA256)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_second_mirror_helps_out(server: Server, tmp_path: Path) -> None:
    server.files["damaged.bin"] = CONTENT[:-1] + b"?"
    fetch(tmp_path / "a.bin", [server.address + name for name in ("missing.bin", "damaged.bin", "a.bin")], SHA256)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert [name for name, _ in server.asked] == ["missing.bin", "damaged.bin", "a.bin"]


def test_a_damaged_file_never_takes_its_place(server: Server, tmp_path: Path) -> None:
    server.files["a.bin"] = CONTENT[:-1] + b"?"
    with pytest.raises(RuntimeError, match=r"(?s)a\.bin could not be downloaded.*damaged, SHA-256.*MINIDL_DATA"):
        fetch(tmp_path / "a.bin", [server.address + "a.bin"], SHA256)
    assert list(tmp_path.iterdir()) == []


def test_without_a_network_the_error_says_what_to_do(server: Server, tmp_path: Path) -> None:
    address = server.address
    server.server_close()  # nobody listens any more
    with pytest.raises(RuntimeError, match=r"(?s)Connection refused.*copy the file to .*MINIDL_DATA"):
        fetch(tmp_path / "a.bin", [address + "a.bin"], SHA256)


# -- the datasets ---------------------------------------------------------------------------------------------------


def idx(array: np.ndarray) -> bytes:
    return gzip.compress(struct.pack(f">{array.ndim + 1}I", 0x0800 | array.ndim, *array.shape) + array.tobytes())


@pytest.mark.parametrize("dataset", [FashionMNIST, KMNIST])
def test_a_dataset_is_downloaded_once_and_read(dataset: Any, server: Server, tmp_path: Path,
                                               monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    images = np.random.default_rng(1).integers(0, 256, (5, 28, 28), np.uint8)
    labels = np.arange(5, dtype=np.uint8)
    packed = {"images.gz": idx(images), "labels.gz": idx(labels)}
    server.files |= packed
    files = tuple(
        IdxFile(name, array.shape, hashlib.sha256(packed[name]).hexdigest(), packed=True)
        for name, array in (("images.gz", images), ("labels.gz", labels))
    )
    monkeypatch.setattr(dataset, "files", {True: files})
    monkeypatch.setattr(dataset, "mirrors", (server.address,))
    monkeypatch.setenv("MINIDL_DATA", str(tmp_path))
    for _ in range(2):
        read = dataset()
        assert (read.images == images).all() and read.labels.tolist() == [0, 1, 2, 3, 4]
    assert len(server.asked) == 2 and len(read.classes) == 10
    (tmp_path / dataset.__name__ / "labels.gz").write_bytes(packed["labels.gz"][:-9])
    with pytest.raises(RuntimeError, match=r"labels\.gz is damaged.*Delete it"):
        dataset()


def test_where_data_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINIDL_DATA", "here")
    assert data_folder() == Path("here")
    monkeypatch.delenv("MINIDL_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", "there")
    assert data_folder() == Path("there/minidl")
