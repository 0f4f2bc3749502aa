"""The verdict store: what comes back, who may share it, and what may go wrong with its file."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import fields
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novicegym.courses.model import Assignment
from novicegym.courses.suite import CallCase, IOCase, TestSuite
from novicegym.errors import GraderError
from novicegym.grading import store as store_module
from novicegym.grading import store_file
from novicegym.grading.limits import Limits
from novicegym.grading.store import StoredRequest, VerdictStore, default_store
from novicegym.grading.store_rows import is_whole
from novicegym.grading.verdict import OUTCOMES, CaseResult, Verdict

ADD = Assignment(
    "add", "Add", "Add \ud800 two.", TestSuite(cases=(CallCase("add(1, 2)", 3),)), solutions=("x",)
)
ECHO = Assignment("echo", "Echo", "", TestSuite(cases=(IOCase("\udfff\n", "\udfff\n"),)))
VERSION = "1 3.11\n[GCC]"


def key_of(number: int) -> bytes:
    return hashlib.blake2b(b"%d" % number, digest_size=20).digest()


def verdict_of(number: int) -> Verdict:
    """A verdict of its own for every number, without much that compresses."""
    text = hashlib.sha256(b"%d" % number).hexdigest() * 4
    case = CaseResult("test 1", False, "logical", "add(1, 2)", "3", text)
    return Verdict(Fraction(number % 7, 7), "logical", (case, case), str(number))


def request_of(code: str = "", assignment: Assignment = ADD) -> StoredRequest:
    digest = hashlib.sha256(assignment.id.encode()).digest()
    return StoredRequest(assignment, digest, code, Limits(), VERSION)


def put(store: VerdictStore, *numbers: int) -> None:
    for number in numbers:
        store.put(key_of(number), verdict_of(number), request_of(f"code {number}"))


def kept(store: VerdictStore, *numbers: int) -> bool:
    return all(store.get(key_of(number)) == verdict_of(number) for number in numbers)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "verdicts.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[VerdictStore]:
    with VerdictStore(path) as opened:
        yield opened


def edit(path: Path, statement: str, *values: object) -> None:
    """Change the file behind the store's back."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(statement, values)
    connection.close()


TEXT = st.text(st.characters(), max_size=20)  # any code point, lone surrogates and NUL too
OF_TYPE: dict[Any, st.SearchStrategy[Any]] = {
    "str": TEXT,
    "bool": st.booleans(),
    "Outcome": st.sampled_from(OUTCOMES),
    "Fraction": st.fractions(0, 1),
}
CASES = st.builds(CaseResult, **{field.name: OF_TYPE[field.type] for field in fields(CaseResult)})
OF_TYPE["tuple[CaseResult, ...]"] = st.lists(CASES, max_size=3).map(tuple)
VERDICTS = st.builds(Verdict, **{field.name: OF_TYPE[field.type] for field in fields(Verdict)})


def test_any_verdict_and_any_code_come_back_as_they_were(path: Path, store: VerdictStore) -> None:
    with VerdictStore(path) as other:

        @settings(max_examples=100)
        @given(VERDICTS, TEXT, st.sampled_from([ADD, ECHO]), st.binary(min_size=20, max_size=20))
        def check(verdict: Verdict, code: str, assignment: Assignment, key: bytes) -> None:
            request = request_of(code, assignment)
            store.put(key, verdict, request)
            assert store.get(key) == verdict
            store.flush()
            assert store.get(key) == other.get(key) == verdict
            assert (key, verdict, request) in list(other.sample(None, versions=[VERSION]))
            store.clear()

        check()


def test_surrogates_side_by_side_stay_two(store: VerdictStore) -> None:
    code = "'\ud83d\ude00' \0"
    store.put(b"key", Verdict(Fraction(0), "compile", message=code), request_of(code))
    store.flush()
    [(_, verdict, request)] = store.sample(None, versions=[VERSION])
    assert verdict.message == request.code == code


def test_an_unknown_key_is_a_miss(store: VerdictStore) -> None:
    put(store, 1)
    assert store.get(key_of(2)) is None


def test_a_verdict_is_read_before_it_is_committed(store: VerdictStore) -> None:
    put(store, *range(10))
    assert kept(store, *range(10))


def test_a_flushed_verdict_is_read_by_others(path: Path, store: VerdictStore) -> None:
    put(store, *range(10))
    store.flush()
    with VerdictStore(path) as other:
        assert kept(other, *range(10))


