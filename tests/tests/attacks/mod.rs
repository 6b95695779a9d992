//! What somebody would try who means harm, tried for real. docs/reference/faults.md lists the outcomes
//! by the number that begins the name of each test.

mod disk;
mod environment;
mod ports;
mod processes;
mod registry;
mod terminal;
mod words;
