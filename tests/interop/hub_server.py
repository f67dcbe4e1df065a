"""A stand-in of the Hugging Face hub on this machine: the addresses that its own client asks for, and no others."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

Tree = dict[str, bytes]


@dataclass
class Hub:
    """Repositories by name, each with its commits, oldest first, and branches and tags that name them."""

    commits: dict[str, dict[str, Tree]] = field(default_factory=dict)
    names: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    server: ThreadingHTTPServer | None = None

    def commit(self, repository: str, tree: Tree, *, branch: str = "main") -> str:
        """Add a commit to a branch and tell its hash."""
        known = self.commits.setdefault(repository, {})
        digest = hashlib.sha1(repr((repository, len(known), sorted(tree))).encode()).hexdigest()
        known[digest] = tree
        self.names.setdefault(repository, {})[branch] = digest
        return digest

    def find(self, repository: str, revision: str) -> tuple[str, Tree] | None:
        digest = self.names.get(repository, {}).get(revision, revision)
        tree = self.commits.get(repository, {}).get(digest)
        return None if tree is None else (digest, tree)

    @property
    def url(self) -> str:
        assert self.server is not None
        return f"http://127.0.0.1:{self.server.server_port}"

    def start(self) -> None:
        hub = self

        class Handler(_Handler):
            def __init__(self, *arguments: object) -> None:
                self.hub = hub
                super().__init__(*arguments)  # type: ignore[arg-type]

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._get()

    def do_GET(self) -> None:
        self._get()

    def _get(self) -> None:
        parts = [unquote(part) for part in urlsplit(self.path).path.split("/")[1:]]
        self.hub.asked.append(f"{self.command} {self.path}")
        if parts[:2] == ["api", "models"]:
            repository, revision = "/".join(parts[2:4]), parts[5] if len(parts) > 5 else "main"
            self._find(repository, revision, lambda digest, tree: self._info(repository, digest, tree, parts))
        elif len(parts) > 4 and parts[2] == "resolve":
            self._find(
                "/".join(parts[:2]), parts[3], lambda digest, tree: self._file(digest, tree, "/".join(parts[4:]))
            )
        else:
            self._answer(404, b"{}", {})

    def _find(self, repository, revision, then) -> None:
        if repository not in self.hub.commits:
            self._answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif repository.startswith("gated/"):
            self._answer(403, b"{}", {"X-Error-Code": "GatedRepo"})
        elif (found := self.hub.find(repository, revision)) is None:
            self._answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        else:
            then(*found)

    def _info(self, repository: str, digest: str, tree: Tree, parts: list[str]) -> None:
        if parts[4:5] == ["tree"]:
            entries = [
                {"type": "file", "path": name, "size": len(data), "oid": _oid(data)} for name, data in tree.items()
            ]
            self._json(entries)
            return
        files = [{"rfilename": name} for name in tree]
        self._json(
            {"id": repository, "modelId": repository, "sha": digest, "siblings": files, "tags": [], "private": False}
        )

    def _file(self, digest: str, tree: Tree, name: str) -> None:
        if name not in tree:
            self._answer(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": digest})
        else:
            self._answer(200, tree[name], {"X-Repo-Commit": digest, "ETag": f'"{_oid(tree[name])}"'})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.hub.asked.append(f"{self.command} {self.path}")
        parts = urlsplit(self.path).path.split("/")[1:]
        if parts == ["api", "repos", "create"]:
            given = json.loads(body)
            repository = f"{given.get('organization') or 'me'}/{given['name']}"
            if repository not in self.hub.commits:
                self.hub.commit(repository, {".gitattributes": b""})
            self._json({"url": f"{self.hub.url}/{repository}", "id": repository})
        elif parts[4:5] == ["preupload"]:
            files = json.loads(body)["files"]
            answers = [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False} for file in files]
            self._json({"files": answers})
        elif parts[4:5] == ["commit"]:
            repository, branch = "/".join(parts[2:4]), unquote(parts[5])
            lines = [json.loads(line) for line in body.splitlines() if line.strip()]
            found = self.hub.find(repository, branch)
            tree = dict(found[1] if found else {})
            for line in lines:
                if line["key"] == "file":
                    tree[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            digest = self.hub.commit(repository, tree, branch=branch)
            self._json(
                {"commitUrl": f"{self.hub.url}/{repository}/commit/{digest}", "commitOid": digest, "success": True}
            )
        else:
            self._json({})

    def _json(self, answer: object) -> None:
        self._answer(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Keep the tests' output clean."""


def _oid(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()
