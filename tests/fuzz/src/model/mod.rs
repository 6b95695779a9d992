//! The product as a model, and the real thing driven beside it: after each operation of a sequence
//! the registry, the sockets and the files must be what the model says. Never asks the real thing
//! what to expect.

mod check;
mod command;
mod history;
mod library;
mod linear;
mod machine;
mod operations;
mod parts;
mod product;
mod words;

pub use command::Command;
pub use history::{Event, Seen, Step, clients, record};
pub use library::Library;
pub use linear::check as check_history;
pub use machine::{Against, Machine, Mode, World};
pub use operations::{Answer, Breakage, Op, Wish, Write};
pub use parts::{Entry, File, Guard};
pub use product::Model;

/// The ports of a sequence, by their index. Few, so that operations meet.
pub const PORTS: u8 = 5;
