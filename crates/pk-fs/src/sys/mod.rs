//! What only the system can tell: who holds a lock, who is in a group. Never decides anything.

pub(crate) mod accounts;
pub(crate) mod locks;
