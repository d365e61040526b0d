//! `cargo xtask demo`: a real build in a view, step by step. Each step says what happened and is checked;
//! the first thing that is not as it should be ends the demo with a failure.

mod fingerprint;
mod playground;

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::{build, process};
use fingerprint::Fingerprint;
use playground::Playground;

const EXAMPLE: &str = "reckon";
/// The program that the example builds, and the header that is edited.
const PROGRAM: &str = "build/reckon";
const HEADER: &str = "include/reckon/bigint.h";
/// A limit in that header, before and after the edit, and the line of output that shows it.
const LIMIT: [&str; 2] = ["#define BIG_MAX_LIMBS 20000", "#define BIG_MAX_LIMBS 30000"];
const SHOWN_LIMIT: [&str; 2] = ["more than 180000 digits", "more than 270000 digits"];

pub fn run() -> Result<()> {
    build::release()?;
    let demo = Demo { ground: Playground::new(EXAMPLE)? };
    let pristine = Fingerprint::of(&demo.ground.project)?;
    println!("\nThe project: {} ({} files and folders)", demo.ground.project.display(), pristine.len());
    demo.ingest(&pristine)?;
    demo.build(&pristine)?;
    demo.check(&pristine)?;
    let edited = demo.edit()?;
    demo.rebuild(&edited)?;
    demo.diff(&edited)?;
    demo.export()?;
    demo.ground.stop()?;
    println!("\nThe daemon is stopped. All of the above was checked.");
    Ok(())
}

struct Demo {
    ground: Playground,
}

impl Demo {
    fn ingest(&self, pristine: &Fingerprint) -> Result<()> {
        self.step("take the project in", &["ingest"])?;
        self.untouched(pristine)
    }

    fn build(&self, pristine: &Fingerprint) -> Result<()> {
        let out = self.step("build it in the view", &["run", "--", "make", "-j2"])?;
        let compiled = compiled(&out);
        ensure!(compiled.len() > 10, "make compiled only {compiled:?}");
        ensure!(self.shown_limit()?.contains(SHOWN_LIMIT[0]), "{PROGRAM} does not work in the view");
        println!("  -> {} files compiled, {PROGRAM} runs in the view", compiled.len());
        self.untouched(pristine)
    }

    fn check(&self, pristine: &Fingerprint) -> Result<()> {
        let out = self.step("run its tests in the view", &["run", "--", "make", "check"])?;
        ensure!(out.contains(" passed, 0 failed"), "the tests of the project do not say that they passed");
        ensure!(compiled(&out).is_empty(), "make built again what was built already");
        println!("  -> its tests pass, and nothing had to be built again");
        self.untouched(pristine)
    }

    /// Edits a header as a user would, in the real directory, and gives the tree as it is then.
    fn edit(&self) -> Result<Fingerprint> {
        println!("\n== edit {HEADER} in the real directory");
        let path = self.ground.project.join(HEADER);
        let text = fs::read_to_string(&path)?;
        ensure!(text.contains(LIMIT[0]), "{HEADER} has no line `{}`", LIMIT[0]);
        fs::write(&path, text.replace(LIMIT[0], LIMIT[1]))?;
        println!("  -> {} became {}", LIMIT[0], LIMIT[1]);
        Fingerprint::of(&self.ground.project)
    }

    fn rebuild(&self, edited: &Fingerprint) -> Result<()> {
        let out = self.step("build again: the edit is taken in first", &["run", "--", "make", "-j2"])?;
        let compiled = compiled(&out);
        ensure!(compiled.iter().any(|f| f == "src/bigint.c"), "src/bigint.c was not rebuilt: {compiled:?}");
        for other in ["src/hashmap.c", "src/lexer.c", "src/error.c"] {
            ensure!(!compiled.iter().any(|f| f == other), "{other} does not use the header but was rebuilt");
        }
        ensure!(self.shown_limit()?.contains(SHOWN_LIMIT[1]), "{PROGRAM} does not show the edit");
        println!("  -> rebuilt, as they use the header: {}", compiled.join(" "));
        self.untouched(edited)
    }

