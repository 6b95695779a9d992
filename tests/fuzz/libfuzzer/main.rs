//! The targets for libFuzzer, which watches which code an input reaches: one program for all, with
//! the target's name in `PK_FUZZ_TARGET`. Never built but by `cargo xtask fuzz`.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use pk_fuzz::Target;

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("PK_FUZZ_TARGET").unwrap_or_default();
    Target::named(&name).expect("cargo xtask fuzz names a target")
});

fuzz_target!(|input: &[u8]| TARGET.run(input));
