//! A held port: who holds it, who is kept out, and what ends it.

mod ending;
mod holder;
mod keeps_out;
