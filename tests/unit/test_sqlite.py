"""The embedded engine commits in groups, one process at a time, and what it acknowledges everybody sees."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

import tidegate
from tidegate import errors
from tidegate.catalog import sqlite
from tidegate.catalog.abc import Reader, Transaction
from tidegate.catalog.generation import Generation
from tidegate.catalog.sqlite import SQLite, connect
from tidegate.catalog.turnstile import Turnstile

T = TypeVar("T")

READ = "SELECT value FROM counters WHERE name = ?"


def put(name: str, value: int) -> Callable[[Transaction], int]:
    """A transaction that stores a number in a table of numbers that happens to be there."""

    def function(tx: Transaction) -> int:
        tx.execute("INSERT OR REPLACE INTO counters VALUES (?, ?)", (name, value))
        return value

    return function


def add(name: str, amount: int) -> Callable[[Transaction], int]:
    """A transaction that reads a number and stores a larger one."""

    def function(tx: Transaction) -> int:
        row = tx.one(READ, (name,))
        value = (row[0] if row else 0) + amount
        tx.execute("INSERT OR REPLACE INTO counters VALUES (?, ?)", (name, value))
        return value

    return function


def get(name: str) -> Callable[[Reader], int | None]:
    """Reads such a number."""

    def function(tx: Reader) -> int | None:
        row = tx.one(READ, (name,))
        return None if row is None else row[0]

    return function


def run(folder: Path, story: Callable[[SQLite], Coroutine[Any, Any, T]]) -> T:
    """Opens a catalog, has a story told with it, and closes it."""

    async def main() -> T:
        catalog = SQLite(folder, durable=False)
        try:
            return await story(catalog)
        finally:
            await catalog.close()

    return asyncio.run(main())


@contextmanager
def writers_wait(folder: Path) -> Iterator[None]:
    """Has every writer wait for its turn, so that what is asked for meanwhile comes into one group."""
    turnstile = Turnstile(folder)
    with turnstile.turn():
        yield
    turnstile.close()


# --- groups ----------------------------------------------------------------------------------------------------------


def together(folder: Path, functions: list[Callable[[Transaction], Any]]) -> tuple[list[Any], list[int]]:
    """Runs transactions in one group, after a first one. Their outcomes, and the sizes of all groups."""
    sizes: list[int] = []

    async def main() -> list[Any]:
        catalog = SQLite(folder, durable=False, on_group=sizes.append)
        with writers_wait(folder):
            first = asyncio.ensure_future(catalog.write(put("first", 1)))
            await asyncio.to_thread(_wait_for_a_waiter, folder)
            waiting = [asyncio.ensure_future(catalog.write(function)) for function in functions]
            await asyncio.sleep(0)
        await first
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        await catalog.close()
        return outcomes

    return asyncio.run(main()), sizes


def _wait_for_a_waiter(folder: Path) -> None:
    """Returns once somebody waits for a turn that another has."""
    while not _is_gate_held(folder):
        time.sleep(0.001)


def _is_gate_held(folder: Path) -> bool:
    descriptor = os.open(folder / "catalog.gate", os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def test_what_waits_together_is_committed_together(tmp_path: Path) -> None:
    """Transactions that wait for a turn become one group, in the order in which they were asked for."""
    outcomes, sizes = together(tmp_path, [add("n", 1) for _ in range(20)])
    assert outcomes == list(range(1, 21))
    assert sizes == [1, 20]


def fail_after_writing(tx: Transaction) -> None:
    """Refuses, as a failed condition does."""
    tx.execute("INSERT INTO counters VALUES ('lost', 1)")
    tx.sequence()
    tx.count(1, 5, 5)
    raise errors.PreconditionFailed


def fail_in_sql(tx: Transaction) -> None:
    """Breaks a constraint."""
    tx.execute("INSERT INTO counters VALUES ('lost', 1)")
    tx.execute("INSERT INTO counters VALUES ('lost', 2)")


def fail_by_mistake(tx: Transaction) -> None:
    """Has a fault."""
    tx.execute("INSERT INTO counters VALUES ('lost', 1)")
    raise ZeroDivisionError


def test_a_member_that_fails_fails_alone(tmp_path: Path) -> None:
    """Whatever one transaction raises, it hears of it, its writes are undone, and the others are committed."""
    members = [put("a", 1), fail_after_writing, put("b", 2), fail_in_sql, fail_by_mistake, put("c", 3)]
    outcomes, sizes = together(tmp_path, members)
    assert sizes == [1, 6]
    assert [outcomes[index] for index in (0, 2, 5)] == [1, 2, 3]
    assert isinstance(outcomes[1], errors.PreconditionFailed)
    assert isinstance(outcomes[3], Exception)
    assert isinstance(outcomes[4], ZeroDivisionError)

    async def story(catalog: SQLite) -> list[int | None]:
        return [await catalog.read(get(name)) for name in ("a", "b", "c", "lost")]

    assert run(tmp_path, story) == [1, 2, 3, None]


def test_a_large_crowd_is_divided(tmp_path: Path) -> None:
    """A group is bounded, so that no process waits for a turn longer than a group takes."""
    outcomes, sizes = together(tmp_path, [add("n", 1) for _ in range(sqlite.MAX_GROUP + 10)])
    assert outcomes[-1] == sqlite.MAX_GROUP + 10
    assert sizes == [1, sqlite.MAX_GROUP, 10]


def test_numbers_are_never_given_out_again(tmp_path: Path) -> None:
    """A drawn number is larger than all before: across members, failed ones, groups and restarts."""
    drawn: list[int] = []

    def draw(tx: Transaction) -> None:
        drawn.append(tx.sequence())
        drawn.append(tx.sequence())

    def draw_and_fail(tx: Transaction) -> None:
        draw(tx)
        raise errors.PreconditionFailed

    for _ in range(2):
        together(tmp_path, [draw, draw_and_fail, draw])
    assert len(drawn) == 12
    assert drawn == sorted(set(drawn))


def test_counters_of_logs_add_up(tmp_path: Path) -> None:
    """What members count is added to the log, without what failed members counted."""

    def make(tx: Transaction) -> None:
        tx.execute("INSERT INTO logs (id) VALUES (1)")

    def count(tx: Transaction) -> None:
        tx.count(1, 1, 10)
        tx.count(1, 1, 5)
        tx.count(1, -1, -3)

    together(tmp_path, [make, count, fail_after_writing, count])
    together(tmp_path, [count])

    async def story(catalog: SQLite) -> Any:
        return await catalog.read(lambda tx: tx.one("SELECT objects, bytes FROM logs WHERE id = 1"))

    assert run(tmp_path, story) == (3, 36)


def test_a_caller_that_went_away_does_not_disturb_the_others(tmp_path: Path) -> None:
    """A cancelled write may be committed all the same; its neighbours are answered, and so are those after it."""

    async def story(catalog: SQLite) -> int | None:
        with writers_wait(tmp_path):
            writes = [asyncio.ensure_future(catalog.write(add("n", 1))) for _ in range(5)]
            await asyncio.sleep(0)
            writes[0].cancel()
            writes[2].cancel()
        outcomes = await asyncio.gather(*writes, return_exceptions=True)
        assert [isinstance(outcome, asyncio.CancelledError) for outcome in outcomes] == [
            True,
            False,
            True,
            False,
            False,
        ]
        await catalog.write(add("n", 1))
        return await catalog.read(get("n"))

    assert run(tmp_path, story) == 6


def test_closing_finishes_what_was_asked_for(tmp_path: Path) -> None:
    """Writes that wait when the catalog is closed are done and answered before it is."""

    async def main() -> list[int]:
        catalog = SQLite(tmp_path, durable=False)
        with writers_wait(tmp_path):
            writes = [asyncio.ensure_future(catalog.write(add("n", 1))) for _ in range(5)]
            await asyncio.sleep(0)
            closing = asyncio.ensure_future(catalog.close())
            await asyncio.sleep(0)
        await closing
        return await asyncio.gather(*writes)

    assert asyncio.run(main()) == [1, 2, 3, 4, 5]


# --- a disk that does not do as it is told ---------------------------------------------------------------------------


def fill(tx: Transaction) -> None:
    """Needs more room than a full disk has."""
    tx.execute("INSERT INTO small_blobs (data) VALUES (zeroblob(1000000))")


def test_a_full_disk_is_said_to_be_full(tmp_path: Path) -> None:
    """A write that has no room is InsufficientStorage, what was there stays, and with room again all goes on."""

    async def story(catalog: SQLite) -> None:
        await catalog.write(put("before", 1))
        pages = catalog._writer.pragma("page_count")
        catalog._writer.pragma("max_page_count", pages + 2)
        for _ in range(2):
            with pytest.raises(errors.InsufficientStorage):
                await catalog.write(fill)
        assert await catalog.read(get("before")) == 1
        catalog._writer.pragma("max_page_count", pages + 10_000)
        await catalog.write(fill)

    run(tmp_path, story)


def test_a_full_disk_fails_nobody_else(tmp_path: Path) -> None:
    """In a group where one member has no room, no other is told that it was committed unless it was."""

    async def story(catalog: SQLite) -> None:
        await catalog.write(put("before", 1))
        catalog._writer.pragma("max_page_count", catalog._writer.pragma("page_count") + 2)
        with writers_wait(tmp_path):
            writes = [asyncio.ensure_future(catalog.write(one)) for one in (put("a", 1), fill, put("b", 2))]
            await asyncio.sleep(0)
        outcomes = await asyncio.gather(*writes, return_exceptions=True)
        assert isinstance(outcomes[1], errors.InsufficientStorage)
        for name, outcome in (("a", outcomes[0]), ("b", outcomes[2])):
            assert (await catalog.read(get(name)) is not None) is not isinstance(outcome, Exception)

    run(tmp_path, story)


def test_a_disk_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    """A read-only disk is a fault of the server's that will pass: 503, and reading goes on."""

    async def story(catalog: SQLite) -> None:
        await catalog.write(put("before", 1))
        catalog._writer.pragma("query_only", 1)
        with pytest.raises(errors.ServiceUnavailable):
            await catalog.write(put("n", 1))
        assert await catalog.read(get("before")) == 1
        catalog._writer.pragma("query_only", 0)
        await catalog.write(put("n", 1))

    run(tmp_path, story)


