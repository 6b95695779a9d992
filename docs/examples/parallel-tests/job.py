"""One job: starts the server on the port of this job, and asks it."""

import os
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.request import urlopen

PORT = int(os.environ["SERVER_PORT"])


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(str(PORT).encode())

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", PORT), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
for _ in range(20):
    # Whoever else listened here would give another answer.
    assert urlopen(f"http://127.0.0.1:{PORT}/", timeout=10).read() == str(PORT).encode()
print(f"job on {PORT} ok")
