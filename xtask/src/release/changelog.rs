//! The changelog, as text: what was not released becomes a release. Never makes up entries.

const UNRELEASED: &str = "## Unreleased";

/// The changelog with what was unreleased under `version`, released on `day`.
///
/// # Errors
/// There is no such heading, or nothing stands under it.
pub(super) fn released(text: &str, version: &str, day: &str) -> Result<String, String> {
    let (before, after) = text
        .split_once(&format!("{UNRELEASED}\n"))
        .ok_or_else(|| format!("the changelog has no heading \"{UNRELEASED}\""))?;
    let entries = after.split("\n## ").next().unwrap_or_default();
    if !entries.lines().any(|line| line.starts_with("- ")) {
        return Err("the changelog tells of nothing that is new".into());
    }
    Ok(format!(
        "{before}{UNRELEASED}\n\n## {version} - {day}\n{after}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_gets_its_version() {
        let check = |text: &str, expect: Option<&str>| {
            assert_eq!(
                released(text, "1.0.0", "2026-01-02").ok().as_deref(),
                expect
            );
        };
        check(
            "# C\n\n## Unreleased\n\n- a\n\n## 0.9.0 - 2025-01-01\n- b\n",
            Some(
                "# C\n\n## Unreleased\n\n## 1.0.0 - 2026-01-02\n\n- a\n\n## 0.9.0 - 2025-01-01\n- b\n",
            ),
        );
        check("# C\n\n## Unreleased\n\n## 0.9.0 - 2025-01-01\n- b\n", None);
        check("# C\n\n## 0.9.0\n- b\n", None);
    }
}
