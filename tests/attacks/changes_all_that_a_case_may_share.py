"""Changes whatever of its process the next case, or the next program, might see."""

GRADE = 1
OUTCOME = "correct"
CODE = """
import gc, locale, math, os, random, signal, sys, time, warnings
os.environ.clear()
os.environ.update(TZ="Asia/Tokyo", LANG="tr_TR", PYTHONHASHSEED="7", PATH=".")
time.tzset()
os.umask(0o77)
os.makedirs("d", exist_ok=True)
os.chdir("d")
locale.setlocale(locale.LC_ALL, "C")
random.seed(7)
random.random = lambda: 0.5
sys.setrecursionlimit(60)
sys.setswitchinterval(10)
sys.set_int_max_str_digits(640)
sys.path[:] = ["."]
sys.argv[:] = ["mine"]
sys.dont_write_bytecode = False
sys.modules["json"] = sys.modules["decimal"] = None
warnings.simplefilter("error")
gc.disable()
math.pi = 3
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
def f(x): return 2 * x
"""
