//! A reservation whose place another was to take, when that comes to nothing.

use pk_tests::{TestEnv, is_free};

/// The disk fails after all was tried and the port was taken.
#[test]
fn what_had_the_name_before_is_put_back() {
    for line in [
        "run --name web --write-env B -- true",
        "reserve --foreground --name web --write-env B",
        "reserve --hold --name web --write-env B",
    ] {
        let Some(env) = TestEnv::with_failpoints() else {
            return;
        };
        let first = env
            .pk("reserve --name web --owner shop --note a=1 --ttl 3h")
            .ok();
        let before = env.reservations();
        let mut command = env.portkeeper(line);
        command.env("PORTKEEPER_FAILPOINTS", "durable.replace=return(ENOSPC)");
        env.run(command).refused(7).says("No space left on device");
        assert_eq!(env.reservations(), before, "{line}");
        assert!(is_free(first.port()), "{line}");
        assert!(!env.path(".env").exists(), "{line}");
        // It is the same one to whoever asks under the name.
        assert_eq!(
            env.pk("reserve --name web").ok().json()["id"],
            first.json()["id"]
        );
    }
}
