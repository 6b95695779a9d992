//! What the program tells of itself: completions, in the shells that are there, and manual pages.

mod completions;
mod pages;
