"""A server that lives as servers do: alone, with workers, or as a daemon. Each start takes the next
of its addresses; each client is told the number of the process that serves it.

    server.py alone|workers|daemon PORT ADDRESS..."""

import os
import signal
import socket
import sys


def listen(port, addresses):
    with open("starts", "a+") as starts:
        starts.write(".")
        starts.flush()
        start = os.path.getsize("starts") - 1
    address = addresses[min(start, len(addresses) - 1)]
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    listener.listen()
    return listener


def serve(listener):
    while True:
        client, _ = listener.accept()
        client.sendall(b"%d\n" % os.getpid())
        client.close()


def workers(listener):
    """Whoever of them ends is replaced; the parent has no socket of its own to serve."""
    for _ in range(3):
        fork(serve, listener)
    while True:
        os.wait()
        fork(serve, listener)


def daemon(port, addresses):
    """The child of a child that has left everything, and opens its socket only there."""
    def middle():
        os.setsid()
        fork(lambda: serve(listen(port, addresses)))
    fork(middle)
    os.wait()
    while True:
        signal.pause()


def fork(work, *words):
    if os.fork() == 0:
        try:
            work(*words)
        finally:
            os._exit(1)


way, port, addresses = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
if way == "daemon":
    daemon(port, addresses)
{"alone": serve, "workers": workers}[way](listen(port, addresses))
