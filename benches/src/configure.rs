//! A GNU configure script: hundreds of small compilations, one after the other.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::playground::{Playground, native, remove_tree, repository, run};
use crate::report::Row;

const HELLO: &str = "hello_2.10.orig.tar.gz";
const FETCH: &str = "run tests/real/fetch hello hello_2.10.orig.tar.gz \
    31e066137a962676e89f69d1b65382de95a7ef7d914b8cb956f41ea72e0f516b first";

pub fn measure(playground: &Playground, pairs: u32) -> Result<Vec<Row>> {
    let project = playground.path("hello");
    let mut wall = Row::new("configure of GNU hello, wall", "s", "-");
    let mut cpu = Row::new("the same, processor time with the daemon's", "s", "at most 1.10");
    let (shell, args) = (Path::new("sh"), ["./configure", "-q"]);
    for _ in 0..pairs {
        unpack(&project)?;
        let plain = playground.measure(&mut native(&project, shell, &args))?;
        unpack(&project)?;
        playground.fresh()?;
        playground.ingest(&project)?;
        let viewed = playground.measure(&mut playground.in_view(&project, shell, &args))?;
        wall.push(plain.wall_s, viewed.wall_s);
        cpu.push(plain.cpu_s, viewed.cpu_s);
    }
    Ok(vec![wall, cpu])
}

fn unpack(project: &Path) -> Result<()> {
    let sources =
        std::env::var_os("REAL_SRC").map_or_else(|| repository().join("target/real-src"), Into::into);
    remove_tree(project)?;
    std::fs::create_dir(project)?;
    let mut tar = Command::new("tar");
    tar.arg("-xf").arg(sources.join(HELLO)).arg("-C").arg(project);
    tar.args(["--strip-components=1", "--no-same-owner"]);
    run(&mut tar).context(FETCH).map(drop)
}
