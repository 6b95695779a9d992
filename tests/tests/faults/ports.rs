//! What the registry says against what the kernel says.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};

use pk_tests::process::undisturbed;
use pk_tests::{Ports, TestEnv};

#[test]
fn f71_the_kernel_wins_over_the_registry() {
    let (env, ports) = (TestEnv::new(), Ports::claim(3));
    let [busy, leased, udp] = [0, 1, 2].map(|index| ports.at(index));
    let strict =
        |port: u16, more: &str| env.pk(format!("reserve --strict --preferred {port} {more}"));
    // The registry says free.
    let server = undisturbed(|| TcpListener::bind((Ipv4Addr::LOCALHOST, busy)).unwrap());
    strict(busy, "").refused(3).says(busy.to_string());
    strict(busy, "--hold").refused(3);
    strict(busy, "--proto both").refused(3);
    strict(busy, "--proto udp").ok();
    env.pk(format!("release {busy}")).ok();
    let other = undisturbed(|| UdpSocket::bind((Ipv4Addr::LOCALHOST, udp)).unwrap());
    strict(udp, "--proto udp").refused(3);
    strict(udp, "").ok();
    undisturbed(|| drop((server, other)));
    strict(busy, "").ok();
    // The kernel says free: nobody listens, and it is reserved until that ends.
    strict(leased, "").ok();
    assert!(pk_tests::is_free(leased));
    strict(leased, "").refused(3);
    env.pk("gc").ok();
    assert_eq!(env.state(leased).as_deref(), Some("leased"));
    env.pk(format!("release {leased}")).ok();
    strict(leased, "").ok();
}
