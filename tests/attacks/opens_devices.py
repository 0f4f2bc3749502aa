"""Opens the devices of the machine: memory, disks, terminals, kernel messages, virtual machines."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import os
escaped = ""
for name in ("mem", "kmem", "port", "kmsg", "sda", "vda", "nvme0n1", "loop0", "tty", "tty0", "ptmx",
             "pts/0", "console", "kvm", "fuse", "net/tun", "vhost-net", "userfaultfd", "random",
             "zero", "full", "cpu_dma_latency", "loop-control", "nvidia0", "dri/card0"):
    for mode in (os.O_RDONLY, os.O_WRONLY):
        try:
            os.close(os.open("/dev/" + name, mode | os.O_NONBLOCK | os.O_NOCTTY))
            escaped = "opened /dev/" + name
        except OSError:
            pass
def f(x): return escaped or 2 * x
"""
