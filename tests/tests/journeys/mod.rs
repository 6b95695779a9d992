//! What people do with the program, from the first command on.

mod answers;
mod env_file;
mod names;
mod patience;
mod put_back;
mod release;
mod reserve;
mod stale;
