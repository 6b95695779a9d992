//! What people do with the program, from the first command on.

mod answers;
mod env_file;
mod names;
mod patience;
mod release;
mod reserve;
mod stale;
