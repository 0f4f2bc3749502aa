"""Opens the files that steer the kernel and its own process for writing."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import os
escaped = ""
for path in ("sys/kernel/core_pattern", "sys/kernel/modprobe", "sysrq-trigger", "1/oom_score_adj",
             "self/oom_score_adj", "self/uid_map", "self/mem", "self/clear_refs", "self/comm"):
    try:
        os.close(os.open("/proc/" + path, os.O_WRONLY))
        escaped = "opened /proc/" + path
    except OSError:
        pass
for path in ("/sys/fs/cgroup/cgroup.procs", "/sys/kernel/mm/ksm/run", "/sys/power/state"):
    try:
        os.close(os.open(path, os.O_WRONLY))
        escaped = "opened " + path
    except OSError:
        pass
def f(x): return escaped or 2 * x
"""
