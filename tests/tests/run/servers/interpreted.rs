//! Servers in Python, JavaScript and Java.

use super::{ADOPTED, HTTP, RELAXED, Server, serve};

pub(super) const PYTHON: Server = Server {
    version: "python3 --version",
    files: &[],
    command: "python3 -m http.server --bind {host} {port}",
    listens: &["127.0.0.1"],
    shares: false,
    talk: HTTP,
};

const PYTHON_EVERYWHERE: Server = Server {
    command: "python3 -m http.server {port}",
    listens: &["0.0.0.0"],
    ..PYTHON
};

const PYTHON_DUAL: Server = Server {
    command: "python3 -m http.server --bind :: {port}",
    listens: &["::"],
    ..PYTHON
};

pub(super) const NODE: Server = Server {
    version: "node --version",
    files: &[(
        "server.js",
        "const [port, host] = process.argv.slice(2);
        require('http').createServer((_, to) => to.end('up')).listen(port, host);",
    )],
    command: "node server.js {port} {host}",
    listens: &["127.0.0.1"],
    shares: false,
    talk: HTTP,
};

const NODE_EVERYWHERE: Server = Server {
    command: "node server.js {port}",
    listens: &["::"],
    ..NODE
};

const NODE_CLUSTER: Server = Server {
    files: &[(
        "server.js",
        "const cluster = require('cluster');
        if (cluster.isPrimary) for (let i = 0; i < 3; i++) cluster.fork();
        else require('http').createServer((_, to) => to.end('up')).listen(...process.argv.slice(2));",
    )],
    ..NODE
};

pub(super) const UVICORN: Server = Server {
    version: "uvicorn --version",
    files: &[(
        "app.py",
        "async def app(scope, receive, send):
    if scope['type'] != 'http':
        return
    await send({'type': 'http.response.start', 'status': 200, 'headers': []})
    await send({'type': 'http.response.body', 'body': b'up'})
",
    )],
    command: "uvicorn --lifespan off --host {host} --port {port} app:app",
    listens: &["127.0.0.1"],
    shares: false,
    talk: HTTP,
};

const UVICORN_RELOAD: Server = Server {
    command: "uvicorn --lifespan off --reload --host {host} --port {port} app:app",
    ..UVICORN
};

const UVICORN_EVERYWHERE: Server = Server {
    command: "uvicorn --lifespan off --host 0.0.0.0 --port {port} app:app",
    listens: &["0.0.0.0"],
    ..UVICORN
};

pub(super) const GUNICORN: Server = Server {
    version: "gunicorn --version",
    files: &[(
        "wsgi.py",
        "def app(environ, start):
    start('200 OK', [])
    return [b'up']
",
    )],
    command: "gunicorn --bind {host}:{port} wsgi:app",
    listens: &["127.0.0.1"],
    shares: false,
    talk: HTTP,
};

const GUNICORN_WORKERS: Server = Server {
    shares: true,
    command: "gunicorn --reuse-port --workers 3 --bind {host}:{port} wsgi:app",
    ..GUNICORN
};

const GUNICORN_EVERYWHERE: Server = Server {
    command: "gunicorn --bind :{port} wsgi:app",
    listens: &["0.0.0.0"],
    ..GUNICORN
};

const FLASK: Server = Server {
    version: "flask --version",
    files: &[(
        "web.py",
        "import flask
app = flask.Flask('web')
app.route('/')(lambda: 'up')
",
    )],
    command: "flask --app web run --port {port}",
    listens: &["127.0.0.1"],
    shares: false,
    talk: HTTP,
};

const FLASK_DEBUG: Server = Server {
    command: "flask --app web --debug run --port {port}",
    ..FLASK
};

const JAVA: Server = Server {
    version: "java --version",
    files: &[(
        "Serve.java",
        "import com.sun.net.httpserver.HttpServer;
        import java.net.InetSocketAddress;
        class Serve {
            public static void main(String[] words) throws Exception {
                var address = new InetSocketAddress(words[0], Integer.parseInt(words[1]));
                var server = HttpServer.create(address, 0);
                server.createContext(\"/\", to -> { to.sendResponseHeaders(200, -1); to.close(); });
                server.start();
            }
        }",
    )],
    command: "java -Xshare:auto -XX:TieredStopAtLevel=1 Serve.java {host} {port}",
    // A socket of IPv6, which can reach nothing but IPv4 by this address.
    listens: &["::ffff:127.0.0.1"],
    shares: false,
    talk: HTTP,
};

#[test]
fn python() {
    serve(&[&PYTHON], &[&ADOPTED, &RELAXED]);
    serve(&[&PYTHON_EVERYWHERE, &PYTHON_DUAL], &[&ADOPTED]);
}

#[test]
fn node() {
    serve(&[&NODE], &[&ADOPTED, &RELAXED]);
    serve(&[&NODE_EVERYWHERE, &NODE_CLUSTER], &[&ADOPTED]);
}

#[test]
fn uvicorn() {
    serve(&[&UVICORN], &[&ADOPTED, &RELAXED]);
    serve(&[&UVICORN_RELOAD, &UVICORN_EVERYWHERE], &[&ADOPTED]);
}

#[test]
fn gunicorn() {
    serve(&[&GUNICORN], &[&ADOPTED, &RELAXED]);
    serve(&[&GUNICORN_WORKERS, &GUNICORN_EVERYWHERE], &[&ADOPTED]);
}

#[test]
fn flask() {
    serve(&[&FLASK], &[&ADOPTED, &RELAXED]);
    serve(&[&FLASK_DEBUG], &[&ADOPTED]);
}

#[test]
fn java() {
    serve(&[&JAVA], &[&ADOPTED]);
}