def test_a_full_batch_is_committed(path: Path, store: VerdictStore) -> None:
    put(store, *range(200))
    with VerdictStore(path) as other:
        assert kept(other, *range(128))


def test_what_waited_is_committed_by_the_next_call(path: Path, store: VerdictStore) -> None:
    put(store, *range(10))
    time.sleep(0.6)
    store.get(b"another")
    with VerdictStore(path) as other:
        assert kept(other, *range(10))


def test_a_closed_store_opens_again(store: VerdictStore) -> None:
    put(store, 1)
    store.close()
    put(store, 2)
    assert kept(store, 1, 2)


def test_folder_and_file_are_for_their_owner_alone(path: Path) -> None:
    before = os.umask(0)
    try:
        with VerdictStore(path) as store:
            put(store, 1)
            assert path.parent.stat().st_mode & 0o777 == 0o700
            for file in path.parent.iterdir():
                assert file.stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(before)


def test_assignments_that_share_a_suite_but_not_a_solution_stay_two(store: VerdictStore) -> None:
    other = Assignment("add", "Add", "", ADD.tests, solutions=("slow",))
    for key, assignment in ((b"1", ADD), (b"2", other)):
        store.put(key, verdict_of(1), request_of("", assignment))
    assignments = [request.assignment for _, _, request in store.sample(None, versions=[VERSION])]
    assert assignments == [ADD, other]
    assert store.stats().suites == 1


# Threads, processes, forks


