//! Whole projects: which one a folder belongs to. Never prints.

mod find;

pub use find::{FILE, Project};