# --- reading ---------------------------------------------------------------------------------------------------------


def test_a_read_sees_every_acknowledged_write(tmp_path: Path) -> None:
    """As soon as a write is acknowledged, the same catalog and any other that is open on the folder see it."""

    async def main() -> None:
        ours, other = SQLite(tmp_path, durable=False), SQLite(tmp_path, durable=False)
        for number in range(50):
            await ours.write(put("n", number))
            assert await ours.read(get("n")) == number
            assert await other.read(get("n")) == number
            await other.write(put("m", number))
            assert await ours.read(get("m")) == number
        await ours.close()
        await other.close()

    asyncio.run(main())


def test_a_read_has_one_view(tmp_path: Path) -> None:
    """What is committed while a function reads, it does not see until it reads again."""

    async def story(catalog: SQLite) -> None:
        await catalog.write(put("n", 1))
        other = connect(tmp_path / sqlite.CATALOG_FILE)

        def twice(tx: Reader) -> tuple[int | None, int | None]:
            first = get("n")(tx)
            other.execute("UPDATE counters SET value = 2 WHERE name = 'n'")
            return first, get("n")(tx)

        assert await catalog.read(twice) == (1, 1)
        assert await catalog.read(get("n")) == 2
        other.close()

    run(tmp_path, story)


