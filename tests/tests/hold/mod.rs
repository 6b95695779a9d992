//! A held port: who holds it, who is kept out, and what ends it.

mod datagrams;
mod ending;
mod foreground;
mod holder;
mod keeps_out;
