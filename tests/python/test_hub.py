"""The way from a hub to the disk, with a small hub on this machine."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tanya import models

MODEL = "naufalihsan/indonesian-sbert-large"
REVISION = "89abcdef" * 5


@dataclass
class Hub:
    """What is on the hub, and what was asked of it."""

    files: dict[str, bytes]
    address: str = ""
    agents: list[str] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)

    def answer(self, path: str) -> tuple[int, bytes, dict[str, str]]:
        path = path.partition("?")[0]
        facts = {
            "id": MODEL,
            "sha": REVISION,
            "siblings": [{"rfilename": name} for name in self.files],
        }
        if path in (f"/api/models/{MODEL}", f"/api/models/{MODEL}/revision/main"):
            return 200, json.dumps(facts).encode(), {}
        if path.startswith(f"/api/models/{MODEL}/tree/"):
            tree = [
                {"type": "file", "path": name, "size": len(data), "oid": _etag(data)}
                for name, data in self.files.items()
            ]
            return 200, json.dumps(tree).encode(), {}
        for revision in ("main", REVISION):
            name = path.removeprefix(f"/{MODEL}/resolve/{revision}/")
            if name in self.files:
                headers = {"ETag": f'"{_etag(self.files[name])}"', "X-Repo-Commit": REVISION}
                return 200, self.files[name], headers
        missing = "EntryNotFound" if path.startswith(f"/{MODEL}/resolve/") else "RepoNotFound"
        return 404, b"{}", {"X-Error-Code": missing, "X-Repo-Commit": REVISION}


def _etag(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()


@pytest.fixture
def small_hub(tiny_embedder: Path) -> Iterator[Hub]:
    files = {
        path.relative_to(tiny_embedder).as_posix(): path.read_bytes()
        for path in sorted(tiny_embedder.rglob("*"))
        if path.is_file()
    }
    served = Hub({**files, "pytorch_model.bin": b"pickle", "onnx/model.onnx": b"onnx"})

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            served.fetched.append(self.path)
            self._answer(with_body=True)

        def _answer(self, *, with_body: bool) -> None:
            served.agents.append(self.headers.get("User-Agent", ""))
            status, body, headers = served.answer(self.path)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if with_body:
                self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


def tanya(small_hub: Hub, home: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a fresh process: the hub's library reads its address when imported."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TANYA_"))
    }
    environment |= {
        "HF_HOME": str(home),
        "HF_ENDPOINT": small_hub.address,
        "TANYA_CACHE": str(home / "tanya"),
        "NO_PROXY": "127.0.0.1",
        "PYTHONPATH": str(Path(models.__file__).parents[1]),
    }
    return subprocess.run(
        [sys.executable, "-c", f"from tanya import models\n{script}"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_model_is_fetched_once_and_then_found(small_hub: Hub, tmp_path: Path) -> None:
    script = (
        f"found = models.resolve({MODEL!r}, 'embedder')\n"
        "print(found.source, models.load_embedder(found.spec.id).encode(['cuti']).shape)\n"
    )
    first = tanya(small_hub, tmp_path, script)
    assert first.stdout == "hub (1, 32)\n", first.stderr
    assert not any("pytorch_model.bin" in path or "onnx" in path for path in small_hub.fetched)
    asked = len(small_hub.agents)
    second = tanya(small_hub, tmp_path, script)
    assert second.stdout == "hub cache (1, 32)\n", second.stderr
    assert len(small_hub.agents) == asked


def test_a_plain_transformer_is_found_again_offline(small_hub: Hub, tmp_path: Path) -> None:
    del small_hub.files["modules.json"]
    script = f"print(models.resolve({MODEL!r}, 'embedder').source)"
    assert tanya(small_hub, tmp_path, script).stdout == "hub\n"
    again = tanya(small_hub, tmp_path, f"models.set_offline(True)\n{script}")
    assert again.stdout == "hub cache\n", again.stderr


def test_a_partial_cache_is_completed(small_hub: Hub, tmp_path: Path) -> None:
    script = f"print(models.resolve({MODEL!r}, 'embedder').directory)"
    directory = Path(tanya(small_hub, tmp_path, script).stdout.strip())
    (directory / "model.safetensors").unlink()
    again = tanya(small_hub, tmp_path, script)
    assert Path(again.stdout.strip()) == directory
    assert (directory / "model.safetensors").is_file()


def test_a_model_with_pickles_only_is_refused_before_any_download(
    small_hub: Hub, tmp_path: Path
) -> None:
    del small_hub.files["model.safetensors"]
    run = tanya(small_hub, tmp_path, f"models.resolve({MODEL!r}, 'embedder')")
    assert "ModelInvalid" in run.stderr
    assert "no safetensors weights on the hub" in run.stderr
    assert not any("/resolve/" in path for path in small_hub.fetched)


def test_an_unknown_model_is_unavailable(small_hub: Hub, tmp_path: Path) -> None:
    run = tanya(small_hub, tmp_path, "models.resolve('nobody/nothing', 'reader')")
    assert "ModelUnavailable" in run.stderr
    assert "hub: the hub has no such model" in run.stderr
