"""Calls the kernel by int 0x80, whose numbers mean other calls: that must end it."""

GRADE = 0
OUTCOME = "runtime"
CODE = """
import ctypes, mmap, os
escaped = "got an answer in 32 bit"
if os.uname().machine == "x86_64":
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(bytes.fromhex("53 b8 14 00 00 00 cd 80 5b c3"))  # getpid
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    ctypes.CFUNCTYPE(ctypes.c_int)(address)()
else:
    os.abort()
def f(x): return escaped
"""