def test_a_read_that_fails_or_stops_early_leaves_no_old_view(tmp_path: Path) -> None:
    """An error in the function, or rows that nobody fetched, do not keep the next read in the past."""

    async def story(catalog: SQLite) -> None:
        await catalog.write(put("n", 1))

        def fail(tx: Reader) -> None:
            next(tx.rows("SELECT name FROM counters UNION ALL SELECT name FROM counters"))
            raise errors.NoSuchKey

        for number in range(2, 5):
            with pytest.raises(errors.NoSuchKey):
                await catalog.read(fail)
            await catalog.write(put("n", number))
            assert await catalog.read(get("n")) == number

    run(tmp_path, story)


# --- what is remembered ----------------------------------------------------------------------------------------------


def change(name: str, value: int) -> Callable[[Transaction], None]:
    """A transaction that changes a name."""

    def function(tx: Transaction) -> None:
        tx.touch_names()
        put(name, value)(tx)

    return function


def test_what_is_remembered_is_read_once(tmp_path: Path) -> None:
    """A name is read again only after a transaction that touches names, here or in another process."""

    async def main() -> list[int | None]:
        ours, other = SQLite(tmp_path, durable=False), SQLite(tmp_path, durable=False)
        await ours.write(change("n", 1))
        seen = [await ours.recall("n", get("n"))]
        await ours.write(put("n", 2))  # does not say so
        seen.append(await ours.recall("n", get("n")))
        await ours.write(change("m", 0))
        seen.append(await ours.recall("n", get("n")))
        await other.write(change("n", 3))
        seen.append(await ours.recall("n", get("n")))
        await ours.close()
        await other.close()
        return seen

    assert asyncio.run(main()) == [1, 1, 2, 3]


