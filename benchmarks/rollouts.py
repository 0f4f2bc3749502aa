"""Rollouts of a policy that takes no time: what playing, grading and Ray cost.

    python benchmarks/rollouts.py --course cs1 --course progsnap2:PATH
    python benchmarks/rollouts.py --course cs1 --memory

The policy hands in another program at every step, so that every submission is run in the sandbox;
verdicts are not stored. Played by the paper's protocol: in this process with one grading process
and with one a core, then on Ray with one env worker and two, with the policy in each worker and in
a replica of its own, which is asked for 64 submissions at a time. The ways take turns.

Rates are those from the first shard of 32 trajectories to the last: starting Ray and its processes
takes seconds, once a run, which are told apart. "over local" is what a graded submission costs more
than in one process with one grading process; "own CPU" what the process that was started takes.

--memory: the largest memory of the processes of a rollout of 10^3, 10^4 and 10^5 episodes, on
copies of the course kept on disk; in a process of its own each.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

os.environ["NOVICEGYM_CACHE"] = "off"
os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}

from novicegym.agents.base import completion
from novicegym.courses.load import load_course
from novicegym.courses.model import Course, Trajectory
from novicegym.courses.splits import sample_trajectories
from novicegym.courses.store import open_course, save_course
from novicegym.dialogs.serialize import Dialog, DialogFormat
from novicegym.eval.distributed import rollout_on_ray
from novicegym.eval.episodes import PROTOCOLS
from novicegym.eval.records import read_records
from novicegym.eval.rollouts import rollout
from novicegym.grading.grader import Grader

BATCH = 64
MEMORY_EPISODES = (1_000, 10_000, 100_000)


class Instant:
    """Hands in the last program with another comment."""

    name = "instant"

    def act(self, dialogs: Sequence[Dialog], infos: Sequence[Mapping[str, Any]]) -> list[str]:
        return [
            completion(f"{info['code']}\n# {info['position']} {info['step']}", info, DialogFormat())
            for info in infos
        ]


@dataclass
class Watch:
    """When shards were done."""

    begun: float = field(default_factory=time.monotonic)
    seen: list[tuple[float, float, int]] = field(default_factory=list)
    """Seconds, seconds of CPU of this process, trajectories done."""

    def __call__(self, done: int, total: int) -> None:
        self.seen.append((time.monotonic(), time.process_time(), done))


@dataclass(frozen=True)
class Timing:
    """One way's rates."""

    start: float
    """Seconds to the end of the first shard."""
    episodes: float
    """A second."""
    submissions: float
    """A second, graded."""
    own: float
    """CPU seconds of this process a shard: of a driver, all that it does on Ray."""


def play_local(workers: int) -> Callable[[Course, Path, Watch], None]:
    def play(course: Course, out: Path, watch: Watch) -> None:
        with Grader(workers=workers, store=None) as grader:
            rollout(course, Instant(), out, batch_size=BATCH, grader=grader, progress=watch)

    return play


def play_on_ray(workers: int, replicas: int) -> Callable[[Course, Path, Watch], None]:
    def play(course: Course, out: Path, watch: Watch) -> None:
        rollout_on_ray(
            course,
            Instant,
            out,
            batch_size=BATCH,
            env_workers=workers,
            model_replicas=replicas,
            progress=watch,
        )

    return play


WAYS = {
    "local, 1 grading process": play_local(1),
    "local, 2 grading processes": play_local(2),
    "Ray, 1 worker": play_on_ray(1, 0),
    "Ray, 2 workers": play_on_ray(2, 0),
    "Ray, 1 worker, 1 replica": play_on_ray(1, 1),
    "Ray, 2 workers, 1 replica": play_on_ray(2, 1),
}


def timed(course: Course, play: Callable[[Course, Path, Watch], None]) -> Timing:
    """Return the rates of one rollout."""
    with tempfile.TemporaryDirectory() as folder:
        out, watch = Path(folder) / "run", Watch()
        play(course, out, watch)
        records = read_records(out)
        names = ("student_id", "assignment_id", "position")
        episodes = len(set(zip(*(records.column(one).to_pylist() for one in names), strict=True)))
        graded = len(records) - records.column("generated_code").null_count
    (begin, cpu_then, first), (end, cpu_now, last) = watch.seen[0], watch.seen[-1]
    # Workers finish shards in any order: what the first one held is an average share.
    share = (last - first) / len(course.trajectories)
    seconds = end - begin
    return Timing(
        start=begin - watch.begun,
        episodes=episodes * share / seconds,
        submissions=graded * share / seconds,
        own=(cpu_now - cpu_then) / (len(watch.seen) - 1),
    )