    fn diff(&self, edited: &Fingerprint) -> Result<()> {
        // Exit code 1 says that there are differences, which is what is wanted here.
        let out = self.step_with_code("what the view has and the directory has not", &["diff"], &[0, 1])?;
        ensure!(out.contains(PROGRAM), "`vrift diff` does not name {PROGRAM}");
        ensure!(!out.contains(HEADER), "`vrift diff` names {HEADER}, which is the same on both sides");
        println!("  -> only what was built");
        self.untouched(edited)
    }

    fn export(&self) -> Result<()> {
        let sources = |tree: &str| Fingerprint::of(&self.ground.project.join(tree));
        let trees = ["src", "include", "tests", "tools", "data"];
        let before = trees.iter().map(|tree| sources(tree)).collect::<Result<Vec<_>>>()?;
        self.step("write the outputs to the real directory", &["export"])?;
        let mut native = Command::new(self.ground.project.join(PROGRAM));
        ensure!(
            process::output(native.arg("2^100"))?.trim() == "1267650600228229401496703205376",
            "the exported {PROGRAM} does not work"
        );
        let mut make = process::program("make");
        let out = process::output(make.current_dir(&self.ground.project).env_remove("MAKEFLAGS"))?;
        ensure!(
            compiled(&out).is_empty(),
            "the exported times are wrong: make compiles {:?}",
            compiled(&out)
        );
        println!("  -> {PROGRAM} runs natively, and a native make has nothing to do");
        for (tree, before) in trees.iter().zip(before) {
            let changes = before.differences(&sources(tree)?);
            ensure!(
                changes.is_empty(),
                "export changed {tree}, which it had no reason to:\n{}",
                changes.join("\n")
            );
        }
        println!("  -> the sources are as they were");
        Ok(())
    }

    fn step(&self, what: &str, args: &[&str]) -> Result<String> {
        self.step_with_code(what, args, &[0])
    }

    /// Runs a command of vrift, shows and gives what it printed.
    fn step_with_code(&self, what: &str, args: &[&str], codes: &[i32]) -> Result<String> {
        println!("\n== {what}\n  $ vrift {}", args.join(" "));
        let output =
            self.ground.vrift(args).output().with_context(|| format!("cannot start vrift for: {what}"))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        for line in text.lines().chain(String::from_utf8_lossy(&output.stderr).lines()) {
            println!("  | {line}");
        }
        let code = output.status.code();
        ensure!(
            code.is_some_and(|code| codes.contains(&code)),
            "vrift {}: {}",
            args.join(" "),
            output.status
        );
        Ok(text)
    }

    /// What the program in the view says about a number that is too large.
    fn shown_limit(&self) -> Result<String> {
        let output = self.ground.vrift(&["run", "--", PROGRAM, "9^9^9"]).output()?;
        ensure!(
            output.status.code() == Some(1),
            "`vrift run` does not give the command's exit code: {}",
            output.status
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The proof: every path, mode, owner, inode, time and byte of the real directory.
    fn untouched(&self, before: &Fingerprint) -> Result<()> {
        let changes = before.differences(&Fingerprint::of(&self.ground.project)?);
        ensure!(changes.is_empty(), "the real directory was changed:\n  {}", changes.join("\n  "));
        println!("  -> the real directory is untouched ({} entries compared)", before.len());
        Ok(())
    }
}

/// The sources that make's output shows as compiled into objects.
fn compiled(make_output: &str) -> Vec<String> {
    let mut sources: Vec<String> = make_output
        .lines()
        .filter(|line| line.contains(" -MMD "))
        .filter_map(|line| line.split(' ').next_back())
        .map(str::to_string)
        .collect();
    sources.sort();
    sources
}