def test_a_failure_is_not_remembered(tmp_path: Path) -> None:
    """What is not there now may be there the next time."""

    async def story(catalog: SQLite) -> None:
        def missing(tx: Reader) -> int:
            value = get("n")(tx)
            if value is None:
                raise errors.NoSuchBucket
            return value

        with pytest.raises(errors.NoSuchBucket):
            await catalog.recall("n", missing)
        await catalog.write(put("n", 1))
        assert await catalog.recall("n", missing) == 1

    run(tmp_path, story)


def test_nothing_is_remembered_while_names_change(tmp_path: Path) -> None:
    """Between a writer's beginning and end, and where it died in between, every recall reads."""

    async def story(catalog: SQLite) -> list[int | None]:
        await catalog.write(put("n", 1))
        generation = Generation(tmp_path)
        generation.begin()
        seen = [await catalog.recall("n", get("n"))]
        await catalog.write(put("n", 2))
        seen.append(await catalog.recall("n", get("n")))
        generation.end()
        generation.close()
        seen.append(await catalog.recall("n", get("n")))
        return seen

    assert run(tmp_path, story) == [1, 2, 2]


def test_what_transactions_recall(tmp_path: Path) -> None:
    """Transactions remember a name like readers do; one that changes names sees what it wrote itself."""

    def recall(tx: Transaction) -> int | None:
        return tx.recall("n", get("n"))

    def change_and_recall(tx: Transaction) -> int | None:
        change("n", 4)(tx)
        return recall(tx)

    def change_and_fail(tx: Transaction) -> None:
        change_and_recall(tx)
        raise errors.InvalidRequest

    async def main() -> list[int | None]:
        ours, other = SQLite(tmp_path, durable=False), SQLite(tmp_path, durable=False)
        await ours.write(change("n", 1))
        seen = [await ours.write(recall)]
        await ours.write(put("n", 2))  # does not say so
        seen.append(await ours.write(recall))
        await other.write(change("n", 3))
        seen.append(await ours.write(recall))
        with pytest.raises(errors.InvalidRequest):
            await ours.write(change_and_fail)
        seen.append(await ours.write(recall))
        # One group: who comes after a change sees it.
        seen += await asyncio.gather(ours.write(recall), ours.write(change_and_recall), ours.write(recall))
        seen.append(await ours.write(recall))
        await ours.close()
        await other.close()
        return seen

    assert asyncio.run(main()) == [1, 1, 3, 3, 3, 4, 4, 4]


def test_transactions_remember_nothing_while_names_change(tmp_path: Path) -> None:
    """Where a writer died over a change of names, every transaction reads."""

    async def story(catalog: SQLite) -> list[int | None]:
        await catalog.write(put("n", 1))
        generation = Generation(tmp_path)
        generation.begin()
        seen = [await catalog.write(lambda tx: tx.recall("n", get("n")))]
        await catalog.write(put("n", 2))
        seen.append(await catalog.write(lambda tx: tx.recall("n", get("n"))))
        generation.close()
        return seen

    assert run(tmp_path, story) == [1, 2]


# --- several processes -----------------------------------------------------------------------------------------------


def python(script: str, *arguments: object) -> subprocess.Popen[str]:
    """Another process that can import what is tested."""
    environment = {**os.environ, "PYTHONPATH": str(Path(tidegate.__file__).parent.parent)}
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


TURNS = """
import sys
from pathlib import Path
from tidegate.catalog.turnstile import Turnstile
folder = Path(sys.argv[1])
turnstile = Turnstile(folder)
for _ in range(int(sys.argv[2])):
    with turnstile.turn():
        number = int((folder / "number").read_text())
        (folder / "number").write_text(str(number + 1))
"""


def test_one_process_at_a_time_has_the_turn(tmp_path: Path) -> None:
    """A number in a file, counted up by processes in their turns and guarded by nothing else, loses no count."""
    (tmp_path / "number").write_text("0")
    processes = [python(TURNS, tmp_path, 100) for _ in range(3)]
    assert [(process.communicate(), process.returncode)[1] for process in processes] == [0, 0, 0]
    assert (tmp_path / "number").read_text() == "300"


def test_a_writer_cannot_overtake_one_that_waits(tmp_path: Path) -> None:
    """Whoever has had the turn and asks again comes after whoever was waiting."""
    order = []
    ours, other = Turnstile(tmp_path), Turnstile(tmp_path)

    def wait() -> None:
        with other.turn():
            order.append("other")

    thread = threading.Thread(target=wait)
    with ours.turn():
        order.append("ours")
        thread.start()
        _wait_for_a_waiter(tmp_path)
    with ours.turn():
        order.append("ours again")
    thread.join()
    assert order == ["ours", "other", "ours again"]
    ours.close()
    other.close()


