"""The attack suite: programs that try to leave the sandbox, to fool the grader or to outlive it.

One file each, named by what it tries. `novicegym.grading.check` runs them, installed too: these
files are the package `novicegym.grading.attacks`. A file holds

    its docstring   what it tries, in a sentence
    CODE            the program
    GRADE, OUTCOME  the honest verdict; several outcomes where it depends on timing
    KIND            call (default): f(3) is 6, f(5) is 10, f(-1) is -2; io: reads a number, prints
                    its double; script: a FalconCode test script runs it and calls its f
    NEEDS           layers of which one must be in force, else running it would harm the machine

An attack that tries to get out answers honestly otherwise: f(x) is 2 * x unless it got out. One
that tries to forge a verdict earns nothing. Whatever succeeds must be harmless, bounded in time
and memory, and aim at nothing but the canaries, which CODE knows by these names:

    HOST_FILE, HOST_FOLDER          a file with a secret, in a folder that anybody may write to
    HOST_PORT, HOST_SOCKET, HOST_UNIX   a TCP and UDP port, an abstract socket, a socket's file
    HOST_PID, HOST_SUPERVISOR       a process that notes its signals, and the caller
    HOST_KEY, HOST_MARK             of what is shared: a System V key, and a word for file names
    HOST_PACKAGE                    the folder of the grader's own code

The file data.txt lies in the working folder of every case.
"""
