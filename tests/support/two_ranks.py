"""A script that runs as two processes which find each other."""

import socket
import subprocess
import sys


def run_two_ranks(script, *words):
    """Run `python -c script RANK PORT words` for ranks 0 and 1; both must end well."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    command = [sys.executable, "-c", script]
    ranks = [subprocess.Popen([*command, str(r), port, *map(str, words)]) for r in range(2)]
    try:
        assert [rank.wait(timeout=120) for rank in ranks] == [0, 0]
    finally:
        for rank in ranks:
            rank.kill()
            rank.wait()
