"""A real PostgreSQL server for the tests, where its programs are installed."""

import glob
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

ACCOUNT = "postgres"  # the server refuses to run as root


def find_program(name):
    """Return the path of a program of the newest PostgreSQL here; None if there is none."""
    folders = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda folder: float(folder.split("/")[4]))
    found = [os.path.join(folder, name) for folder in reversed(folders)] + [shutil.which(name)]
    return next((path for path in found if path and os.access(path, os.X_OK)), None)


class Postgres:
    """A server with an empty database, in a temporary folder, on a port of this machine.

    Attributes:
        address: The part of a URL after ``postgresql+driver://``.
    """

    def __init__(self):
        self._account = ["runuser", "-u", ACCOUNT, "--"] if sys.platform == "linux" and os.geteuid() == 0 else []
        self._folder = tempfile.mkdtemp(prefix="luup-postgres-")
        os.chmod(self._folder, 0o777)
        data = os.path.join(self._folder, "data")
        self._run(find_program("initdb"), "--username", ACCOUNT, "--auth", "trust", "--no-sync", "--pgdata", data)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        options = ["-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", self._folder, "-c", "fsync=off"]
        self._server = subprocess.Popen(
            [*self._account, find_program("postgres"), *options],
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.address = f"{ACCOUNT}@127.0.0.1:{port}/postgres"
        ready = [find_program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
        deadline = time.monotonic() + 120
        while subprocess.run(ready, check=False).returncode:
            assert self._server.poll() is None, "the server has ended"
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.1)

    def _run(self, *command):
        subprocess.run([*self._account, *command], cwd=self._folder, check=True, stdout=subprocess.DEVNULL)

    def stop(self):
        """End the server and delete its folder."""
        self._server.terminate()
        self._server.wait(60)
        shutil.rmtree(self._folder, ignore_errors=True)
