//! People's files: what is asked of them changes and nothing else does, all of them or none.

mod backups;
mod env;
mod json;
mod killed;
mod readers;
mod refused;
mod secret;
mod together;
mod writing;
