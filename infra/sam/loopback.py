"""Lets every container that starts reach a port of this machine's loopback under the same address, 127.0.0.1:PORT.

`sam local` puts functions into containers with a network of their own, and `paidonce serve` listens on this machine's
loopback only, as it should. So for each container that starts, this listens on the loopback of the container's network
and carries what comes there to the port out here. It wants Linux and root, since it enters the container's network; on
Docker Desktop `host.docker.internal` reaches this machine's loopback without it.

Called as: loopback.py PORT, and ended with a signal.
"""

import ctypes
import json
import os
import socket
import subprocess
import sys
import threading

CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def enter(namespace: int) -> None:
    """Of this thread only."""
    if libc.setns(namespace, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "the container's network cannot be entered; this wants root")


def listener_in(process: int, port: int) -> socket.socket:
    """A socket belongs for ever to the network in which it was made, so the thread may leave again."""
    home, there = os.open("/proc/self/ns/net", os.O_RDONLY), os.open(f"/proc/{process}/ns/net", os.O_RDONLY)
    try:
        enter(there)
        try:
            return socket.create_server(("127.0.0.1", port), backlog=128)
        finally:
            enter(home)
    finally:
        os.close(home)
        os.close(there)


def carry(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        # One side is gone, so the other has nobody left to talk to.
        for each in (source, target):
            each.close()


def serve(listener: socket.socket, port: int) -> None:
    while True:
        inside, _ = listener.accept()
        try:
            outside = socket.create_connection(("127.0.0.1", port))
        except OSError:
            inside.close()
            continue
        for pair in ((inside, outside), (outside, inside)):
            threading.Thread(target=carry, args=pair, daemon=True).start()


def main() -> None:
    port = int(sys.argv[1])
    watched = ["docker", "events", "--filter", "type=container", "--filter", "event=start", "--format", "{{json .}}"]
    with subprocess.Popen(watched, stdout=subprocess.PIPE, text=True) as events:
        print(f"containers reach 127.0.0.1:{port}", flush=True)
        try:
            for line in events.stdout:
                container = json.loads(line)["id"]
                inspected = ["docker", "inspect", "--format", "{{.State.Pid}}", container]
                process = int(subprocess.run(inspected, capture_output=True, text=True, check=True).stdout)
                try:
                    listener = listener_in(process, port)
                except OSError as error:
                    print(f"{container[:12]}: {error}", file=sys.stderr, flush=True)
                    continue
                threading.Thread(target=serve, args=(listener, port), daemon=True).start()
        finally:
            events.terminate()


main()
