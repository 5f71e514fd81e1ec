"""A script that runs as two processes which find each other."""

import socket
import sys
from unittest import mock

from command_line import ONE_THREAD, SERVER


def run_two_ranks(script, *words):
    """Run a script with the words RANK PORT *words, for ranks 0 and 1; both must end well."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with mock.patch.dict("os.environ", ONE_THREAD):
        ranks = [SERVER.Process(target=_run, args=(script, r, port, *words)) for r in range(2)]
        for rank in ranks:
            rank.start()
    for rank in ranks:
        rank.join(120)
        rank.kill()
    assert [rank.exitcode for rank in ranks] == [0, 0]


def _run(script, *words):
    sys.argv = ["-c", *map(str, words)]
    exec(script, {"__name__": "__main__"})
