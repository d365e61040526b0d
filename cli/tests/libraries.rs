//! What is loaded at each start.

mod common;
use common::{Vrift, stdout};

#[test]
fn the_parts_of_the_c_library_are_all_that_is_loaded() {
    let vrift = Vrift::new();
    // As ldd(1) asks.
    let output = vrift.command().env("LD_TRACE_LOADED_OBJECTS", "1").output().unwrap();
    let listed = stdout(&output);
    let names: Vec<&str> = listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.contains(&"libc.so.6"), "{listed}");
    for name in names {
        let is_known = matches!(name, "libc.so.6" | "libm.so.6")
            || name.starts_with("linux-vdso")
            || name.contains("/ld-linux-");
        assert!(is_known, "{name} is loaded, too; see cli/build.rs");
    }
}
