"""Two gloo processes, of which one is stopped or waits for ever: who ends, and who is named."""

import os
import signal
import socket
import time

import pytest
from command_line import SERVER

from auricle.lobes.brains.standstill import Counts, missing


def rank(number, port, still, how, log):
    """Train in steps of nothing; after 30 of them one rank does no more."""
    import torch

    from auricle.lobes.brains import standstill

    os.environ |= {"RANK": str(number), "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.distributed.init_process_group("gloo")

    def end(text):
        with open(f"{log}{number}", "w") as file:
            file.write(text)
        os._exit(75)

    standstill.Watch(1.0, end)
    for step in range(10**6):
        if step == 30 and number == still:
            if how == "waits":
                time.sleep(60)
            os.kill(os.getpid(), signal.SIGSTOP)
        standstill.advance()
        try:
            torch.distributed.all_reduce(torch.zeros(1))
        except RuntimeError:  # the other has ended a moment before: the watch still has its say
            time.sleep(60)
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("still", "how", "named"),
    [
        (1, "stopped", "rank 1, process {}"),
        (0, "stopped", "rank 0, process {} on {} (its store at 127.0.0.1:"),
        (1, "waits", "rank 1, process {}"),
    ],
)
def test_every_rank_ends_and_names_the_one_that_stands_still(tmp_path, still, how, named):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    arguments = (port, still, how, f"{tmp_path}/rank")
    ranks = [SERVER.Process(target=rank, args=(number, *arguments)) for number in (0, 1)]
    for process in ranks:
        process.start()
    ends = [process for number, process in enumerate(ranks) if how == "waits" or number != still]
    for process in ends:
        process.join(30)
    statuses = [process.exitcode for process in ends]
    for process in ranks:
        process.kill()
        process.join()
    assert statuses == [75] * len(ends)
    said = (tmp_path / f"rank{1 - still}").read_text()
    assert named.format(ranks[still].pid, socket.gethostname()) in said and "for 1 s" in said


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([(5, True, 0, 0), (5, True, 0, 0)], []),
        ([(5, True, 9, 0), (5, True, 0, 0)], [0]),
        ([(6, True, 0, 9), (5, True, 0, 9)], [1]),
        ([(6, True, 0, 9), (5, True, 0, 2)], []),  # it advances
        ([(6, True, 0, 9), (5, False, 0, 9)], []),  # it validates
        ([(5, True, 0, 9), (5, True, 0, 9)], []),  # a long step, such as the first when compiled
    ],
)
def test_who_is_missing(counts, expected):
    """Progress, whether it trains, and the seconds since a beat and since progress."""
    ranks = {
        number: Counts(7, progress, trains, 100 - beat_s, 100 - progress_s)
        for number, (progress, trains, beat_s, progress_s) in enumerate(counts)
    }
    assert missing(ranks, now_s=100, limit_s=5) == expected
