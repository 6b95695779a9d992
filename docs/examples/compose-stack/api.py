"""Answers what is asked."""

import os
from http.server import BaseHTTPRequestHandler, HTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"api heard {self.path}\n".encode())

    def log_message(self, *_):
        pass


HTTPServer((os.environ.get("BIND", "127.0.0.1"), int(os.environ["API_PORT"])), Handler).serve_forever()
