"""A page in a headless Chromium, and the server on this machine that it speaks with."""

from __future__ import annotations

import queue
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-quic", "--disable-extensions",
)  # fmt: skip


def find_chromium() -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((found for name in names if (found := shutil.which(name))), None)


class _Handler(SimpleHTTPRequestHandler):
    """Serves a folder, and keeps what is posted."""

    def __init__(self, *args, posted: queue.Queue, **kwargs) -> None:
        self.posted = posted
        super().__init__(*args, **kwargs)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()
        self.posted.put((self.path, body))

    def log_message(self, *_args) -> None:
        pass


@contextmanager
def opened_page(folder: Path, page: str, profile: Path) -> Iterator[queue.Queue]:
    """Open a page of a folder, and give the queue of what it posts: (path, body)."""
    posted: queue.Queue = queue.Queue()
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(_Handler, directory=str(folder), posted=posted)
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_address[1]}/{page}"
    log = profile / "chromium.log"
    profile.mkdir(parents=True, exist_ok=True)
    chromium = find_chromium()
    assert chromium is not None
    with log.open("wb") as stream:
        browser = subprocess.Popen(
            [chromium, *FLAGS, f"--user-data-dir={profile / 'data'}", "--enable-logging=stderr",
             address],
            stdin=subprocess.DEVNULL, stdout=stream, stderr=stream,
        )  # fmt: skip
        try:
            yield posted
        finally:
            browser.terminate()
            browser.wait(timeout=30)
            server.shutdown()
            server.server_close()
            thread.join()
