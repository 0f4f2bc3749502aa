"""Holds in several processes together more than a program may have."""

GRADE = 1
OUTCOME = "correct"
NEEDS = ("rlimits",)
CODE = """
import mmap, os, resource, signal, time
limit = resource.getrlimit(resource.RLIMIT_AS)[0]
limit = min(limit, 1 << 27) if limit > 0 else 1 << 27
def hold(report):
    try:
        mine = mmap.mmap(-1, limit // 3, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        for place in range(0, len(mine), 4096):
            mine[place] = 1
        os.write(report, b"1")
    except (OSError, ValueError, MemoryError):
        os.write(report, b"0")
    time.sleep(20)
    os._exit(0)
r, w = os.pipe()
held, started = 0, []
try:
    for _ in range(5):
        pid = os.fork()
        if pid == 0:
            hold(w)
        started.append(pid)
        held += os.read(r, 1) == b"1"
except OSError:
    pass
for pid in started:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
escaped = f"held {held} thirds of its memory limit" if held > 3 else ""
def f(x): return escaped or 2 * x
"""
