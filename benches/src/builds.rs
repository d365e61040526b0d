//! Whole builds: Lua from scratch, and a make that finds nothing to do.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::playground::{Playground, native, remove_tree, repository, run};
use crate::report::Row;

const LUA: &str = "lua5.4_5.4.4.orig.tar.gz";
const MAKE_LUA: [&str; 4] = ["-j2", "-C", "src", "linux-noreadline"];
/// Makes in one loop, so that the start of the view is spread over many.
const NULL_MAKES: &str = "20";
const LOOP: &str = "i=0; while [ $i -lt $0 ]; do make >/dev/null || exit 1; i=$((i + 1)); done";

pub fn measure(playground: &Playground, pairs: u32) -> Result<Vec<Row>> {
    let mut rows = cold(playground, pairs)?;
    playground.fresh()?;
    rows.extend(null(playground, pairs)?);
    Ok(rows)
}

fn cold(playground: &Playground, pairs: u32) -> Result<Vec<Row>> {
    let project = playground.path("lua");
    let mut wall = Row::new("make -j2 of Lua 5.4 from scratch, wall", "s", "at most 1.05");
    let mut cpu = Row::new("the same, processor time with the daemon's", "s", "at most 1.05");
    for _ in 0..pairs {
        unpack(&project)?;
        let plain = playground.measure(&mut native(&project, Path::new("make"), &MAKE_LUA))?;
        unpack(&project)?;
        playground.fresh()?;
        playground.ingest(&project)?;
        let viewed = playground.measure(&mut playground.in_view(&project, Path::new("make"), &MAKE_LUA))?;
        wall.push(plain.wall_s, viewed.wall_s);
        cpu.push(plain.cpu_s, viewed.cpu_s);
    }
    Ok(vec![wall, cpu])
}

fn unpack(project: &Path) -> Result<()> {
    let sources =
        std::env::var_os("REAL_SRC").map_or_else(|| repository().join("target/real-src"), PathBuf::from);
    let tarball = sources.join(LUA);
    remove_tree(project)?;
    std::fs::create_dir(project)?;
    let mut tar = Command::new("tar");
    tar.arg("-xf").arg(&tarball).arg("-C").arg(project).args(["--strip-components=1", "--no-same-owner"]);
    run(&mut tar).context("run tests/real/fetch first")?;
    Ok(())
}

/// The example is built natively before it is taken in, so both sides have the same finished tree.
fn null(playground: &Playground, pairs: u32) -> Result<Vec<Row>> {
    run(Command::new("cp").arg("-a").arg(repository().join("examples/reckon")).arg(playground.path("")))?;
    let project = playground.path("reckon");
    let make = Path::new("make");
    run(&mut native(&project, make, &["-j2"]))?;
    playground.ingest(&project)?;
    let mut whole = Row::new("vrift run -- make with nothing to do", "ms", "at most 1.0");
    let mut inside = Row::new("make with nothing to do, in a view that is there", "ms", "at most 1.0");
    let makes: f64 = NULL_MAKES.parse()?;
    for _ in 0..pairs {
        let plain = playground.measure(&mut native::<&str>(&project, make, &[]))?;
        let viewed = playground.measure(&mut playground.in_view(&project, make, &[]))?;
        whole.push(plain.wall_s * 1e3, viewed.wall_s * 1e3);
        let args = ["-c", LOOP, NULL_MAKES];
        let plain = playground.measure(&mut native(&project, Path::new("sh"), &args))?;
        let viewed = playground.measure(&mut playground.in_view(&project, Path::new("sh"), &args))?;
        inside.push(plain.wall_s * 1e3 / makes, viewed.wall_s * 1e3 / makes);
    }
    Ok(vec![whole, inside])
}
