"""An api that reads its port from the .env file beside it."""

from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

lines = (Path(__file__).parent / ".env").read_text().splitlines()
settings = dict(line.split("=", 1) for line in lines if "=" in line)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"{self.path} is in stock\n".encode())

    def log_message(self, *_):
        pass


HTTPServer(("localhost", int(settings["PORT"])), Handler).serve_forever()
