"""Sends answers of kinds that the grader's reader must not trip over."""

GRADE = 0
OUTCOME = "refused"
CODE = r"""
import os
lines = ['["case",["zz"],"",false,"",null]', '["case",["i","0x1g"],"",false,"",null]',
         '["case",["d",1],"",false,"",null]', '["case",["s",["l"]],"",false,"",null]',
         '["case",["c",1],"",false,"",null]', '["case",["f",7],"",false,"",null]',
         '["case",1e999999,"",false,"",null]', '["case",["i","-0x_"],0,false,"",null]',
         '["case"]', '["case",{"l":1},"",false,"",null]', '["case",[],"",false,"",null]']
start = f.count if "f" in dir() else 0
def f(x):
    for fd in range(3, 64):
        try:
            os.write(fd, ("\n".join(lines) + "\n").encode())
        except OSError:
            pass
    os._exit(0)
"""
