"""CodeBLEU's speed per core, the library's beside ours.

    python benchmarks/codebleu_speed.py [--golden FILE] [RUN ...]

A RUN is the folder of a rollout. Every distinct pair of programs of it is scored once a round
by `codebleu.calc_codebleu`, one call a pair as its users call it, and by our `codebleu`. The two
take turns in one process and are measured in CPU time. `alone` is ours with nothing remembered
from other pairs; `a run` is ours as evaluation calls it, where pairs share programs: nothing is
remembered when a round starts. Medians over the rounds. The largest difference is over all five of
the library's numbers.

Not covered: processes side by side (pairs are independent of each other), and loading the library.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

from novicegym.eval.records import read_records
from novicegym.rewards import codebleu as module
from novicegym.rewards import set_order
from novicegym.rewards.codebleu import CodeBleu, codebleu

Pair: TypeAlias = tuple[str, str]


def _library(pair: Pair) -> dict[str, float]:
    from codebleu import calc_codebleu

    reference, prediction = pair
    scores: dict[str, float] = calc_codebleu(
        [reference], [prediction], "python", (0.25, 0.25, 0.25, 0.25), str.split
    )
    return scores


def _ours(pair: Pair) -> CodeBleu:
    return codebleu(*pair)


def _ours_alone(pair: Pair) -> CodeBleu:
    _forget()
    return codebleu(*pair)


def _forget() -> None:
    for name, value in [*vars(module).items(), *vars(set_order).items()]:
        if hasattr(value, "cache_clear") and name != "_load_library":
            value.cache_clear()


def _seconds(score: Callable[[Pair], Any], pairs: list[Pair]) -> float:
    """Return the CPU time of scoring all pairs."""
    _forget()
    started = time.process_time()
    for pair in pairs:
        score(pair)
    return time.process_time() - started


def _difference(pair: Pair) -> float:
    theirs, ours = _library(pair), codebleu(*pair)
    return max(
        abs(theirs["codebleu"] - ours.total),
        abs(theirs["ngram_match_score"] - ours.ngram),
        abs(theirs["weighted_ngram_match_score"] - ours.weighted_ngram),
        abs(theirs["syntax_match_score"] - ours.syntax),
        abs(theirs["dataflow_match_score"] - (ours.dataflow or 0.0)),
    )


def _report(name: str, pairs: list[Pair], rounds: int) -> None:
    difference = max(map(_difference, pairs))
    ways = {"library": _library, "alone": _ours_alone, "a run": _ours}
    measured = [{way: _seconds(score, pairs) for way, score in ways.items()} for _ in range(rounds)]
    programs = len({code for pair in pairs for code in pair})
    length = sum(len(code) for pair in pairs for code in pair) / (2 * len(pairs))
    print(f"{name}: {len(pairs)} distinct pairs of {programs} programs, {length:.0f} characters")
    print(f"  largest difference {difference:.1e}")
    for way in ways:
        seconds = median(one[way] for one in measured) / len(pairs)
        ratio = median(one["library"] / one[way] for one in measured)
        print(f"  {way:<8}{1 / seconds:>8.0f} pairs/s{1e3 * seconds:>8.3f} ms{ratio:>7.1f}x")


def _golden_pairs(path: Path) -> list[Pair]:
    values = json.loads(path.read_text(encoding="utf-8"))["values"]
    return _scored((value["reference"], value["prediction"]) for value in values)


def _run_pairs(run: Path) -> list[Pair]:
    records = read_records(run)
    logged = records.column("logged_code").to_pylist()
    generated = records.column("generated_code").to_pylist()
    return _scored(zip(logged, generated, strict=True))


def _scored(pairs: Iterable[tuple[str | None, str | None]]) -> list[Pair]:
    """Return the distinct pairs; callers of the library score an empty text 0 themselves."""
    return sorted(
        {(reference, prediction) for reference, prediction in pairs if reference and prediction}
    )


def main() -> int:
    """Measure the golden pairs and every run given."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("runs", nargs="*", type=Path, metavar="RUN")
    parser.add_argument("--golden", type=Path, metavar="FILE", help="values with their pairs")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":  # the library's values depend on it
        os.execve(
            sys.executable, [sys.executable, *sys.argv], {**os.environ, "PYTHONHASHSEED": "0"}
        )
    warnings.simplefilter("ignore")
    logging.disable()  # the library warns of programs without data flow
    if options.golden is not None:
        _report(options.golden.name, _golden_pairs(options.golden), options.rounds)
    for run in options.runs:
        _report(run.name, _run_pairs(run), options.rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
