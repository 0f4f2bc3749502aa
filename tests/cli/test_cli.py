"""The command line as a user meets it: output, exit codes, one-line errors."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

from novicegym import __version__
from novicegym.cli import app, main, options
from novicegym.errors import GraderError
from novicegym.grading import grader


def test_where_there_is_no_terminal_progress_is_a_line_once_in_a_while(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with options.progress_bar("quick") as update:
        update(1, 2)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(options, "_BETWEEN_LINES", 0)
    with options.progress_bar("slow") as update:
        update(1000, 2000)
        update(2000, 2000)
    assert capsys.readouterr().err.splitlines() == [
        f"slow: {done} of 2,000 after 0 minutes" for done in ("1,000", "2,000")
    ]


def novicegym(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-m", "novicegym", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=300)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CSV of two students and its tests, as a user without a standard format has them."""
    folder = tmp_path_factory.mktemp("logs")
    rows = [
        ("ann", "double", "2024-09-01 10:00", "def double(x) return x", "0"),
        ("ann", "double", "2024-09-01 10:01", "def double(x): return x", "25"),
        ("ann", "double", "2024-09-01 10:02", "def double(x): return x + 2", "25"),
        ("ann", "double", "2024-09-01 10:03", "def double(x): return x ** 2", "50"),
        ("ann", "double", "2024-09-01 10:04", "def double(x): return x * 2", "100"),
        ("ben", "double", "2024-09-01 10:00", "def double(x): return 2", "25"),
        ("ben", "double", "2024-09-01 10:05", "def double(x): return x + x", "100"),
    ]
    with (folder / "log.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["who", "task", "when", "text", "mark"])
        writer.writerows(rows)
    tests = [
        {
            "assignment_id": "double",
            "title": "Double",
            "prompt": "Write double(x).",
            "entry_point": "double",
            "cases": [{"args": [x], "expected": 2 * x} for x in (0, 2, 5, -1)],
        }
    ]
    (folder / "tests.json").write_text(json.dumps(tests))
    return folder


def course_options(table: Path) -> list[str]:
    mapping = ["student=who", "assignment=task", "time=when", "code=text", "grade=mark"]
    columns = [part for pair in mapping for part in ("--column", pair)]
    return [*columns, "--reader", "grade_scale=100", "--tests", str(table / "tests.json")]


def test_from_a_table_to_the_result_table(table: Path, tmp_path: Path) -> None:
    source, options = f"table:{table / 'log.csv'}", course_options(table)
    stats = novicegym("course", "stats", source, *options, "--json")
    assert stats.returncode == 0, stats.stderr
    total = json.loads(stats.stdout)["total"]
    assert (total["trajectories"], total["students"], total["succeeded"]) == (2, 2, 2)
    assert total["mean_length"] == 3.5

    converted = novicegym("course", "convert", source, tmp_path / "course", *options, "--regrade")
    assert converted.returncode == 0, converted.stderr

    for agent in ("logged", "persistence"):
        run = novicegym(
            "rollout", "-c", tmp_path / "course", "--agent", agent, "-o", tmp_path / agent
        )
        assert run.returncode == 0, run.stderr
        told = "2 episodes of 1 trajectories; 1 more are too short for protocol paper"
        assert told in run.stderr  # Ann's; Ben made two submissions
    result = novicegym("table", tmp_path / "logged", tmp_path / "persistence", "--json")
    assert result.returncode == 0, result.stderr
    logged, persistence = json.loads(result.stdout)["rows"]
    assert logged["coverage"]["micro"] == logged["grade_proximity"]["macro"] == 1
    # Ann from t = 3 holds 1/4 against 1/2 and 1, from t = 4 holds 1/2 against 1.
    assert persistence["coverage"]["micro"] == 1
    assert persistence["grade_proximity"]["macro"] == pytest.approx(((0.75 + 0.5) / 2 + 0.25) / 2)


def test_curation_prints_and_writes_what_is_left(table: Path, tmp_path: Path) -> None:
    source, options = f"table:{table / 'log.csv'}", course_options(table)
    steps = "drop-non-compiling,min-submissions:3"
    report = novicegym(
        "course", "curate", source, tmp_path / "kept", "--steps", steps, *options, "--json"
    )
    assert report.returncode == 0, report.stderr
    kept = [step["kept"] for step in json.loads(report.stdout)["steps"]]
    assert [(k["trajectories"], k["submissions"]) for k in kept] == [(2, 6), (1, 4)]
    shown = novicegym("course", "stats", tmp_path / "kept", "--json")
    assert json.loads(shown.stdout)["total"]["submissions"] == 4


def test_bad_row_is_an_error_or_a_counted_reject(table: Path, tmp_path: Path) -> None:
    text = (table / "log.csv").read_text() + ",double,2024-09-01 10:09,x,0\n"
    (tmp_path / "log.csv").write_text(text)
    source, options = f"table:{tmp_path / 'log.csv'}", course_options(table)
    stopped = novicegym("course", "stats", source, *options)
    assert stopped.returncode == 2
    assert "log.csv, row 9, field 'who'" in stopped.stderr
    rejects = tmp_path / "rejects.jsonl"
    skipped = novicegym(
        "course", "stats", source, *options, "--bad-rows", "skip", "--rejects", rejects
    )
    assert skipped.returncode == 0, skipped.stderr
    assert "rejected: 1 row" in skipped.stderr
    [reject] = map(json.loads, rejects.read_text().splitlines())
    assert reject["row"] == 9


def test_grade_exits_with_the_verdict(tmp_path: Path) -> None:
    course = json.loads(novicegym("course", "show", "cs1", "--json").stdout)
    assignment = course["assignments"][0]["id"]
    shown = json.loads(novicegym("course", "show", "cs1", assignment, "--json").stdout)
    program = tmp_path / "program.py"
    program.write_text(shown["solutions"][0])
    right = novicegym("grade", program, "--assignment", assignment, "--json")
    assert right.returncode == 0, right.stderr
    assert json.loads(right.stdout)["grade"] == "1"
    program.write_text("print(")
    wrong = novicegym("grade", program, "-a", assignment)
    assert wrong.returncode == 1
    assert "SyntaxError" in wrong.stdout
    assert not novicegym("grade", program, "-a", assignment, "--twice").stderr
    program.write_text("import time\nprint(time.time_ns())")
    assert "not stable" in novicegym("grade", program, "-a", assignment, "--twice").stderr


def test_grade_takes_a_limit(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("sum(range(4_000_000))\nprint(1 / 0)")  # a tenth of a second or so
    options = ("grade", program, "-a", "lsn02_fuelcost", "--json", "--cpu-seconds")
    assert json.loads(novicegym(*options, "0.01").stdout)["outcome"] == "timeout"
    assert json.loads(novicegym(*options, "5").stdout)["outcome"] == "runtime"


def test_grade_is_refused_below_the_rung_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "program.py"
    program.write_text("print(1)")
    command = ["grade", str(program), "-a", "lsn02_fuelcost", "--require"]
    # The real grader, on a machine that has but one layer.
    monkeypatch.setattr(grader, "Grader", partial(grader.Grader, layers=frozenset({"rlimits"})))
    refused = CliRunner().invoke(app, [*command, "full"])
    assert isinstance(refused.exception, GraderError)
    assert "below the required 'full'" in str(refused.exception)
    assert CliRunner().invoke(app, [*command, "not-a-sandbox"]).exit_code == 1  # graded: wrong


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["course", "stats", "cs2"], "Did you mean 'cs1'"),
        (["course", "stats", "/nowhere/at/all"], "/nowhere/at/all"),
        (["course", "stats", "progsnap2:/nowhere"], "/nowhere"),
        (["course", "stats", "table:/nowhere.csv"], "--tests FILE"),
        (["course", "stats", "cs1", "--curate", "labs"], "labs-only"),
        (["course", "stats", "cs1", "--split", "term:Fall 1924"], "Fall 2024"),
        (["course", "stats", "cs1", "--reader", "config"], "NAME=VALUE"),
        (["course", "stats", "cs1", "--reader", "tests=x"], "'tests'"),
        (["course", "stats", "cs1", "--reader", "grade_scale=x"], "takes a number, got 'x'"),
        (["course", "stats", "cs1", "--reader", "a=1", "--reader", "a=2"], "twice"),
        (["course", "stats", "cs1", "--bad-rows", "drop"], "skip"),
        (["course", "make", "cs1", "--seed", "-1"], "--seed"),
        (["course", "make", "cs1", "--students", "0"], "--students"),
        (["rollout", "--agent", "logged", "--out", "run", "--batch-size", "0"], "--batch-size"),
        (["rollout", "--agent", "novice", "--out", "run", "--seed", "-1"], "--seed"),
        (["rollout", "--agent", "logged", "--out", "a_file/run"], "a_file/run"),
        (["demo", "--out", "a_file"], "a_file"),
        (["course", "show", "cs1", "lsn"], "unknown assignment"),
        (["course", "make", "cs9"], "cs9"),
        (["course", "curate"], "COURSE"),
        (["grade", "/nowhere.py", "-a", "x"], "/nowhere.py"),
        (["grade", "a_file", "-a", "lsn02_fuelcost", "--require", "ful"], "Did you mean 'full'"),
        (["grade", "a_file", "-a", "lsn02_fuelcost", "--cpu-seconds", "nan"], "0.01 to 10"),
        (["grade", "a_file", "-a", "lsn02_fuelcost", "--cpu-seconds", "11"], "0.01 to 10"),
        (["rollout", "--agent", "persistance", "--out", "run"], "Did you mean 'persistence'"),
        (["rollout", "--agent", "no.such:thing", "--out", "run"], "no.such"),
        (["rollout", "--agent", "logged", "--out", "run", "--protocol", "p"], "paper"),
        (["rollout", "--agent", "logged", "--out", "run", "--feedback", "loud"], "summary"),
        (["rollout", "--agent", "novice", "--out", "run", "--temperature", "1"], "not sample"),
        (["rollout", "--agent", "hf:x", "--out", "run", "--top-p", "0.9"], "temperature 0"),
        (["table", "/nowhere"], "novicegym rollout"),
        (["table", "."], "run.json"),
        (["table"], "Missing argument"),
        (["tabel", "x"], "tabel"),
    ],
)
def test_mistakes_get_one_clear_line_and_exit_code_2(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    (tmp_path / "a_file").touch()
    result = novicegym(*arguments, cwd=tmp_path)
    assert result.returncode == 2, result.stdout + result.stderr
    told = [
        line for line in result.stderr.splitlines() if line.startswith(("novicegym:", "Error:"))
    ]
    assert len(told) == 1
    assert message in told[0]
    assert result.stderr.splitlines()[-1] == told[0]


@pytest.mark.parametrize(
    ("settings", "shard", "message"),
    [
        ("{}", None, "run.json is not that of a run"),
        ("[]", None, "run.json is not that of a run"),
        ('{"shards": "x"}', None, "run.json is not that of a run"),
        ("{", None, "run.json is damaged"),
        ('{"shards": 1}', None, "1 of 1 shards are missing"),
        ('{"shards": 1}', b"junk", "part-00000.parquet is damaged"),
    ],
)
def test_damaged_run_is_one_line(
    settings: str, shard: bytes | None, message: str, tmp_path: Path
) -> None:
    (tmp_path / "episodes").mkdir()
    (tmp_path / "run.json").write_text(settings)
    if shard is not None:
        (tmp_path / "episodes" / "part-00000.parquet").write_bytes(shard)
    result = novicegym("table", tmp_path)
    assert result.returncode == 2
    assert message in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr


def test_what_a_program_prints_cannot_drive_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("print('\\x1b[2J')")
    result = novicegym("grade", tmp_path / "program.py", "-a", "lsn02_fuelcost")
    assert "\x1b" not in result.stdout
    assert r"\x1b[2J" in result.stdout


def test_square_brackets_of_a_log_are_text(tmp_path: Path) -> None:
    assignment = {
        "assignment_id": "a[/b]",
        "title": "Sum a [list]",
        "prompt": "p",
        "entry_point": "f",
        "cases": [{"args": [1], "expected": 1}],
    }
    (tmp_path / "tests.json").write_text(json.dumps([assignment]))
    (tmp_path / "log.csv").write_text(
        "student,assignment,code,grade,term\np1,a[/b],pass,0,T [red]x\n"
    )
    source = ("table:log.csv", "--tests", "tests.json")
    shown = novicegym("course", "show", *source, cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "a[/b]" in shown.stdout
    assert "Sum a [list]" in shown.stdout
    stats = novicegym("course", "stats", *source, "--assignments", cwd=tmp_path)
    assert stats.returncode == 0, stats.stderr
    assert "T [red]x" in stats.stdout
    assert "a[/b]" in stats.stdout


def test_program_from_stdin_must_be_text(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "novicegym", "grade", "-", "-a", "lsn02_fuelcost"]
    result = subprocess.run(command, input=b"\xff", capture_output=True)
    assert result.returncode == 2
    assert b"not UTF-8 text (byte 0)" in result.stderr


@pytest.mark.parametrize(
    "command",
    ["", "course", "course ls", "course show", "course stats", "course convert",
     "course curate", "course make", "grade", "rollout", "table", "compare", "demo", "cache",
     "cache stats", "cache clear", "cache verify", "sandbox", "sandbox check", "model",
     "report", "train", "play", "tutor", "tutor compare"],
)  # fmt: skip
def test_help_explains(command: str) -> None:
    result = novicegym(*command.split(), "--help")
    assert result.returncode == 0
    assert len(result.stdout.splitlines()) > 5


def test_help_lists_what_there_is() -> None:
    listed = {line.split()[0] for line in novicegym("--help").stdout.splitlines() if line.strip()}
    assert listed >= {"rollout", "table", "report", "compare", "train", "play", "tutor", "demo"}
    assert "compare" in novicegym("tutor", "--help").stdout


def test_version_is_printed() -> None:
    assert novicegym("--version").stdout.strip() == __version__


def test_users_own_agent_is_found_where_the_command_is_run(table: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "class Mine:\n"
        "    name = 'mine'\n"
        "    def act(self, dialogs, infos):\n"
        "        return ['def double(x): return 7'] * len(dialogs)\n"
        "def make(course, seed):\n"
        "    return Mine()\n"
    )
    novicegym("course", "convert", f"table:{table / 'log.csv'}", tmp_path / "c",
              *course_options(table))  # fmt: skip
    run = novicegym("rollout", "-c", "c", "--agent", "mine:make", "-o", "run", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert "mine" in novicegym("table", "run", "--csv", cwd=tmp_path).stdout
    again = ("rollout", "-c", "c", "--agent", "mine:make", "-o", "run")
    assert "nothing was played" in novicegym(*again, cwd=tmp_path).stderr
    (tmp_path / "mine.py").write_text((tmp_path / "mine.py").read_text() + "# changed\n")
    changed = novicegym(*again, cwd=tmp_path)
    assert changed.returncode == 2
    assert "source.agent_code" in changed.stderr
    elsewhere = novicegym("rollout", "--agent", "logged", "-o", ".", cwd=tmp_path)
    assert elsewhere.returncode == 2
    assert "other files" in elsewhere.stderr


def test_table_without_the_extra_leaves_codebleu_out(table: Path, tmp_path: Path) -> None:
    source = f"table:{table / 'log.csv'}"
    novicegym("rollout", "-c", source, *course_options(table), "--agent", "logged", "-o",
              tmp_path / "run")  # fmt: skip
    blocked = (
        "import sys; sys.modules['codebleu'] = sys.modules['tree_sitter'] = None;"
        f"sys.argv = ['novicegym', 'table', {str(tmp_path / 'run')!r}, '--json'];"
        "from novicegym.cli import main; main()"
    )
    result = subprocess.run([sys.executable, "-c", blocked], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "novicegym[eval]" in result.stderr
    [row] = json.loads(result.stdout)["rows"]
    assert (row["coverage"]["micro"], row["codebleu"]["macro"]) == (1, None)


def test_interrupted_rollout_keeps_its_shards_and_can_be_completed(tmp_path: Path) -> None:
    arguments = ["rollout", "--agent", "persistence", "--split", "trajectories:100", "-o", "run"]
    command = [sys.executable, "-m", "novicegym", *arguments]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    shard = tmp_path / "run" / "episodes" / "part-00000.parquet"
    deadline = time.monotonic() + 120
    while not shard.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "interrupted" in errors
    assert novicegym("table", "run", cwd=tmp_path).returncode == 2
    kept = shard.stat().st_mtime_ns
    assert novicegym(*arguments, cwd=tmp_path).returncode == 0
    assert shard.stat().st_mtime_ns == kept
    assert novicegym("table", "run", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("command", "how"),
    [("tutor", "the same command goes on"), ("train", "with --resume"), ("table", "is kept\n")],
)
def test_ctrl_c_says_how_to_go_on(
    command: str, how: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("novicegym.cli.app", lambda: sys.exit(130))
    monkeypatch.setattr(sys, "argv", ["novicegym", command])
    with pytest.raises(SystemExit):
        main()
    assert how in capsys.readouterr().err


def test_ray_for_a_single_shard_is_said_to_gain_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def play(*_: object, **__: object) -> None:
        raise GraderError("enough seen")

    monkeypatch.setattr("novicegym.eval.distributed.rollout_on_ray", play)
    rollout = ["rollout", "--agent", "persistence", "--ray", "--out", str(tmp_path / "run")]
    for trajectories, told in ((32, True), (33, False)):
        result = CliRunner().invoke(app, [*rollout, "--split", f"trajectories:{trajectories}"])
        assert isinstance(result.exception, GraderError)
        assert ("are one shard" in result.output) == told
