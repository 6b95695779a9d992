//! What a registry file says of itself: which version, which generation, written by whom. Works for
//! files of other versions and for broken ones, as far as they go. Never looks at an entry.

use crate::error::Error;
use crate::format;
use crate::registry::Registry;

/// What a registry file says of itself. Each field is missing where the file does not say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct About {
    /// Its length in bytes.
    pub bytes: usize,
    /// What kind of file it is: `portkeeper/registry`.
    pub schema: Option<String>,
    /// The version of its format.
    pub version: Option<u64>,
    /// How often it was changed.
    pub generation: Option<u64>,
    /// The program that wrote it, as that called itself: any text.
    pub written_by: Option<String>,
}

impl Registry {
    /// What the file of this user says of itself; `None` where there is none.
    ///
    /// # Errors
    /// As [`Registry::read`], but for [`Error::Foreign`]: a file of another version is told of.
    pub fn about(&self) -> Result<Option<About>, Error> {
        Ok(self.own_bytes()?.as_deref().map(format::about))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "plain files set the scene")]
    use super::*;

    #[test]
    fn files_tell_as_much_as_they_can() {
        let temp = tempfile::tempdir().unwrap();
        let registry = Registry::at(temp.path().join("registry.json"));
        assert_eq!(registry.about().unwrap(), None);
        let check = |text: &str, version, generation, written_by: Option<&str>| {
            std::fs::write(registry.path(), text).unwrap();
            let about = registry.about().unwrap().unwrap();
            assert_eq!(about.bytes, text.len());
            assert_eq!((about.version, about.generation), (version, generation));
            assert_eq!(about.written_by.as_deref(), written_by, "{text}");
        };
        let (ours, theirs) = (
            r#""version":1,"generation":417"#,
            r#""written_by":"portkeeper 0.1.0""#,
        );
        let whole = format!("{{{ours},{theirs},\"entries\":{{}}}}");
        check(&whole, Some(1), Some(417), Some("portkeeper 0.1.0"));
        check(
            &format!("{{{ours},\"entries\":{{"),
            Some(1),
            Some(417),
            None,
        );
        check(r#"{"version":99,"written_by":7}"#, Some(99), None, None);
        check("garbage", None, None, None);
        check("", None, None, None);
    }
}
