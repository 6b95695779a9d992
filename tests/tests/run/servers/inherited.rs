//! Servers that take over a socket that is open already: by an option, by `LISTEN_FDS`, by its
//! number.

use super::interpreted::{GUNICORN, NODE, PYTHON, UVICORN};
use super::{INHERITED, Server, serve};

#[test]
fn uvicorn_by_an_option() {
    let with = |command| Server { command, ..UVICORN };
    serve(
        &[
            &with("uvicorn --lifespan off --fd {fd} app:app"),
            &with("uvicorn --lifespan off --reload --fd {fd} app:app"),
        ],
        &[&INHERITED],
    );
}

#[test]
fn gunicorn_by_an_option_and_by_the_environment() {
    let with = |command| Server {
        command,
        ..GUNICORN
    };
    serve(
        &[
            &with("gunicorn --bind fd://{fd} wsgi:app"),
            &with("gunicorn --workers 2 wsgi:app"),
        ],
        &[&INHERITED],
    );
}

#[test]
fn node_by_its_number() {
    let server = Server {
        files: &[(
            "server.js",
            "require('http').createServer((_, to) => to.end('up')).listen({ fd: 3 });",
        )],
        command: "node server.js",
        ..NODE
    };
    serve(&[&server], &[&INHERITED]);
}

#[test]
fn python_by_its_number() {
    let server = Server {
        files: &[(
            "server.py",
            "import http.server, socket
class Server(http.server.HTTPServer):
    def server_bind(self):
        self.socket.close()
        self.socket = socket.socket(fileno=3)
Server(None, http.server.SimpleHTTPRequestHandler).serve_forever()
",
        )],
        command: "python3 server.py",
        ..PYTHON
    };
    serve(&[&server], &[&INHERITED]);
}
