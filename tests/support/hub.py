"""A Hugging Face Hub on loopback."""

from __future__ import annotations

import hashlib
import json

import loopback

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def git_digest(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Hub:
    """What the Hub answers about one repository."""

    def __init__(self, server: loopback.Loopback, repository: str) -> None:
        self.server = server
        self.repository = repository

    def publish(self, files: dict[str, bytes], commit: str = COMMIT, **lies: str) -> None:
        """Publish files; lies: digests that the Hub states instead of the true ones, by the name's first part."""
        siblings = []
        for name, content in files.items():
            path = f"/{self.repository}/resolve/{commit}/{name}"
            sha256 = lies.get(name.split(".")[0]) or hashlib.sha256(content).hexdigest()
            large = not name.endswith(".json")
            tag = sha256 if large else git_digest(content)
            sibling = {"rfilename": name, "size": len(content), "blobId": git_digest(content)}
            if large:
                sibling["lfs"] = {"sha256": sha256, "size": len(content), "pointerSize": 134}
            siblings.append(sibling)
            self.server.files[path] = content
            self.server.headers[path] = {
                "X-Repo-Commit": commit,
                "ETag": f'"{tag}"',
                "X-Linked-Size": str(len(content)),
            }
        about = json.dumps({"id": self.repository, "sha": commit, "siblings": siblings, "tags": []}).encode()
        for path in (self.repository, f"{self.repository}/revision/{commit}", f"{self.repository}/revision/main"):
            self.server.files[f"/api/models/{path}"] = about
            self.server.headers[f"/api/models/{path}"] = {"Content-Type": "application/json"}

    def asked_for(self, name: str) -> int:
        return sum(path.endswith(name) for path, _ in self.server.asked)
