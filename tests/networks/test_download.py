from __future__ import annotations

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import torch

from inverso._networks import download
from inverso._networks.download import cache_folder, fetch
from inverso.errors import InversoError


@pytest.fixture
def source(tmp_path) -> Path:
    path = tmp_path / "upstream" / "weights-of v1.pth"
    path.parent.mkdir()
    torch.save({"a": torch.arange(3000.0)}, path)
    return path


@pytest.fixture
def cache(tmp_path) -> Path:
    return tmp_path / "cache" / "checkpoints"


@pytest.fixture
def serve():
    """Answer every request with the given body, announcing the given length."""
    servers = []

    def start(body: bytes, *, length: int | None = None, status: int = 200) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status)
                if length is not None:
                    self.send_header("Content-Length", str(length))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments):
                """Keep the test's output clean."""

        server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/weights.pth"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def get(url: str, cache: Path, digest: str | None = None) -> Path:
    return fetch(url, digest=digest, folder=cache, progress=False)


class TestDownload:
    def test_the_file_arrives_under_its_own_name(self, source, cache):
        path = get(source.as_uri(), cache)
        assert path == cache / "weights-of v1.pth"
        assert path.read_bytes() == source.read_bytes()

    def test_it_is_downloaded_once(self, source, cache):
        first = get(source.as_uri(), cache)
        source.unlink()
        assert get(source.as_uri(), cache) == first

    def test_a_hash_may_be_given_by_its_first_digits(self, source, cache):
        assert get(source.as_uri(), cache, f"sha256:{sha256(source)[:8]}").is_file()

    def test_the_hash_of_git_is_known(self, source, cache):
        data = source.read_bytes()
        blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        assert get(source.as_uri(), cache, f"git-blob-sha1:{blob[:12]}").is_file()

    def test_the_hash_of_git_is_that_of_git(self, tmp_path):
        (tmp_path / "f").write_bytes(b"hello\n")
        assert download._hash(tmp_path / "f", "git-blob-sha1") == "ce013625030ba8dba906f756967f9e9ca394464a"

    def test_a_server_that_tells_no_length_is_accepted(self, source, cache, serve):
        assert get(serve(source.read_bytes()), cache).read_bytes() == source.read_bytes()

    def test_progress_is_shown_on_request(self, source, cache, capsys):
        fetch(source.as_uri(), folder=cache, progress=True)
        assert "weights-of v1.pth: 100%" in capsys.readouterr().err

    def test_no_progress_is_shown_otherwise(self, source, cache, capsys):
        fetch(source.as_uri(), folder=cache, progress=False)
        assert capsys.readouterr().err == ""

    def test_the_cache_is_that_of_torch_hub(self, tmp_path, monkeypatch):
        monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
        assert cache_folder() == tmp_path / "home" / "hub" / "checkpoints"


class TestRecordedHash:
    def test_where_none_is_published_the_first_one_seen_is_kept(self, source, cache):
        path = get(source.as_uri(), cache)
        assert (cache / "weights-of v1.pth.sha256").read_text() == f"sha256:{sha256(path)}\n"

    def test_a_file_that_changes_later_is_refused(self, source, cache):
        path = get(source.as_uri(), cache)
        path.write_bytes(path.read_bytes() + b"x")
        with pytest.raises(InversoError, match=r"is not the file expected, its hash does not start with sha256:"):
            get(source.as_uri(), cache)
        assert path.is_file()

    def test_a_file_put_there_by_hand_is_recorded_too(self, source, cache):
        cache.mkdir(parents=True)
        (cache / source.name).write_bytes(source.read_bytes())
        get("https://example.org/weights-of%20v1.pth", cache)
        assert (cache / f"{source.name}.sha256").read_text() == f"sha256:{sha256(source)}\n"

    def test_a_published_hash_needs_no_record(self, source, cache):
        get(source.as_uri(), cache, f"sha256:{sha256(source)}")
        assert [path.name for path in cache.iterdir()] == [source.name]


class TestFailuresLeaveNothingBehind:
    def fail(self, url, cache, message, digest=None):
        with pytest.raises(InversoError, match=message):
            get(url, cache, digest)
        assert not list(cache.iterdir())

    def test_a_wrong_hash(self, source, cache):
        self.fail(source.as_uri(), cache, "does not start with sha256:00000000; it was deleted", "sha256:00000000")

    def test_a_file_cut_short_with_a_known_hash(self, source, cache):
        digest = f"sha256:{sha256(source)[:8]}"
        source.write_bytes(source.read_bytes()[:5000])
        self.fail(source.as_uri(), cache, f"does not start with {digest}", digest)

    def test_a_connection_that_breaks(self, source, cache, serve):
        url = serve(source.read_bytes()[:5000], length=source.stat().st_size)
        self.fail(url, cache, f"the connection ended after 5000 of {source.stat().st_size} bytes")

    def test_a_page_in_place_of_the_file(self, cache, serve):
        self.fail(serve(b"<html>Sign in to the network</html>"), cache, "is not a checkpoint: .*it is a web page")

    def test_an_address_that_has_gone(self, cache, serve):
        self.fail(serve(b"gone", status=404), cache, "could not download .*: Not Found")

    def test_no_network(self, source, cache):
        source.unlink()
        message = rf"could not download file://.*: .* fetch it elsewhere and put it at {cache}"
        self.fail(source.as_uri(), cache, message)

    def test_an_interruption(self, source, cache, monkeypatch):
        def interrupt(*arguments, **options):
            raise KeyboardInterrupt

        monkeypatch.setattr(download, "_transfer", interrupt)
        with pytest.raises(KeyboardInterrupt):
            get(source.as_uri(), cache)
        assert not list(cache.iterdir())


def test_a_wrong_file_in_the_cache_is_refused_and_kept(source, cache):
    cache.mkdir(parents=True)
    (cache / source.name).write_bytes(b"\x80mine")
    with pytest.raises(InversoError, match="delete it to download it again"):
        get(source.as_uri(), cache, f"sha256:{sha256(source)}")
    assert (cache / source.name).read_bytes() == b"\x80mine"


@pytest.mark.parametrize("url", ["ftp://example.org/w.pth", "w.pth", "https://example.org/", ""])
def test_other_addresses_are_refused(cache, url):
    with pytest.raises(ValueError, match="url must be an https, http or file address of a file, got"):
        get(url, cache)


@pytest.mark.parametrize("digest", ["6196db68", "md5:00000000", "sha256:12345", "sha256:zzzzzzzz", "sha256:"])
def test_malformed_digests_are_refused_before_anything_is_fetched(source, cache, digest):
    with pytest.raises(
        ValueError, match="digest must be 'sha256:' or 'git-blob-sha1:' and 7 or more hexadecimal digits"
    ):
        get(source.as_uri(), cache, digest)
    assert not cache.exists()