def test_threads_share_a_store(store: VerdictStore) -> None:
    wrong: list[int] = []

    def work(first: int) -> None:
        for number in range(first, first + 300):
            put(store, number)
            if not kept(store, number, first):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(100 * n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert store.stats().entries == 1000
    assert kept(store, *range(1000))


def fork(work: Callable[[], None]) -> int:
    """Start `work` in a forked child, which exits with 1 when it raises and dies when it hangs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12: the parent has threads
        child = os.fork()
    if child == 0:
        signal.alarm(60)
        try:
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return child


def exit_code(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_process_that_ends_without_closing_keeps_its_verdicts(path: Path) -> None:
    program = (
        "from fractions import Fraction\n"
        "from pathlib import Path\n"
        "from novicegym.courses.model import Assignment\n"
        "from novicegym.courses.suite import CallCase, TestSuite\n"
        "from novicegym.grading.limits import Limits\n"
        "from novicegym.grading.store import StoredRequest, VerdictStore\n"
        "from novicegym.grading.verdict import Verdict\n"
        f"store = VerdictStore(Path({str(path)!r}))\n"
        "assignment = Assignment('a', '', '', TestSuite(cases=(CallCase('f()', 1),)))\n"
        "for n in range(10):\n"
        "    request = StoredRequest(assignment, b'', '', Limits(), '1')\n"
        "    store.put(b'%d' % n, Verdict(Fraction(1), 'correct'), request)\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, timeout=60)
    with VerdictStore(path) as store:
        assert [store.get(b"%d" % n) for n in range(10)] == [Verdict(Fraction(1), "correct")] * 10


def test_processes_write_at_once_and_nothing_is_lost(path: Path) -> None:
    def work(first: int) -> None:
        with VerdictStore(path) as store:
            for number in range(500):
                put(store, first + number, 10_000 + number)
                assert kept(store, first + number // 2, 10_000 + number)

    firsts = (0, 1000, 2000, 3000)
    writers = [fork(functools.partial(work, first)) for first in firsts]
    assert [exit_code(writer) for writer in writers] == [0] * 4
    with VerdictStore(path) as store:
        assert store.stats().entries == 2500
        for first in (*firsts, 10_000):
            assert kept(store, *range(first, first + 500))
        assert store.check_file() == store.damaged_rows() == []


@pytest.mark.parametrize("max_mb", [512, 1], ids=["growing", "at its limit"])
def test_a_killed_process_loses_nothing_it_committed(path: Path, max_mb: int) -> None:
    rng = random.Random(max_mb)
    done = 0
    for _ in range(8):
        reports, end = os.pipe()

        def work(first: int, end: int) -> None:
            with VerdictStore(path, max_mb=max_mb) as store:
                while True:
                    put(store, *range(first, first + 50))
                    store.flush()
                    first += 50
                    os.write(end, b"%d\n" % first)

        writer = fork(functools.partial(work, done, end))
        os.close(end)
        with open(reports) as lines:
            for _ in range(rng.randrange(5, 30)):
                done = int(lines.readline())
            time.sleep(rng.random() / 20)
            os.kill(writer, signal.SIGKILL)
            done = max([done, *map(int, lines)])
        assert exit_code(writer) == -signal.SIGKILL
        with VerdictStore(path) as store:
            assert store.check_file() == store.damaged_rows() == []
            assert kept(store, *range(0 if max_mb == 512 else done - 500, done))


def in_a_fork(work: Callable[[], None]) -> None:
    assert exit_code(fork(work)) == 0


def test_a_file_that_is_just_being_made_is_waited_for(path: Path, store: VerdictStore) -> None:
    path.parent.mkdir()
    maker = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    maker.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.3, maker.close)
    timer.start()
    put(store, 1)
    timer.join()
    assert kept(store, 1)


def test_both_sides_of_a_fork_go_on(store: VerdictStore) -> None:
    put(store, *range(10))

    def child() -> None:
        assert kept(store, *range(10))
        put(store, *range(10, 20))
        store.close()

    for _ in range(3):
        in_a_fork(child)
        put(store, *range(20, 30))
        assert kept(store, *range(30))
    assert store.check_file() == store.damaged_rows() == []


def test_a_fork_while_threads_use_the_store_does_not_hang(store: VerdictStore) -> None:
    stop = threading.Event()

    def work() -> None:
        number = 0
        while not stop.is_set():
            put(store, number)
            number += 1

    def child() -> None:
        put(store, 10**6)
        assert kept(store, 0, 10**6)
        store.flush()

    put(store, 0)
    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(20):
            in_a_fork(child)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert kept(store, 0, 10**6)
    assert store.check_file() == store.damaged_rows() == []


def test_ids_that_are_given_again_after_a_clear_mean_what_is_new(
    path: Path, store: VerdictStore
) -> None:
    put(store, 1)
    store.flush()
    with VerdictStore(path) as other:
        assert kept(other, 1)
        assert store.clear() == 1
        case = CaseResult("io", True, "correct", "1\n", "2", "2")
        verdict = Verdict(Fraction(1), "correct", (case, case))
        store.put(b"io", verdict, request_of("", ECHO))
        store.flush()
        assert other.get(b"io") == verdict
        assert other.get(key_of(1)) is None


def test_ids_that_a_new_file_gives_again_mean_what_is_new(path: Path, store: VerdictStore) -> None:
    put(store, 1)
    store.flush()
    assert kept(store, 1)
    store.close()
    path.unlink()
    verdict = Verdict(Fraction(1), "correct")
    with VerdictStore(path) as other:
        other.put(b"script", verdict, request_of("", ECHO))
    assert store.get(b"script") == verdict


# Size


def test_the_file_stays_within_its_limit_and_the_oldest_go(path: Path) -> None:
    with VerdictStore(path, max_mb=1) as store:
        for number in range(6000):
            assignment = ADD if number < 100 else ECHO
            store.put(key_of(number), verdict_of(number), request_of("", assignment))
            if number % 500 == 0 and path.exists():
                assert path.stat().st_size < 1.1 * 2**20
        assert path.stat().st_size < 1.1 * 2**20
        assert store.get(key_of(0)) is None
        assert kept(store, *range(5000, 6000))
        assert store.stats().suites == 1, "the suite of the oldest is gone, too"
        assert store.check_file() == store.damaged_rows() == []


def test_a_smaller_limit_holds_for_a_store_that_was_larger(path: Path) -> None:
    with VerdictStore(path) as store:
        put(store, *range(6000))
    large = path.stat().st_size
    with VerdictStore(path, max_mb=1) as store:
        put(store, 6000)
        assert kept(store, 6000)
        assert store.stats().entries < 6000
        for number in range(7000, 9000):
            put(store, number)
    assert path.stat().st_size <= large


def test_clear_gives_the_space_back(path: Path, store: VerdictStore) -> None:
    put(store, *range(3000))
    assert store.clear() == 3000
    assert store.bytes_on_disk() < 100_000
    assert store.stats().entries == 0
    put(store, 1)
    assert kept(store, 1)


# Damage


@pytest.mark.parametrize("column", ["task", "at", "verdict", "code", "checksum"])
@pytest.mark.parametrize("value", [b"x", "text", 7, 1.5])
def test_a_damaged_row_is_a_miss_is_named_and_is_repaired(
    path: Path, store: VerdictStore, column: str, value: object
) -> None:
    put(store, 1, 2)
    store.close()
    edit(path, f"UPDATE verdicts SET {column} = ? WHERE key = ?", value, key_of(1))
    assert store.get(key_of(1)) is None
    assert kept(store, 2)
    [line] = store.damaged_rows()
    assert key_of(1).hex() in line
    assert [key for key, _, _ in store.sample(None, versions=[VERSION])] == [key_of(2)]
    put(store, 1)
    store.flush()
    assert kept(store, 1, 2)
    assert store.damaged_rows() == []


def test_a_row_that_has_lost_a_value_is_damaged() -> None:
    assert not is_whole((1, b"key", None, 0))


def test_a_changed_key_is_found(path: Path, store: VerdictStore) -> None:
    put(store, 1)
    store.close()
    edit(path, "UPDATE verdicts SET key = ?", key_of(2))
    assert store.get(key_of(1)) is None
    assert store.get(key_of(2)) is None
    assert len(store.damaged_rows()) == 1


@pytest.mark.parametrize("column", ["digest", "suite", "limits", "outline", "assignment"])
def test_damage_to_what_verdicts_share_makes_them_misses(
    path: Path, store: VerdictStore, column: str
) -> None:
    put(store, 1, 2)
    store.close()
    edit(path, f"UPDATE tasks SET {column} = x'00'")
    assert store.get(key_of(1)) is store.get(key_of(2)) is None
    assert len(store.damaged_rows()) == 1
    put(store, 1)
    store.flush()
    assert kept(store, 1)


def test_no_damage_to_the_file_makes_a_wrong_verdict(path: Path) -> None:
    with VerdictStore(path) as store:
        put(store, *range(60))
    whole = path.read_bytes()
    hits = 0
    for seed in range(100):
        rng = random.Random(seed)
        damaged = bytearray(whole)
        for _ in range(rng.choice((1, 10, 100))):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        path.write_bytes(damaged)
        with warnings.catch_warnings(), VerdictStore(path) as store:
            warnings.simplefilter("ignore", RuntimeWarning)
            for number in range(60):
                verdict = store.get(key_of(number))
                assert verdict is None or verdict == verdict_of(number)
                hits += verdict is not None
            put(store, *range(60, 70))
        with VerdictStore(path) as store:
            if not store.check_file():
                with contextlib.suppress(GraderError):
                    store.damaged_rows()
                    list(store.sample(None, versions=[VERSION]))
            store.clear()
            put(store, 1)
            assert kept(store, 1)
    assert hits > 1000, "or nothing was tried"


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b"no database" * 1000),
        lambda path: path.write_bytes(path.read_bytes()[:5000]),
        lambda path: path.write_bytes(path.read_bytes()[:4096] + b"\xff" * 40_000),
        lambda path: edit(path, "PRAGMA user_version = 99"),
        lambda path: edit(path, "PRAGMA user_version = 0"),
    ],
    ids=["not a database", "cut off", "overwritten", "newer", "another program's"],
)
def test_a_useless_file_warns_once_and_grading_goes_on(
    path: Path, damage: Callable[[Path], None]
) -> None:
    with VerdictStore(path) as store:
        put(store, *range(100))
    damage(path)
    with VerdictStore(path) as store:
        with pytest.warns(RuntimeWarning, match="delete it, and a new one") as seen:
            assert store.get(key_of(1)) is None
        assert len(seen) == 1
        assert str(path) in str(seen[0].message)
        assert seen[0].filename == str(path)
        put(store, *range(200))
        store.flush()
        assert store.get(key_of(1)) is None  # and a second warning would be an error
    with VerdictStore(path) as store:
        assert store.check_file()
        with pytest.raises(GraderError, match="delete it, and a new one"):
            store.stats()
        assert store.clear() == 0
        put(store, 1)
        assert kept(store, 1)
        assert store.check_file() == []


def test_a_store_locked_by_another_process_is_given_up(
    path: Path, store: VerdictStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (store_module, store_file):
        monkeypatch.setattr(module, "BUSY_SECONDS", 0.2)
    put(store, 1)
    store.flush()
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        put(store, 2)
        with pytest.warns(RuntimeWarning, match="another process has held it"):
            store.flush()
        assert store.get(key_of(1)) is None
    finally:
        holder.close()


def test_a_folder_that_cannot_be_made_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = VerdictStore(tmp_path / "file" / "verdicts.sqlite")
    with pytest.warns(RuntimeWarning, match="NOVICEGYM_CACHE"):
        put(store, 1)
    assert store.get(key_of(1)) is None


@pytest.mark.parametrize("there", [False, True], ids=["no file yet", "a file"])
def test_a_folder_that_cannot_be_written_is_no_hindrance(there: bool) -> None:
    folder = Path(tempfile.mkdtemp(dir="/tmp"))  # whose parents anybody may pass

    def child() -> None:
        if os.geteuid() == 0:
            os.setuid(65534)
        store = VerdictStore(folder / "verdicts.sqlite")
        with pytest.warns(RuntimeWarning, match="that you may write"):
            put(store, 1)
        assert store.get(key_of(1)) is None
        store.close()

    try:
        if there:
            with VerdictStore(folder / "verdicts.sqlite") as store:
                put(store, 1)
            (folder / "verdicts.sqlite").chmod(0o444)
        folder.chmod(0o555)
        in_a_fork(child)
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


def test_a_file_that_cannot_be_reached_is_not_an_empty_store() -> None:
    folder = Path(tempfile.mkdtemp(dir="/tmp"))  # whose parents anybody may pass

    def child() -> None:
        if os.geteuid() == 0:
            os.setuid(65534)
        with pytest.raises(GraderError, match="Permission denied"):
            VerdictStore(folder / "verdicts.sqlite").stats()

    try:
        with VerdictStore(folder / "verdicts.sqlite") as store:
            put(store, 1)
        folder.chmod(0o000)
        in_a_fork(child)
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


def test_a_full_disk_costs_the_store_and_no_more(path: Path, store: VerdictStore) -> None:
    put(store, *range(100))

    def child() -> None:
        # No file may grow past this: what a full disk says, in other words.
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
        with pytest.warns(RuntimeWarning, match="folder with space"):
            put(store, *range(100, 2000))
        assert store.get(key_of(1)) is None
        store.close()

    in_a_fork(child)
    assert kept(store, *range(100))
    assert store.check_file() == store.damaged_rows() == []


# Where it is, what is in it


def test_the_environment_says_where_the_store_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def default_path() -> Path | None:
        store = default_store()
        assert store is default_store()
        return None if store is None else store.path

    monkeypatch.setenv("NOVICEGYM_CACHE", "off")
    assert default_path() is None
    monkeypatch.setenv("NOVICEGYM_CACHE", str(tmp_path))
    assert default_path() == tmp_path / "verdicts.sqlite"
    monkeypatch.delenv("NOVICEGYM_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_path() == tmp_path / "novicegym" / "verdicts.sqlite"
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for relative in ("caches", ""):
        monkeypatch.setenv("XDG_CACHE_HOME", relative)
        assert default_path() == tmp_path / "home" / ".cache" / "novicegym" / "verdicts.sqlite"


def test_stats_count_what_is_there(path: Path, store: VerdictStore) -> None:
    nothing = store.stats()
    assert (nothing.entries, nothing.bytes_on_disk, nothing.oldest) == (0, 0, None)
    assert not path.parent.exists()
    put(store, 1, 2)
    request = StoredRequest(ECHO, b"echo", "", Limits(), "2")
    store.put(key_of(3), verdict_of(3), request)
    store.flush()
    stats = store.stats()
    assert (stats.entries, stats.suites) == (3, 2)
    assert stats.versions == {VERSION: 2, "2": 1}
    assert stats.oldest is not None
    assert stats.newest is not None
    assert stats.oldest <= stats.newest
    assert abs(stats.newest.timestamp() - time.time()) < 60
    assert stats.bytes_on_disk == sum(f.stat().st_size for f in path.parent.iterdir())


def test_a_sample_is_drawn_by_its_seed_from_the_versions_wanted(store: VerdictStore) -> None:
    put(store, *range(50))
    store.put(b"other", verdict_of(0), StoredRequest(ADD, b"add", "", Limits(), "2"))

    def keys(count: int | None, seed: int = 0) -> list[bytes]:
        return [key for key, _, _ in store.sample(count, versions=[VERSION], seed=seed)]

    assert keys(None) == keys(50) == keys(60) == [key_of(n) for n in range(50)]
    assert len(set(keys(10))) == 10
    assert keys(10) == keys(10)
    assert keys(10) != keys(10, seed=1)
    assert len(list(store.sample(None, versions=[VERSION, "2"]))) == 51