def compare(spec: str, trajectories: int, repeats: int) -> None:
    """Print the rates of all ways on a course."""
    course = sample_trajectories(load_course(spec), trajectories)
    print(f"\n{spec}: {len(course.trajectories)} trajectories")
    found: dict[str, list[Timing]] = {name: [] for name in WAYS}
    for number in range(repeats):
        order = list(WAYS)[number % len(WAYS) :] + list(WAYS)[: number % len(WAYS)]
        for name in order:
            found[name].append(timed(course, WAYS[name]))
    middle = {
        name: Timing(
            *(
                statistics.median(getattr(one, part) for one in timings)
                for part in ("start", "episodes", "submissions", "own")
            )
        )
        for name, timings in found.items()
    }
    alone = middle["local, 1 grading process"].submissions
    print(
        f"{'':<28}{'episodes/s':>12}{'graded/s':>10}{'over local':>12}{'own CPU':>15}{'start':>9}"
    )
    for name, one in middle.items():
        over = 1e3 * (1 / one.submissions - 1 / alone)
        shown = f"{over:+.2f} ms" if "1 grading" in name or "1 worker" in name else ""
        print(
            f"{name:<28}{one.episodes:>12.1f}{one.submissions:>10.0f}{shown:>12}"
            f"{1e3 * one.own:>6.0f} ms/shard{one.start:>7.1f} s"
        )
    for ending in ("", ", 1 replica"):
        one, two = (middle[f"Ray, {n}{ending}"] for n in ("1 worker", "2 workers"))
        print(f"2 workers over 1{ending}: {two.submissions / one.submissions:.2f}x")
    local = middle["local, 2 grading processes"].submissions / alone
    print(f"2 grading processes over 1, local: {local:.2f}x")


def copies(course: Course, episodes: int) -> Iterator[Trajectory]:
    """Yield the course's trajectories with new students until there are so many episodes."""
    first = PROTOCOLS["paper"].min_position
    number = 0
    while True:
        for one in course.trajectories:
            starts = len(one.submissions) - first
            if starts <= 0:
                continue
            yield replace(one, student_id=f"{one.student_id}-{number}")
            episodes -= starts
            if episodes <= 0:
                return
        number += 1


def largest_memory(folder: str, on_ray: bool, told: Any) -> None:
    """Play a course on disk; send the peak memory, in MiB, of this process and the workers."""
    rules = replace(PROTOCOLS["paper"].rules, horizon=1)
    protocol = replace(PROTOCOLS["paper"], rules=rules)
    workers: list[float] = [0.0]

    def watch(done: int, total: int) -> None:
        workers.extend(map(peak, ray_workers()))  # they end with the rollout

    course = open_course(Path(folder) / "course")
    settings: dict[str, Any] = {"protocol": protocol, "batch_size": BATCH, "progress": watch}
    out = Path(folder) / ("ray" if on_ray else "local")
    if on_ray:
        import ray

        # Its processes cannot import the module of a script.
        ray.cloudpickle.register_pickle_by_value(sys.modules[Instant.__module__])
        ray.init("local", include_dashboard=False, log_to_driver=False)
        rollout_on_ray(course, Instant, out, env_workers=1, **settings)
    else:
        with Grader(workers=2, store=None) as grader:
            rollout(course, Instant(), out, grader=grader, **settings)
    told.send((peak(os.getpid()), max(workers)))


def ray_workers() -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                title = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if title.startswith(b"ray::_play"):
                yield int(entry.name)


def peak(pid: int) -> float:
    """Return the largest resident memory a process had, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(x.split()[1]) / 1024 for x in status.splitlines() if x.startswith("VmHWM"))


def memory(spec: str) -> None:
    """Print the largest memory of rollouts of more and more episodes."""
    course = load_course(spec)
    print(f"\n{spec}: largest memory, a step an episode")
    print(f"{'episodes':>10}{'local':>12}{'Ray driver':>12}{'Ray worker':>12}")
    processes = multiprocessing.get_context("spawn")
    for episodes in MEMORY_EPISODES:
        with tempfile.TemporaryDirectory() as folder:
            many = replace(course, trajectories=tuple(copies(course, episodes)))
            save_course(many, Path(folder) / "course")
            found = []
            for on_ray in (False, True):
                here, there = processes.Pipe()
                process = processes.Process(target=largest_memory, args=(folder, on_ray, there))
                process.start()
                there.close()
                found.append(here.recv())
                process.join()
        (local, _), (driver, worker) = found
        print(f"{episodes:>10,}{local:>8.0f} MiB{driver:>8.0f} MiB{worker:>8.0f} MiB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--course", action="append", required=True)
    parser.add_argument("--trajectories", type=int, default=320)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--memory", action="store_true")
    arguments = parser.parse_args()
    for spec in arguments.course:
        if arguments.memory:
            memory(spec)
        else:
            compare(spec, arguments.trajectories, arguments.repeats)


if __name__ == "__main__":
    main()
