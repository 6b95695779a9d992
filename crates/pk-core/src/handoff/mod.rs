//! Giving a held port to another process. Never opens a window in which the port is free.

pub mod pass;
