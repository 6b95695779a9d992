//! The bill of materials, in CycloneDX 1.6 as JSON (<https://cyclonedx.org/docs/1.6/json/>): what is
//! linked into the program, in which version, under which licence, and what depends on what.

use std::collections::BTreeMap;

use cargo_metadata::Package;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::hex;
use crate::graph::Graph;

/// The sums of packages as the lock file has them, by name and version.
pub(super) struct Sums(BTreeMap<(String, String), String>);

impl Sums {
    /// Reads `Cargo.lock`.
    pub(super) fn of(lock: &str) -> Sums {
        let value = |block: &str, key: &str| {
            let line = block
                .lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "));
            line.map(|value| value.trim_matches('"').to_owned())
        };
        let sums = lock.split("[[package]]").skip(1).filter_map(|block| {
            Some((
                (value(block, "name")?, value(block, "version")?),
                value(block, "checksum")?,
            ))
        });
        Sums(sums.collect())
    }
}

/// The bill for `root`, which was built at `epoch` (seconds after 1970, as `time` in RFC 3339).
pub(super) fn bill(graph: &Graph, root: &Package, sums: &Sums, time: &str) -> String {
    let packages = graph.with_all_below(root);
    let others = packages.iter().filter(|it| it.id != root.id);
    let components: Vec<_> = others.map(|it| component(it, sums, "library")).collect();
    let dependencies: Vec<_> = packages
        .iter()
        .map(|it| {
            let below: Vec<_> = graph.below(it).into_iter().map(reference).collect();
            json!({ "ref": reference(it), "dependsOn": below })
        })
        .collect();
    let mut bill = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": time,
            "component": component(root, sums, "application"),
        },
        "components": components,
        "dependencies": dependencies,
    });
    // One that follows from what the bill says, so that the same bill has the same number.
    bill["serialNumber"] = serial(&bill).into();
    format!("{bill:#}\n")
}

fn component(package: &Package, sums: &Sums, kind: &str) -> Value {
    let mut component = json!({
        "type": kind,
        "bom-ref": reference(package),
        "name": package.name,
        "version": package.version,
        "purl": reference(package),
    });
    if let Some(licence) = &package.license {
        component["licenses"] = json!([{ "expression": licence.replace('/', " OR ") }]);
    }
    let key = (package.name.to_string(), package.version.to_string());
    if let Some(sum) = sums.0.get(&key) {
        component["hashes"] = json!([{ "alg": "SHA-256", "content": sum }]);
    }
    if let Some(repository) = &package.repository {
        component["externalReferences"] = json!([{ "type": "vcs", "url": repository }]);
    }
    component
}

/// The package URL, which also names the package within the bill.
fn reference(package: &Package) -> String {
    format!("pkg:cargo/{}@{}", package.name, package.version)
}

/// A UUID made of a digest, marked as version 8, "made in a way of one's own" (RFC 9562).
fn serial(bill: &Value) -> String {
    let mut uuid: [u8; 16] = [0; 16];
    uuid.copy_from_slice(&Sha256::digest(bill.to_string())[..16]);
    uuid[6] = uuid[6] & 0x0f | 0x80;
    uuid[8] = uuid[8] & 0x3f | 0x80;
    let digits = hex(&uuid);
    let parts = [
        &digits[..8],
        &digits[8..12],
        &digits[12..16],
        &digits[16..20],
        &digits[20..],
    ];
    format!("urn:uuid:{}", parts.join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_come_from_the_lock_file() {
        let lock = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nchecksum = \"ab\"\n\n\
                    [[package]]\nname = \"b\"\nversion = \"1.0.0\"\n";
        let Sums(sums) = Sums::of(lock);
        let expect = [(("a".to_owned(), "1.0.0".to_owned()), "ab".to_owned())];
        assert_eq!(sums.into_iter().collect::<Vec<_>>(), expect);
    }

    #[test]
    fn serial_numbers_are_uuids_and_follow_from_the_bill() {
        let (one, two) = (serial(&json!({"a": 1})), serial(&json!({"a": 2})));
        assert_ne!(one, two);
        assert_eq!(one, serial(&json!({"a": 1})));
        assert_eq!(one.len(), "urn:uuid:".len() + 36);
        assert_eq!(one.as_bytes()["urn:uuid:".len() + 14], b'8');
    }
}
