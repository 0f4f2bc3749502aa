"""Writes lines in the grader's own protocol that claim success, to every descriptor, and ends."""

GRADE = 0
OUTCOME = "runtime"
CODE = r"""
import os
lines = [b'["end"]', b'["case",true,"",false,"",null]', b'["case",["o","6"],"",false,"",null]',
         b'["result",100,"",null,true]', b'["verdict","correct"]', b'["correct"]', b'["ask",null]']
for fd in range(3, 64):
    try:
        os.write(fd, b"\n".join(lines[1:3] + lines[:1] + lines[3:]) + b"\n")
    except OSError:
        pass
os._exit(0)
"""
