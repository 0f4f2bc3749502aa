"""A right program that also tells all it can see of its surroundings.

check.py grades it on a fresh zygote and after every attack, and compares what it told: files,
limits and descriptors; signals, threads and neighbours; the state of the interpreter. It runs
inside the sandbox, knows the canaries by their names (canary.py), and gives each look as a short
text, a long one as the start of it with its length and checksum.
"""

PARTS = 3
"""`look(0)` to `look(PARTS - 1)` are what it can be asked, each a dict of texts by name."""
PROGRAM = r'''
import _locale, _signal, _thread, builtins, ctypes, fcntl, gc, os, random, resource, stat
import sys, time, zlib


def f(x):
    return 2 * x


def told(look, *args):
    """What a look gives, as short text; errors count, too."""
    try:
        text = repr(look(*args))
    except BaseException as error:
        text = f"{type(error).__name__} {getattr(error, 'errno', '')}"
    return text if len(text) < 110 else f"{text[:20]}.. {len(text)} {zlib.crc32(text.encode()):x}"


def marks():
    found = []
    for place in (".", "/tmp", "/var/tmp", "/dev/shm", "/dev", "/run", HOST_FOLDER):
        try:
            found += [place for name in os.listdir(place) if HOST_MARK in name]
        except OSError:
            pass
    return found


def alive(pid):
    try:
        os.kill(pid, 0)
    except OSError:  # EPERM, too: under a filter that is the answer for every number but its own
        return False
    return True


def descriptors():
    found = []
    for fd in range(64):
        try:
            info = os.fstat(fd)
        except OSError:
            continue
        flags = [fcntl.fcntl(fd, command) for command in (fcntl.F_GETFL, fcntl.F_GETFD,
                 fcntl.F_GETOWN, fcntl.F_GETSIG)]
        found.append((fd, stat.S_IFMT(info.st_mode), *flags))
    return found


def hints():
    try:
        return [fcntl.fcntl(fd, 1035, bytes(8)) for fd in (0, 1, 2)]  # F_GET_RW_HINT
    except OSError as error:
        return error.errno


def limits():
    return [resource.getrlimit(getattr(resource, name))
            for name in dir(resource) if name.startswith("RLIMIT")]


def ipc():
    libc = ctypes.CDLL(None)
    return [libc.shmget(HOST_KEY, 0, 0), libc.msgget(HOST_KEY, 0), libc.semget(HOST_KEY, 0, 0)]


def umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


LOOKS = (
    {
        "folder": lambda: os.listdir("."),
        "root": lambda: sorted(os.listdir("/")),
        "marks": marks,
        "working folder": lambda: (oct(os.stat(".").st_mode), os.getcwd()),
        "space": lambda: (os.statvfs(".").f_bfree, os.statvfs(".").f_ffree)
        if os.path.dirname(os.getcwd()) == "/" else None,
        "environment": lambda: sorted(os.environ.items()),
        "umask": umask,
        "limits": limits,
        "descriptors": descriptors,
        "write hints": hints,
        "host name": lambda: os.uname().nodename,
        "System V": ipc,
    },
    {
        "ids": lambda: (len({*os.getresuid(), *os.getresgid()}), os.getuid() == 0, os.getgroups()),
        "session": lambda: (os.getsid(0) == os.getpid(), os.getpgrp() == os.getpid()),
        "scheduling": lambda: os.sched_getscheduler(0),
        "processors": lambda: os.sched_getaffinity(0),
        "signals": lambda: [str(_signal.getsignal(n)) for n in range(1, 65) if n not in (32, 33)],
        "blocked": lambda: sorted(_signal.pthread_sigmask(_signal.SIG_BLOCK, [])),
        "pending": lambda: sorted(_signal.sigpending()),
        "timers": lambda: [_signal.getitimer(n) for n in (0, 1, 2)],
        "threads": lambda: _thread._count(),
        "others": lambda: os.kill(-1, 0),
        "neighbours": lambda: [p for p in range(2, 200) if p != os.getpid() and alive(p)]
        if os.getppid() == 1 else None,
    },
    {
        "recursion limit": sys.getrecursionlimit,
        "path": lambda: sys.path,
        "importers": lambda: [type(part).__name__ for part in (*sys.meta_path, *sys.path_hooks)],
        "modules": lambda: sorted(sys.modules),
        "builtins": lambda: sorted((n, type(v).__name__) for n, v in vars(builtins).items()),
        "random": random.random,
        "time zone": lambda: (time.tzname, time.timezone),
        "locale": lambda: _locale.setlocale(_locale.LC_ALL, None),
        "flags": lambda: str(sys.flags),
        "garbage": lambda: (gc.isenabled(), gc.get_threshold(), gc.callbacks),
        "hooks": lambda: (sys.gettrace(), sys.getprofile(), sys.excepthook is sys.__excepthook__),
        "digits": sys.get_int_max_str_digits,
        "arguments": lambda: (sys.argv, sys.orig_argv),
        "streams": lambda: [type(s).__name__ for s in (sys.stdin, sys.stdout, sys.__stdout__)],
    },
)


def look(part):
    return {name: told(look) for name, look in LOOKS[part].items()}
'''
