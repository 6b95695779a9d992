//! What people, programs and broken disks can put before the program: each is answered with a
//! clear line and its exit code, quickly, and nothing is lost.

mod arguments;
mod output;
mod registry;
