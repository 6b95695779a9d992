//! What a file says, and what it may not mean.

use super::*;

const WHOLE: &str = r#"
[ports.web]
preferred = 28080
range = [28080, 28180]
env = "WEB"
host = "localhost"
proto = "tcp"
hold = true

[ports.api-2]
range = ["20000-20010", "30000-30010"]

[vars]
URL = "http://${API_2_HOST}:${API_2_PORT}"

[[outputs]]
type = "env"
path = ".env"

[[outputs]]
type = "json"
path = "config.json"
map."/api/url" = "${URL}"

[profiles.test]
only = ["web"]
ports.web.preferred = 38080
vars.URL = "x"
outputs = []
"#;

fn parse(text: &str, profile: Option<&str>) -> Result<Definition, String> {
    let path = Path::new("/p/portkeeper.toml");
    Definition::parse(text.as_bytes(), path, profile).map_err(|error| error.to_string())
}

#[test]
fn everything_is_read() {
    let all = parse(WHOLE, None).unwrap();
    assert_eq!(all.folder(), Path::new("/p"));
    let [web, api] = all.ports.as_slice() else {
        panic!("{all:?}")
    };
    assert_eq!((web.name.as_str(), web.env.as_str()), ("web", "WEB"));
    assert_eq!(
        (web.keys.preferred.map(Port::number), web.keys.hold),
        (Some(28080), Some(true))
    );
    assert_eq!(
        (api.name.as_str(), api.env.as_str()),
        ("api-2", "API_2_PORT")
    );
    assert_eq!(api.keys.ranges.len(), 2);
    assert_eq!(all.outputs[1].label(), "output 2 (json, config.json)");
    let test = parse(WHOLE, Some("test")).unwrap();
    let [web] = test.ports.as_slice() else {
        panic!("{test:?}")
    };
    assert_eq!((web.name.as_str(), web.env.as_str()), ("test/web", "WEB"));
    assert_eq!(web.keys.preferred.map(Port::number), Some(38080));
    assert_eq!(
        (test.vars[0].text.text.as_str(), test.outputs.len()),
        ("x", 0)
    );
}

#[test]
fn the_published_schema_knows_the_same_keys() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/reference/portkeeper.schema.json"
    );
    let bytes = files::read(Path::new(path)).unwrap();
    let schema: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    let check = |place: &str, known: &[&str]| {
        let object = schema.pointer(place).and_then(serde_json::Value::as_object);
        let mut keys: Vec<_> = object.unwrap().keys().map(String::as_str).collect();
        let mut known = known.to_vec();
        keys.sort_unstable();
        known.sort_unstable();
        assert_eq!(keys, known, "{place}");
    };
    check("/properties", &reader::ROOT_KEYS);
    check(
        "/$defs/ports/additionalProperties/properties",
        &reader::PORT_KEYS,
    );
    check("/$defs/outputs/items/properties", &reader::OUTPUT_KEYS);
    check(
        "/properties/profiles/additionalProperties/properties",
        &reader::PROFILE_KEYS,
    );
    let types = schema
        .pointer("/$defs/outputs/items/properties/type/enum")
        .unwrap();
    let words = OutputKind::ALL.map(OutputKind::word);
    assert_eq!(types, &serde_json::json!(words));
}

/// What is something else than it has to be.
const NEEDED: [(&str, &str); 22] = [
    ("ports = 1\n", "1:9: a table is needed here, not a number"),
    (
        "[ports]\na = 1\n",
        "2:5: a table is needed here, not a number",
    ),
    (
        "[ports.a]\nenv = 1\n",
        "2:7: a text is needed here, not a number",
    ),
    (
        "[ports.a]\nhost = 1\n",
        "2:8: a text is needed here, not a number",
    ),
    (
        "[ports.a]\nproto = 'x'\n",
        "2:9: not a protocol: x (tcp, udp or both)",
    ),
    (
        "[ports.a]\nproto = []\n",
        "2:9: a text is needed here, not a list",
    ),
    (
        "[ports.a]\nhold = 'x'\n",
        "2:8: true or false is needed here, not a text",
    ),
    (
        "[ports.a]\nrange = true\n",
        "2:9: a range, such as [8000, 8100], is needed here, not true or false",
    ),
    (
        "[ports.a]\nrange = [1, 'x']\n",
        "2:13: a number is needed here, not a text",
    ),
    (
        "[ports.a]\nrange = [0, 1]\n",
        "2:10: not a port: 0 (a port is a number from 1 to 65535)",
    ),
    (
        "[ports.a]\n[vars]\n'A-B' = 'x'\n",
        "3:1: not a variable: A-B",
    ),
    (
        "[ports.a]\n[vars]\nA = true\n",
        "3:5: a text is needed here, not true or false",
    ),
    (
        "vars = 1\n[ports.a]\n",
        "1:8: a table is needed here, not a number",
    ),
    (
        "outputs = 1\n[ports.a]\n",
        "1:11: a list is needed here, not a number",
    ),
    (
        "[ports.a]\n[[outputs]]\ntype = 1\n",
        "3:8: a text is needed here, not a number",
    ),
    (
        "[ports.a]\n[[outputs]]\ntype = 'env'\n",
        "2:1: an output needs a path",
    ),
    (
        "[ports.a]\n[[outputs]]\ntype = 'env'\npath = ''\n",
        "4:8: a path has at least one character",
    ),
    (
        "[ports.a]\n[[outputs]]\ntype = 'js'\npath = 'x'\nmap = { a = 1 }\n",
        "5:13: a text is needed here, not a number",
    ),
    (
        "[ports.a]\n[[outputs]]\ntype = 'js'\npath = 'x'\nvariable = 'a-b'\n",
        "5:12: not a variable of a script: a-b",
    ),
    (
        "[ports.a]\n[profiles.'a b']\n",
        "2:11: not a name: a b (1 to 64 letters, digits and -_./, the first a letter or a digit)",
    ),
    (
        "[ports.a]\n[profiles.t]\nonly = 1\n",
        "3:8: a list is needed here, not a number",
    ),
    (
        "[ports.a]\n[profiles.t]\nvars = 1\n",
        "3:8: a table is needed here, not a number",
    ),
];

