#!/usr/bin/env python3
"""An HTTP server on loopback that keeps what it gets and answers as the path says.

usage: http_sink.py PORT_FILE LOG [CERT KEY]

/ok: 200. /code/N: that status. /flaky/K: 503 the first K times, then 200. /busy/K/S: 429 with
Retry-After: S the first K times. /json/K: {"state": "running"} the first K times, then "done" with an
ETag. /big: two million bytes. /to/WORD...: a redirect to /WORD... /hang: no answer. /drop: the connection is closed. /echo: 404 with the path. /back/N: 404 with
N letters and the bearer. Each request is
a line of JSON in LOG.
"""
import http.server
import json
import os
import ssl
import sys
import threading
import time

counts = {}
lock = threading.Lock()


class Sink(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def keep(self, body):
        line = json.dumps({"method": self.command, "path": self.path, "at": time.time(),
                           "headers": {k.lower(): v for k, v in self.headers.items()},
                           "body": body.decode("utf-8", "replace")})
        with lock:
            counts[self.path] = counts.get(self.path, 0) + 1
            with open(sys.argv[2], "a") as f:
                f.write(line + "\n")
            return counts[self.path]

    def answer(self, status, text="ok", headers=()):
        data = text.encode()
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def handle_any(self):
        n = self.keep(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        word = self.path.strip("/").split("/")
        if word[0] == "code":
            self.answer(int(word[1]), "as asked")
        elif word[0] == "echo":
            self.answer(404, self.path + " is not here")
        elif word[0] == "back":
            self.answer(404, "x" * int(word[1]) + self.headers.get("Authorization", "Bearer ")[7:])
        elif word[0] == "flaky" and n <= int(word[1]):
            self.answer(503, "not now")
        elif word[0] == "busy" and n <= int(word[1]):
            self.answer(429, "slow down", [("Retry-After", word[2])])
        elif word[0] == "json" and n <= int(word[1]):
            self.answer(200, '{"state": "running", "jobs": [{"a/b": 1}]}')
        elif word[0] == "json":
            self.answer(200, '{"state": "done", "jobs": [{"a/b": 2}]}', [("ETag", '"v7"')])
        elif word[0] == "big":
            self.answer(200, "x" * 2000000)
        elif word[0] == "to":
            self.answer(302, "there", [("Location", "/" + "/".join(word[1:]))])
        elif word[0] == "hang":
            time.sleep(30)
        elif word[0] == "drop":
            self.close_connection = True
            self.connection.close()
        else:
            self.answer(200)

    do_POST = do_GET = do_PUT = handle_any


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass


server = Server(("127.0.0.1", 0), Sink)
if len(sys.argv) > 3:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[3], sys.argv[4])
    server.socket = context.wrap_socket(server.socket, server_side=True)
with open(sys.argv[1] + ".new", "w") as f:
    f.write(str(server.server_address[1]))
os.rename(sys.argv[1] + ".new", sys.argv[1])
server.serve_forever()
