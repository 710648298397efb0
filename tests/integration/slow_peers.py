"""Peers on loopback that take their time: a backend, an upstream, and clients that put load on a server."""

import socket
import socketserver
import threading
import time


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64


def _serve(address, handler):
    server = _Server(address, handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


def backend(seconds, address=("127.0.0.1", 0)):
    """Answers each byte with a byte. To be ended with close()."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            while self.request.recv(1):
                time.sleep(seconds)
                self.request.sendall(b"!")

    return _serve(address, Handler)


def upstream(seconds, address=("127.0.0.1", 0)):
    """An HTTP server with one short page."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            while self.rfile.readline().strip():
                pass
            time.sleep(seconds)
            self.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\npage\n")

    return _serve(address, Handler)


def close(server):
    server.shutdown()
    server.server_close()


def ask(port, request, times, clients):
    """So many requests, each over a connection of its own, by so many clients at a time."""
    left = threading.Semaphore(times)
    failures = []

    def client():
        while left.acquire(blocking=False):
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
                    connection.sendall(request)
                    if not connection.recv(64):
                        failures.append("no answer")
            except OSError as error:
                failures.append(str(error))

    threads = [threading.Thread(target=client, daemon=True) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return failures
