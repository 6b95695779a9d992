//! Ways around a hold.

use pk_tests::rival::{Bid, could_have};
use pk_tests::{Ports, TestEnv, is_free, skipped};

/// By every address, with every option, for the same user and for another one.
#[test]
fn a21_no_bind_gets_past_a_hold() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    env.pk(format!("reserve --hold {}", ports.range())).ok();
    let got = could_have(ports.at(0));
    assert!(got.is_empty(), "{got:?}");
    if let Some(theirs) = TestEnv::plain_user() {
        let line = format!("reserve --strict --preferred {}", ports.at(0));
        theirs.pk(&line).refused(3);
        theirs.pk(format!("{line} --host ::1")).refused(3);
    }
    env.pk(format!("release {}", ports.at(0))).ok();
    assert!(is_free(ports.at(0)));
    assert_eq!(could_have(ports.at(0)).len(), Bid::everywhere().len());
}

/// In a network of its own, where the kernel has eight numbers to give out and one of them is held:
/// neither connections nor those who do not care get it, however often they ask.
#[test]
fn a21_the_kernel_gives_a_held_number_to_no_connection() {
    let env = TestEnv::new();
    let actor = env!("CARGO_BIN_EXE_actor");
    let set = "ip link set lo up && echo 40000 40007 > /proc/sys/net/ipv4/ip_local_port_range";
    let script = format!(
        "portkeeper reserve --strict --preferred 40002 --hold >&2 && \
         portkeeper reserve --strict --preferred 40004 >&2 && \
         {{ {actor} serve 127.0.0.1 30000 > up & server=$!; \
         until test -s up; do :; done; \
         {actor} connect 30000 2000; {actor} connect-from 40002 30000; \
         portkeeper release --mine >&2; kill $server; }}"
    );
    let mut command = env.command("sh");
    command.args(["-c", &script]);
    let Some(command) = env.unshared("-n --pid --fork --kill-child", set, &command) else {
        return;
    };
    let answer = env.run(command);
    if answer.stderr.contains("Operation not permitted") {
        return skipped(format_args!(
            "a network of its own: {}",
            answer.stderr.trim()
        ));
    }
    let answer = answer.ok();
    let [used, from] = answer.stdout.lines().collect::<Vec<_>>()[..] else {
        panic!("two answers: {answer:#?}");
    };
    let used: Vec<u16> = used.split(' ').map(|it| it.parse().unwrap()).collect();
    assert!(!used.contains(&40002), "held: {used:?}");
    // A lease is an entry and no socket: that is what doctor tells and --hold is for.
    assert!(used.contains(&40004), "leased: {used:?}");
    assert_eq!(from, "AddrInUse", "nor by asking for it by number");
}
