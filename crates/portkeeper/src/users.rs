//! The names of users, from `/etc/passwd` alone: asking a directory service could take seconds.
//! Never decides anything by a name.

use std::fs;

/// Names by number, read once.
#[derive(Debug, Default)]
pub(crate) struct Users {
    passwd: String,
}

impl Users {
    /// Where the file can't be read nobody has a name.
    pub(crate) fn read() -> Users {
        let bytes = fs::read("/etc/passwd").unwrap_or_default();
        Users {
            passwd: String::from_utf8_lossy(&bytes).into_owned(),
        }
    }

    pub(crate) fn name(&self, uid: u32) -> Option<&str> {
        self.passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next().filter(|name| !name.is_empty())?;
            (fields.nth(1)?.parse() == Ok(uid)).then_some(name)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_by_number() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\n# ann:x:7\n\n:x:8:8\nann:x:1000:1000::/:\n";
        let users = Users {
            passwd: passwd.into(),
        };
        let check = |uid, expect| assert_eq!(users.name(uid), expect, "{uid}");
        check(0, Some("root"));
        check(1000, Some("ann"));
        check(8, None);
        check(9, None);
    }
}