HOLD = """
import sys
from pathlib import Path
from tidegate.catalog.turnstile import Turnstile
with Turnstile(Path(sys.argv[1])).turn():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_killed_process_gives_its_turn_up(tmp_path: Path) -> None:
    """Whatever becomes of the holder, the kernel lets the next one through."""
    process = python(HOLD, tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    turnstile = Turnstile(tmp_path)
    with turnstile.turn():
        pass
    turnstile.close()


WRITE = """
import asyncio, sys
from pathlib import Path
from tidegate.catalog.sqlite import SQLite

def add(tx):
    drawn = tx.sequence()
    value = tx.one("SELECT value FROM counters WHERE name = 'n'")[0]
    tx.execute("UPDATE counters SET value = ? WHERE name = 'n'", (value + 1,))
    return drawn

async def main():
    catalog = SQLite(Path(sys.argv[1]), durable=False)
    for _ in range(20):
        print(*await asyncio.gather(*(catalog.write(add) for _ in range(10))))
    await catalog.close()

asyncio.run(main())
"""


def test_processes_write_to_one_catalog(tmp_path: Path) -> None:
    """No update of any process is lost, no number is given out twice, and all is seen once the writers are done."""

    async def make(catalog: SQLite) -> None:
        await catalog.write(put("n", 0))

    run(tmp_path, make)
    processes = [python(WRITE, tmp_path) for _ in range(3)]
    drawn = [int(number) for process in processes for number in process.communicate()[0].split()]
    assert len(drawn) == len(set(drawn)) == 600

    async def story(catalog: SQLite) -> int | None:
        return await catalog.read(get("n"))

    assert run(tmp_path, story) == 600


ANSWER = """
import asyncio, sys
from pathlib import Path
from tidegate.catalog.sqlite import SQLite

async def main():
    catalog = SQLite(Path(sys.argv[1]), durable=False)
    for line in sys.stdin:
        value = int(line)
        seen = await catalog.recall("n", lambda tx: tx.one("SELECT value FROM counters WHERE name = 'n'")[0])
        read = await catalog.read(lambda tx: tx.one("SELECT value FROM counters WHERE name = 'n'")[0])
        def put(tx):
            tx.touch_names()
            tx.execute("UPDATE counters SET value = ? WHERE name = 'n'", (value + 1,))
        await catalog.write(put)
        print(seen, read, flush=True)
    await catalog.close()

asyncio.run(main())
"""


def test_what_one_process_acknowledged_another_sees_at_once(tmp_path: Path) -> None:
    """Two processes that answer each other each see the other's last write, remembered or read."""

    async def story(catalog: SQLite) -> None:
        await catalog.write(change("n", 0))
        process = python(ANSWER, tmp_path)
        assert process.stdin is not None
        assert process.stdout is not None
        for value in range(0, 60, 2):
            await catalog.write(change("n", value))
            process.stdin.write(f"{value}\n")
            process.stdin.flush()
            assert process.stdout.readline() == f"{value} {value}\n"
            assert await catalog.recall("n", get("n")) == await catalog.read(get("n")) == value + 1
        process.communicate()
        assert process.returncode == 0

    run(tmp_path, story)


# --- checkpoints -----------------------------------------------------------------------------------------------------


def test_checkpoints_keep_the_log_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With checkpoints between its writes, the write-ahead log begins again instead of growing, and loses nothing."""
    monkeypatch.setattr(sqlite, "CHECKPOINT_BYTES", 0)
    monkeypatch.setattr(sqlite, "RESTART_BYTES", 0)

    async def story(catalog: SQLite) -> list[int]:
        sizes = []
        for number in range(20):
            await catalog.write(fill)
            await catalog.checkpoint()
            await catalog.write(put(str(number), number))
            sizes.append(catalog._wal_size())
        assert [await catalog.read(get(str(number))) for number in range(20)] == list(range(20))
        return sizes

    sizes = run(tmp_path, story)
    assert max(sizes) < 3 * sizes[0]


def test_a_short_log_is_left_alone(tmp_path: Path) -> None:
    """Below the threshold nothing is copied back: hot pages would be written again and again."""

    async def story(catalog: SQLite) -> None:
        await catalog.write(put("n", 1))
        before = (tmp_path / sqlite.CATALOG_FILE).stat().st_size
        await catalog.checkpoint()
        assert (tmp_path / sqlite.CATALOG_FILE).stat().st_size == before

    run(tmp_path, story)
