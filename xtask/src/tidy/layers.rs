//! Which member of the workspace may build on which: the arrows of docs/architecture.md. Never
//! sideways, never up; tests may use anything.

use super::Finding;
use super::packages::{Asked, Kind};

/// Each layer and what it may depend on.
const LAYERS: &[(&str, &[&str])] = &[
    ("pk-fs", &[]),
    ("pk-core", &[]),
    ("pk-registry", &["pk-core", "pk-fs"]),
    ("pk-config", &["pk-fs"]),
    (
        "portkeeper",
        &["pk-registry", "pk-config", "pk-core", "pk-fs"],
    ),
    ("pk-cli", &["portkeeper"]),
    ("pk-python", &["pk-cli", "portkeeper"]),
    (
        "pk-tests",
        &[
            "pk-cli",
            "portkeeper",
            "pk-registry",
            "pk-config",
            "pk-core",
            "pk-fs",
        ],
    ),
    (
        "pk-fuzz",
        &[
            "pk-tests",
            "pk-cli",
            "portkeeper",
            "pk-registry",
            "pk-config",
            "pk-core",
            "pk-fs",
        ],
    ),
    ("xtask", &[]),
];

/// An arrow that builds with failpoints have, and no other.
const FAILPOINTS: (&str, &str) = ("pk-core", "pk-fs");

/// Checks one line of a manifest.
pub(super) fn check(asked: &Asked) -> Option<Finding> {
    if asked.kind == Kind::Optional && (asked.by.as_str(), asked.name.as_str()) == FAILPOINTS {
        return None;
    }
    // Somebody else's programs: each builds on one crate, whichever that is.
    if asked.by.starts_with("downstream-") {
        return None;
    }
    let is_layer = |name: &str| LAYERS.iter().any(|(layer, _)| *layer == name);
    let (what, instead) = match LAYERS.iter().find(|(layer, _)| *layer == asked.by) {
        None => (
            format!("{} is no known layer", asked.by),
            "add it to docs/architecture.md and to xtask/src/tidy/layers.rs",
        ),
        Some((_, below)) if asked.kind == Kind::Test || below.contains(&asked.name.as_str()) => {
            return None;
        }
        Some(_) if is_layer(&asked.name) => (
            format!(
                "{} → {} is no arrow of the architecture",
                asked.by, asked.name
            ),
            "move the code to the layer that may know both",
        ),
        Some(_) => return None,
    };
    Some(Finding {
        path: asked.manifest.clone(),
        line: asked.line,
        what,
        instead,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrows_point_down() {
        let check = |by: &str, name: &str, kind, expect: Option<&str>| {
            let asked = Asked::new(by, name, kind);
            let what = check(&asked).map(|finding| finding.what);
            assert_eq!(what.as_deref(), expect, "{by} → {name}");
        };
        check("pk-registry", "pk-core", Kind::Program, None);
        check("pk-registry", "serde", Kind::Program, None);
        check("pk-tests", "pk-core", Kind::Program, None);
        check("pk-core", "pk-fs", Kind::Test, None);
        check(
            "pk-core",
            "pk-fs",
            Kind::Program,
            Some("pk-core → pk-fs is no arrow of the architecture"),
        );
        check("pk-core", "pk-fs", Kind::Optional, None);
        check(
            "pk-fs",
            "pk-core",
            Kind::Optional,
            Some("pk-fs → pk-core is no arrow of the architecture"),
        );
        check(
            "pk-cli",
            "pk-registry",
            Kind::Program,
            Some("pk-cli → pk-registry is no arrow of the architecture"),
        );
        check(
            "xtask",
            "portkeeper",
            Kind::Program,
            Some("xtask → portkeeper is no arrow of the architecture"),
        );
        check(
            "pk-extra",
            "serde",
            Kind::Program,
            Some("pk-extra is no known layer"),
        );
    }
}
