//! The names of users and groups, from `/etc/passwd` and `/etc/group` alone: asking a directory
//! service could take seconds. Never decides anything by a name.

use std::fs;

/// Names of users by their numbers, read once.
#[derive(Debug, Clone, Default)]
pub struct Users {
    passwd: String,
}

impl Users {
    /// Where the file can't be read nobody has a name.
    #[must_use]
    pub fn read() -> Users {
        Users {
            passwd: text("/etc/passwd"),
        }
    }

    /// The name of a user.
    #[must_use]
    pub fn name(&self, uid: u32) -> Option<&str> {
        self.passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next().filter(|name| !name.is_empty())?;
            (fields.nth(1)?.parse() == Ok(uid)).then_some(name)
        })
    }
}

/// The number of a group, given by its name or as a number.
pub(crate) fn group(name: &str) -> Option<u32> {
    number_of(&text("/etc/group"), name)
}

/// group(5): `name:x:gid:member,member`.
fn number_of(group: &str, wanted: &str) -> Option<u32> {
    let named = group.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == wanted).then(|| fields.nth(1)?.parse().ok())?
    });
    named.or_else(|| wanted.parse().ok())
}

fn text(path: &str) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
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

    #[test]
    fn groups_are_found_by_name_and_number() {
        let group = "root:x:0:\ndev:x:50:ann,bob\nodd\n7:x:70:\n";
        let check = |name, expect| assert_eq!(number_of(group, name), expect, "{name}");
        check("dev", Some(50));
        check("62000", Some(62_000));
        check("7", Some(70));
        check("odd", None);
        check("nobody-is-called-so", None);
    }
}
