"""Reads and writes the memory of its zygote and of the host's processes."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
buffer = ctypes.create_string_buffer(64)
here = (ctypes.c_size_t * 2)(ctypes.addressof(buffer), 64)
there = (ctypes.c_size_t * 2)(8, 64)
escaped = ""
for pid in (os.getppid(), HOST_PID, HOST_SUPERVISOR):
    for call in (libc.process_vm_readv, libc.process_vm_writev):
        # A wrong address of a process it may reach is EFAULT; one that it may not is EPERM.
        if call(pid, here, 1, there, 1, 0) >= 0 or ctypes.get_errno() == errno.EFAULT:
            escaped = f"reached the memory of {pid}"
    try:
        with open(f"/proc/{pid}/mem", "rb"):
            escaped = f"opened the memory of {pid}"
    except OSError:
        pass
def f(x): return escaped or 2 * x
"""
