"""Maps a file it wrote as machine code, as importing a compiled module of its own would."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import mmap, os
escaped = ""
with open("code", "wb") as file:
    file.write(bytes(4096))
fd = os.open("code", os.O_RDWR)
for kind in (mmap.MAP_PRIVATE, mmap.MAP_SHARED):
    try:
        mmap.mmap(fd, 4096, kind, mmap.PROT_READ | mmap.PROT_EXEC).close()
        escaped = "mapped its file as code"
    except OSError:
        pass
os.close(fd)
def f(x): return escaped or 2 * x
"""
