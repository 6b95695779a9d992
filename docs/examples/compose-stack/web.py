"""Asks the api, wherever that is."""

import os
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.request import urlopen


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        answer = urlopen(os.environ["API_URL"] + self.path, timeout=10).read()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"web says: " + answer)

    def log_message(self, *_):
        pass


HTTPServer((os.environ.get("BIND", "127.0.0.1"), int(os.environ["WEB_PORT"])), Handler).serve_forever()
