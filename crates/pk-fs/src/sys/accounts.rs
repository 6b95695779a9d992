//! Whether a group has one member only (the "user private group" of most distributions), from
//! `/etc/passwd` and `/etc/group`. A group that is in neither file counts as shared.

use std::fs;

/// Whether nobody but `uid` is in the group `gid`.
pub(crate) fn is_private_group(uid: u32, gid: u32) -> bool {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    only_member(&read("/etc/passwd"), &read("/etc/group"), uid, gid)
}

/// passwd(5): `name:x:uid:gid:…`; group(5): `name:x:gid:member,member`.
fn only_member(passwd: &str, group: &str, uid: u32, gid: u32) -> bool {
    let users = || {
        passwd.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            let uid: u32 = fields.nth(1)?.parse().ok()?;
            let gid: u32 = fields.next()?.parse().ok()?;
            Some((name, uid, gid))
        })
    };
    let me = users().find(|user| user.1 == uid).map(|user| user.0);
    let listed = group.lines().find_map(|line| {
        let mut fields = line.split(':').skip(2);
        let number: u32 = fields.next()?.parse().ok()?;
        (number == gid).then(|| fields.next().unwrap_or_default())
    });
    let Some(listed) = listed else { return false };
    let nobody_else_listed = listed
        .split(',')
        .all(|name| name.is_empty() || Some(name) == me);
    nobody_else_listed && users().all(|user| user.2 != gid || user.1 == uid)
}

#[cfg(test)]
mod tests {
    use super::only_member;

    #[test]
    fn a_private_group_has_one_member() {
        let passwd = "root:x:0:0::/:\nann:x:1000:1000::/:\nbob:x:1001:1001::/:\ncyd:x:1002:100::/:";
        let group = "root:x:0:\nann:x:1000:ann\nbob:x:1001:ann\nusers:x:100:";
        let check = |uid, gid, expect| {
            assert_eq!(
                only_member(passwd, group, uid, gid),
                expect,
                "{uid} in {gid}"
            );
        };
        check(0, 0, true);
        check(1000, 1000, true);
        check(1001, 1001, false);
        check(1000, 100, false);
        check(1000, 4242, false);
    }

    #[test]
    fn lines_that_are_none_are_passed_over() {
        let none = ["", "x", "x:x", "x:x:y", "x:x:7", "x:x:7:y", "x:x:y:7"];
        let around = |line: &str| {
            let broken = none.join("\n");
            format!("{broken}\n{line}\n{broken}")
        };
        let passwd = around("ann:x:1000:1000::/:");
        assert!(only_member(&passwd, &around("ann:x:1000:"), 1000, 1000));
        assert!(only_member(&passwd, &around("ann:x:1000"), 1000, 1000));
        assert!(!only_member(&passwd, &around("ann:x:1000:bob"), 1000, 1000));
        assert!(!only_member(&passwd, &around("ann:x"), 1000, 1000));
    }
}
