"""A person at a terminal: starts a program through portkeeper, interrupts, stops and resumes it."""
import os, pty, select, sys, time

pid, terminal = pty.fork()
if pid == 0:
    os.environ["PS1"] = "prompt> "
    os.execvp("bash", ["bash", "--norc", "--noprofile", "--noediting", "-i"])

seen = b""


def expect(text):
    """Reads until the text has come; gives back what came before it."""
    global seen
    limit = time.monotonic() + 60
    while text.encode() not in seen:
        ready, _, _ = select.select([terminal], [], [], max(0, limit - time.monotonic()))
        if not ready:
            sys.exit(f"no {text!r} in {seen!r}")
        seen += os.read(terminal, 4096)
    before, seen = seen.split(text.encode(), 1)
    return before.decode()


def type_in(text):
    os.write(terminal, text.encode())


RUN = f"portkeeper run --range {sys.argv[1]} -- "

expect("prompt> ")
type_in("stty -echo\n")
expect("prompt> ")
# What is typed goes to the program.
type_in(RUN + "sh -c 'echo up; read line; echo it was $line'\n")
expect("up")
type_in("typed\n")
expect("it was typed")
expect("prompt> ")
# An interrupt ends it, and the shell is asked next.
type_in(RUN + "sh -c 'echo up; exec sleep 1000'; echo code $?\n")
expect("up")
type_in("\x03")
expect("prompt> ")
type_in("echo alive\n")
expect("alive")
expect("prompt> ")
# A stop is a stop of the job; it goes on in the foreground, and reads.
type_in(RUN + "sh -c 'echo up; read line; echo then $line'\n")
expect("up")
type_in("\x1a")
expect("Stopped")
expect("prompt> ")
type_in("fg\n")
expect("portkeeper run")
type_in("later\n")
expect("then later")
expect("prompt> ")
# In the background it is stopped when it wants to read, and goes on when it may.
type_in(RUN + "sh -c 'echo up; read line; echo back $line' &\n")
expect("up")
limit = time.monotonic() + 60
listed = ""
while "Stopped" not in listed:
    if time.monotonic() > limit:
        sys.exit(f"not stopped: {listed!r}")
    type_in("jobs; echo listed\n")
    listed = expect("listed")
type_in("fg\n")
expect("portkeeper run")
type_in("now\n")
expect("back now")
type_in("exit\n")
os.waitpid(pid, 0)
print("done")
