//! Linker settings of the preload library: every process start pays for each segment that is mapped.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for argument in [
        // One read-execute and one read-write segment; nothing here changes after relocation that an attacker
        // could use and a second mprotect(2) would guard.
        // GNU ld is there wherever gcc is, and only it can put all that is read-only into one segment.
        "-fuse-ld=bfd",
        "-Wl,-z,noseparate-code",
        "-Wl,-z,norelro",
        "-Wl,--hash-style=gnu",
        "-Wl,-Bsymbolic",
        "-Wl,--as-needed",
    ] {
        println!("cargo:rustc-cdylib-link-arg={argument}");
    }
}
