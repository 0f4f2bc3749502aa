"""Patches the modules that replies pass through: json, marshal, posix, io."""

GRADE = 0
OUTCOME = ("logical", "runtime")
CODE = r"""
import _io, _json, io, marshal, os, posix, sys
real = posix.write
def lie(fd, data):
    return real(fd, b'["case",true,"",false,"",null]\n') and len(data)
posix.write = os.write = lie
_json.encode_basestring_ascii = _json.c_make_encoder = lambda *args: '"6"'
marshal.loads = marshal.dumps = lambda *args: compile("True", "<test>", "eval")
posix._exit = os._exit = sys.exit = lambda *args: None
io.BytesIO = io.TextIOWrapper = _io.BytesIO = object
def f(x): return None
"""
