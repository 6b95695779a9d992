//! Servers in C and Rust.

use pk_tests::rival::Options;

use super::{ADOPTED, HTTP, INHERITED, RELAXED, Server, Way, serve};

const NGINX: Server = Server {
    version: "nginx -v",
    files: &[
        ("nginx.conf", include_str!("nginx.conf")),
        ("listen.conf", "listen 127.0.0.1:{port};"),
    ],
    command: "nginx -e stderr -p . -c nginx.conf",
    listens: &["127.0.0.1"],
    shares: false,
    talk: HTTP,
};

const NGINX_EVERYWHERE: Server = Server {
    files: &[
        ("nginx.conf", include_str!("nginx.conf")),
        ("listen.conf", "listen {port}; listen [::]:{port};"),
    ],
    listens: &["0.0.0.0", "::"],
    ..NGINX
};

const NGINX_SHARING: Server = Server {
    files: &[
        ("nginx.conf", include_str!("nginx.conf")),
        ("listen.conf", "listen 127.0.0.1:{port} reuseport;"),
    ],
    ..NGINX
};

const REDIS: Server = Server {
    version: "redis-server --version",
    files: &[],
    command: "redis-server --port {port} --bind {host} --save",
    listens: &["127.0.0.1"],
    shares: false,
    talk: ("PING\r\n", "+PONG"),
};

const REDIS_EVERYWHERE: Server = Server {
    command: "redis-server --port {port} --save",
    listens: &["0.0.0.0", "::"],
    ..REDIS
};

const RUST: Server = Server {
    version: "true",
    files: &[],
    command: "actor serve {host} {port}",
    listens: &["127.0.0.1"],
    shares: false,
    talk: ("", "\n"),
};

/// With more than one socket that shares the address others of the same user get in, as without
/// us; those who do not ask to share do not.
const SHARED: Way = Way {
    keeps_out: |_, bid| bid.options != Options::Share,
    ..ADOPTED
};

#[test]
fn nginx() {
    serve(&[&NGINX], &[&ADOPTED, &RELAXED]);
    serve(&[&NGINX_EVERYWHERE], &[&ADOPTED]);
    serve(&[&NGINX_SHARING], &[&SHARED]);
}

#[test]
fn redis() {
    serve(&[&REDIS, &REDIS_EVERYWHERE], &[&ADOPTED, &RELAXED]);
}

#[test]
fn rust() {
    let on = |listens: &'static [&'static str], command| Server {
        listens,
        command,
        ..RUST
    };
    serve(&[&RUST], &[&ADOPTED, &RELAXED, &INHERITED]);
    serve(
        &[
            &on(&["0.0.0.0"], "actor serve 0.0.0.0 {port}"),
            &on(&["::1"], "actor serve ::1 {port}"),
            &on(&["::"], "actor serve :: {port}"),
            &on(&["::ffff:127.0.0.1"], "actor serve ::ffff:127.0.0.1 {port}"),
        ],
        &[&ADOPTED],
    );
}
