//! The same project in TOML, JSON and YAML.

use std::fs;

use super::{port_of, read, write};
use pk_tests::{Ports, TestEnv};

#[test]
fn all_forms_mean_the_same() {
    let ports = Ports::claim(2);
    let (first, last) = (ports.at(0), ports.at(1));
    let forms = [
        (
            "portkeeper.toml",
            format!(
                "[ports.web]\nrange = [{first}, {last}]\n[[outputs]]\ntype = 'env'\npath = '.env'\n[outputs.map]\nURL = 'http://x:${{WEB_PORT}}'\n"
            ),
        ),
        (
            "pk.config.json",
            format!(
                r#"{{"ports": {{"web": {{"range": [{first}, {last}]}}}},
                    "outputs": [{{"type": "env", "path": ".env", "map": {{"URL": "http://x:${{WEB_PORT}}"}}}}]}}"#
            ),
        ),
        (
            "pk.config.yaml",
            format!(
                "ports:\n  web:\n    range: [{first}, {last}]\noutputs:\n  - type: env\n    path: .env\n    map:\n      URL: http://x:${{WEB_PORT}}\n"
            ),
        ),
    ];
    let env = TestEnv::new();
    for (name, text) in forms {
        write(&env, name, &text);
        let answer = env.pk("prepare").ok().json();
        let port = port_of(&answer, "web");
        assert!(port == first || port == last, "{name}");
        assert_eq!(
            read(&env, ".env"),
            format!("URL=http://x:{port}\n"),
            "{name}"
        );
        let wrong = text.replace("ports", "prots");
        write(&env, name, &wrong);
        env.pk("prepare")
            .refused(6)
            .says(format!("{name}:1:"))
            .says("did you mean ports?");
        fs::remove_file(env.path(name)).unwrap();
    }
}
