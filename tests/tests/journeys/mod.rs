//! What people do with the program, from the first command on.

mod answers;
mod env_file;
mod release;
mod reserve;
mod stale;
