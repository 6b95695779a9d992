//! The system calls that no safe wrapper offers, the same items on every platform. Never decides
//! anything.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub(crate) use linux::{
    bind_to_interface, close_inherited, filter, install_filter, interface_of, network_cookie,
    notification, number, peer_uid, protocol_of, set_number,
};

#[cfg(all(test, target_os = "linux"))]
pub(crate) use linux::failing;

#[cfg(not(target_os = "linux"))]
mod other;
#[cfg(not(target_os = "linux"))]
pub(crate) use other::{
    bind_to_interface, close_inherited, install_filter, interface_of, network_cookie, peer_uid,
};

#[cfg(unix)]
mod forks;
#[cfg(unix)]
pub(crate) use forks::generation;

#[cfg(unix)]
mod child;
#[cfg(unix)]
pub(crate) use child::{
    Adoption, Environment, FIRST, Steps, before_exec, own_group, to_foreground,
};