#[test]
fn what_means_nothing_has_a_place_and_a_hint() {
    let check = |text: &str, expect: &str| {
        let expect = format!("/p/portkeeper.toml:{expect}");
        assert_eq!(parse(text, None).unwrap_err(), expect, "{text}");
    };
    check("", "1:1: there is no [ports.NAME]");
    check(
        "prots.a = {}\n",
        "1:1: unknown key prots; did you mean ports?",
    );
    check(
        "[ports.a]\nprefered = 1\n",
        "2:1: unknown key prefered; did you mean preferred?",
    );
    check(
        "[ports.a]\nzzz = 1\n",
        "2:1: unknown key zzz (known: preferred, range, env, host, proto, hold)",
    );
    check(
        "[ports.a]\npreferred = 0\n",
        "2:13: not a port: 0 (a port is a number from 1 to 65535)",
    );
    check(
        "[ports.a]\npreferred = 'x'\n",
        "2:13: a number is needed here, not a text",
    );
    check(
        "[ports.a]\nrange = [5, 1]\n",
        "2:9: not a range: 5-1 (the first port comes after the last)",
    );
    check(
        "[ports.'a b']\n",
        "1:8: not a name: a b (1 to 64 letters, digits and -_./, the first a letter or a digit)",
    );
    check("[ports.a]\nenv = 'A-B'\n", "2:7: not a variable: A-B");
    check(
        "[ports.a]\nenv = 'X'\n[ports.b]\nenv = 'X'\n",
        "4:7: X is the variable of another port",
    );
    check(
        "[ports.a]\nenv = 'X'\n[vars]\nX = '1'\n",
        "4:1: X is the variable of a port",
    );
    check(
        "[ports.a]\n[[outputs]]\npath = 'x'\n",
        "2:1: an output needs a type",
    );
    check(
        "[ports.a]\n[[outputs]]\ntype = 'yaml'\npath = 'x'\n",
        "3:8: not a type of outputs: yaml (env, json, toml, template, compose, js)",
    );
    check(
        "[ports.a]\n[[outputs]]\ntype = 'json'\npath = 'x'\n",
        "2:1: an output of type json needs a map",
    );
    check(
        "[ports.a]\n[[outputs]]\ntype = 'template'\npath = 'x'\n",
        "2:1: an output of type template needs a template",
    );
    check(
        "[ports.a]\n[[outputs]]\ntype = 'env'\npath = 'x'\ntemplate = 'y'\n",
        "5:1: an output of type env has no template",
    );
    check(
        "[ports.a]\n[profiles.t]\nonly = ['b']\n",
        "3:9: there is no port b",
    );
    check(
        "[ports.a]\n[profiles.t.ports.b]\n",
        "2:19: there is no port b",
    );
    for (text, expect) in NEEDED {
        check(text, expect);
    }
    check(
        "a = \n",
        "1:5: string values must be quoted, expected literal string",
    );
    assert_eq!(
        parse("[ports.a]\n", Some("x")).unwrap_err(),
        "/p/portkeeper.toml has no profile x"
    );
    let nothing = "[ports.a]\n[profiles.t]\nonly = []\n";
    assert_eq!(
        parse(nothing, Some("t")).unwrap_err(),
        "/p/portkeeper.toml:2:11: a profile has at least one port"
    );
    // Each is a name, and both together are too long for one.
    let (port, profile) = ("a".repeat(40), "b".repeat(40));
    let long = format!("[ports.{port}]\n[profiles.{profile}]\n");
    assert!(parse(&long, None).is_ok());
    let refused = parse(&long, Some(&profile)).unwrap_err();
    assert!(
        refused.contains(&format!("1:8: not a name: {profile}/{port}")),
        "{refused}"
    );
}
