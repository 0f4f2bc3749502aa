"""Rollouts with a tutor: the same runner and table, and the same student whatever the arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from novicegym.agents.logged import LoggedAgent
from novicegym.agents.tutors.silent import SilentTutor
from novicegym.cli import app
from novicegym.courses.model import Course
from novicegym.courses.store import save_course
from novicegym.dialogs.serialize import Dialog
from novicegym.dialogs.tutoring import split_message
from novicegym.errors import UsageError
from novicegym.eval import rollouts
from novicegym.eval.episodes import PROTOCOLS, make_protocol
from novicegym.eval.metrics import score_steps
from novicegym.eval.records import RECORDS, TUTORED_RECORDS, read_records, read_run
from novicegym.eval.rollouts import rollout
from novicegym.grading.grader import Grader

TRIAL = PROTOCOLS["trial"]


class Counts:
    """Submits a wrong program that tells the step and what its tutor has said."""

    name = "counts"

    def act(self, dialogs: Sequence[Dialog], infos: Sequence[Mapping[str, Any]]) -> list[str]:
        return [
            f"x = {info['step']}  # {split_message(dialog[-1]['content'])[1]}"
            for dialog, info in zip(dialogs, infos, strict=True)
        ]


class Names:
    """A tutor that names the number of the last submission; it fails on one assignment."""

    name = "names"

    def __init__(self, fails_on: str = "") -> None:
        self.fails_on = fails_on

    def act(self, dialogs: Sequence[Dialog], infos: Sequence[Mapping[str, Any]]) -> list[str]:
        if any(info["assignment_id"] == self.fails_on for info in infos):
            raise ConnectionError("the line is dead")
        return [f"after {info['position'] + info['step']}" for info in infos]


def files(run: Path) -> dict[str, bytes]:
    return {str(p.relative_to(run)): p.read_bytes() for p in run.rglob("*") if p.is_file()}


def rows_of(run: Path) -> list[dict[str, Any]]:
    return [row for row in read_records(run).to_pylist() if row["completion"] is not None]


def test_a_run_without_a_tutor_has_no_trace_of_tutors(
    small_course: Course, grader: Grader, tmp_path: Path
) -> None:
    run = rollout(
        small_course, Counts(), tmp_path / "r", protocol=make_protocol("published"), grader=grader
    )
    assert read_records(run).schema.names == RECORDS.names
    config = read_run(run)
    assert "tutor" not in config
    assert set(config["protocol"]) == {
        *("name", "min_position", "horizon", "format", "exit_ends_episode")
    }


def test_a_silent_tutor_twice_gives_the_same_bytes_and_what_nobody_gives(
    small_course: Course, grader: Grader, tmp_path: Path
) -> None:
    one, two = (
        rollout(
            small_course,
            Counts(),
            tmp_path / name,
            protocol=TRIAL,
            grader=grader,
            tutor=SilentTutor(),
        )
        for name in ("one", "two")
    )
    assert files(one) == files(two)
    alone = rollout(small_course, Counts(), tmp_path / "alone", protocol=TRIAL, grader=grader)
    assert read_records(one).select(RECORDS.names).equals(read_records(alone))
    assert {row["message"] for row in rows_of(one)} == {""}
    assert read_run(one)["tutor"] == "silent"


def test_the_message_is_what_the_student_saw_before_the_step(
    small_course: Course, grader: Grader, tmp_path: Path
) -> None:
    run = rollout(
        small_course, Counts(), tmp_path / "r", protocol=TRIAL, grader=grader, tutor=Names()
    )
    assert read_records(run).schema.names == TUTORED_RECORDS.names
    rows = rows_of(run)
    assert rows
    for row in rows:
        assert row["message"] == f"after {row['position'] + row['step'] - 1}"
        assert row["generated_code"] == f"x = {row['step'] - 1}  # {row['message']}"
        assert row["tutor_failure"] == ""


def test_where_the_tutor_fails_the_student_has_the_feedback_and_the_record_says_so(
    small_course: Course, grader: Grader, tmp_path: Path
) -> None:
    run = rollout(
        small_course, Counts(), tmp_path / "r", protocol=TRIAL, grader=grader, tutor=Names("double")
    )
    failed = [row for row in rows_of(run) if row["assignment_id"] == "double"]
    heard = [row for row in rows_of(run) if row["assignment_id"] == "add"]
    assert {row["tutor_failure"] for row in failed} == {"ConnectionError: the line is dead"}
    assert {row["message"] for row in failed} == {""}
    assert all(row["generated_code"].endswith("#") for row in failed)
    assert all(row["message"] and not row["tutor_failure"] for row in heard)


def test_a_student_that_does_not_listen_is_refused(
    small_course: Course, grader: Grader, tmp_path: Path
) -> None:
    agent = LoggedAgent(small_course)
    with pytest.raises(UsageError, match="'logged' does not listen"):
        rollout(small_course, agent, tmp_path / "r", grader=grader, tutor=SilentTutor())
    assert not (tmp_path / "r").exists()


def test_a_trial_has_one_start_a_trajectory_and_goes_on_past_the_log(
    small_course: Course, grader: Grader, tmp_path: Path
) -> None:
    run = rollout(small_course, Counts(), tmp_path / "r", protocol=TRIAL, grader=grader)
    rows = read_records(run).to_pylist()
    starts = {(row["student_id"], row["assignment_id"], row["position"]) for row in rows}
    # cem was right at once: nothing to tutor.
    assert {start[:2] for start in starts} == {("ann", "add"), ("ben", "add"), ("ann", "double")}
    assert len(starts) == 3
    lengths = {one.key: len(one.submissions) for one in small_course.trajectories}
    for row in rows:
        assert 1 <= row["position"] < lengths[row["student_id"], row["assignment_id"]]
        past = row["position"] + row["step"] > lengths[row["student_id"], row["assignment_id"]]
        logged = [row[name] for name in ("logged_code", "logged_grade_num", "logged_outcome")]
        assert all((value is None) == past for value in logged)
        assert row["logged_length"] == lengths[row["student_id"], row["assignment_id"]]
    assert all(
        sum(one[:2] == start[:2] for one in starts) == 1
        and len([row for row in rows if (row["student_id"], row["assignment_id"]) == start[:2]])
        == TRIAL.rules.horizon
        for start in starts
    )


def test_the_start_depends_on_the_seed_and_the_trajectory_alone(small_course: Course) -> None:
    ann = small_course.trajectories[0]
    alone = replace(small_course, trajectories=(ann,))
    drawn = [TRIAL.starts(small_course, ann, seed)[0].position for seed in range(60)]
    assert drawn == [TRIAL.starts(alone, ann, seed)[0].position for seed in range(60)]
    assert set(drawn) == {1, 2, 3, 4}


def test_records_past_the_log_are_not_compared_with_it(
    small_course: Course, grader: Grader, tmp_path: Path
) -> None:
    run = rollout(small_course, Counts(), tmp_path / "r", protocol=TRIAL, grader=grader)
    with pytest.raises(UsageError, match="tutor compare"):
        score_steps(read_records(run), with_codebleu=False)


def test_a_killed_run_with_a_tutor_goes_on_to_the_same_bytes(
    small_course: Course, grader: Grader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollouts, "SHARD_TRAJECTORIES", 1)

    class Dies(Names):
        def act(self, dialogs: Sequence[Dialog], infos: Sequence[Mapping[str, Any]]) -> list[str]:
            if any(info["assignment_id"] == "double" for info in infos):
                raise KeyboardInterrupt
            return super().act(dialogs, infos)

    def play(folder: str, tutor: Names) -> Path:
        return rollout(
            small_course, Counts(), tmp_path / folder, protocol=TRIAL, grader=grader, tutor=tutor
        )

    whole = play("whole", Names())
    with pytest.raises(KeyboardInterrupt):
        play("killed", Dies())
    assert files(play("killed", Names())) == files(whole)


def test_another_tutor_in_the_same_folder_is_refused(
    small_course: Course, grader: Grader, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"protocol": TRIAL, "grader": grader}
    rollout(small_course, Counts(), tmp_path / "r", tutor=Names(), **settings)
    for other in (SilentTutor(), None):
        with pytest.raises(UsageError, match=r"other settings \(tutor\)"):
            rollout(small_course, Counts(), tmp_path / "r", tutor=other, **settings)


def test_the_command_takes_a_tutor(small_course: Course, tmp_path: Path) -> None:
    save_course(small_course, tmp_path / "small")

    def invoke(folder: str, *arguments: str) -> Any:
        command = ["rollout", "--course", str(tmp_path / "small"), "--out", str(tmp_path / folder)]
        return CliRunner().invoke(app, [*command, "--protocol", "published", *arguments])

    done = invoke("r", "--agent", "novice", "--tutor", "feedback", "--tutor-timeout", "60")
    assert done.exit_code == 0, done.output
    config = read_run(tmp_path / "r")
    assert (config["tutor"], config["source"]["tutor"]) == ("feedback", "feedback")
    assert config["protocol"]["tutor_timeout"] == 60
    assert any(row["message"] for row in rows_of(tmp_path / "r"))
    # Where the log ends the rollout does, too: such a run can be in any table.
    assert score_steps(read_records(tmp_path / "r"), with_codebleu=False)
    for wrong, said in (
        (("--agent", "retrieval", "--tutor", "silent"), "does not listen"),
        (("--agent", "novice", "--tutor", "slient"), "silent"),
        (("--agent", "novice", "--tutor-timeout", "1"), "--tutor-timeout goes with --tutor"),
    ):
        failed = invoke("w", *wrong)
        assert isinstance(failed.exception, UsageError)
        assert said in str(failed.exception)
