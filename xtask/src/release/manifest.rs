//! The workspace's manifest, as text: the one version that all members have, and that they ask each
//! other for. Never touches the versions of others.

use cargo_metadata::semver::Version;

/// The version that members have.
///
/// # Errors
/// The manifest does not say.
pub(super) fn version(manifest: &str) -> Result<Version, String> {
    let mut lines = manifest
        .lines()
        .skip_while(|line| *line != "[workspace.package]");
    let value = lines.find_map(|line| line.strip_prefix("version = "));
    let value = value.ok_or("Cargo.toml names no version of the workspace")?;
    let parsed = value.trim_matches('"').parse();
    parsed.map_err(|error| format!("Cargo.toml: version {value}: {error}"))
}

/// The manifest with `new` where it names `old` as the version of members.
pub(super) fn with_version(manifest: &str, old: &Version, new: &Version) -> String {
    let (from, to) = (
        format!("version = \"{old}\""),
        format!("version = \"{new}\""),
    );
    let change = |line: &str| {
        if line == from || line.contains("path = \"crates/") {
            return line.replace(&from, &to);
        }
        line.to_owned()
    };
    manifest
        .lines()
        .flat_map(|line| [change(line), "\n".into()])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "\
[workspace]
members = [\"a\"]

[workspace.package]
version = \"0.1.0\"

[workspace.dependencies]
a = { path = \"crates/a\", version = \"0.1.0\" }
b = { version = \"0.1.0\" }
";

    #[test]
    fn only_members_get_the_version() {
        let old = version(MANIFEST).unwrap();
        assert_eq!(old, Version::new(0, 1, 0));
        let new = with_version(MANIFEST, &old, &Version::new(0, 2, 0));
        let expect = MANIFEST.replacen("0.1.0", "0.2.0", 2);
        assert_eq!(new, expect);
        assert_eq!(version(&new), Ok(Version::new(0, 2, 0)));
        assert!(version("[workspace]\n").is_err());
    }
}
