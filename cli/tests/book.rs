//! The book in `docs/book`: each command that it shows is run, and what it prints is compared with what is shown; its
//! reference is what the program says of itself.
//!
//! A page is one session of a shell in a folder of its own, with a state folder of its own. In a block ```` ```console ````
//! lines with `$ ` are commands, what follows is their output, and `? N` is an exit code that
//! is not 0. `[..]` stands for anything in a line, `...` for any lines. `<!-- setup: ... -->` is run before, unseen.

use snapbox::{assert_data_eq, data::DataFormat};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Where `vrift`, `vriftd` and the library are.
fn bin_dir() -> PathBuf {
    match std::env::var_os("VRIFT_BIN_DIR") {
        Some(dir) => dir.into(),
        None => Path::new(env!("CARGO_BIN_EXE_vrift")).parent().unwrap().into(),
    }
}

struct Session {
    folder: tempfile::TempDir,
}

impl Session {
    fn new() -> Session {
        let folder = tempfile::tempdir().unwrap();
        for name in ["home", "run", "work"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        Session { folder }
    }

    fn command(&self, program: &str) -> Command {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(program);
        for name in ["LD_PRELOAD", "VRIFT_VIEW", "VRIFT_RUNTIME", "VRIFT_WORKSPACE", "MAKEFLAGS", "MAKELEVEL"]
        {
            command.env_remove(name);
        }
        command
            .env("VRIFT_HOME", self.folder.path().join("home"))
            .env("XDG_RUNTIME_DIR", self.folder.path().join("run"))
            .env("VRIFT_SOURCE", repository())
            .env("PATH", format!("{}:{path}", bin_dir().display()))
            .env("LC_ALL", "C.UTF-8")
            .env("NO_COLOR", "1")
            .env("CARGO_TERM_COLOR", "never")
            .current_dir(self.folder.path().join("work"))
            .stdin(Stdio::null());
        command
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self
            .command("vrift")
            .args(["daemon", "stop"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
}

/// The blocks of a page with what its commands really print in place of what is shown.
fn run_page(text: &str) -> (String, String) {
    let session = Session::new();
    let out = session.folder.path().join("out");
    let mut script = format!("out='{}'; mkdir -p \"$out\"\n", out.display());
    for line in text.lines() {
        if let Some(setup) = line.strip_prefix("<!-- setup: ").and_then(|rest| rest.strip_suffix(" -->")) {
            script += &format!("( {setup} ) || exit 1\n");
        }
    }
    let mut shown = Vec::new();
    let mut in_block = false;
    for line in text.lines() {
        match line {
            "```console" => in_block = true,
            "```" => in_block = false,
            _ if in_block => shown.push(line),
            _ => {}
        }
    }
    let commands: Vec<&str> = shown.iter().filter_map(|line| line.strip_prefix("$ ")).collect();
    for (number, command) in commands.iter().enumerate() {
        script += &format!("{{ {command}\n}} >\"$out/{number}\" 2>&1; echo $? >\"$out/{number}.code\"\n");
    }
    let said = session.command("sh").arg("-c").arg(&script).output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let mut real = String::new();
    for (number, command) in commands.iter().enumerate() {
        let read = |end: &str| fs::read_to_string(out.join(format!("{number}{end}"))).unwrap_or_default();
        real += &format!("$ {command}\n{}", read(""));
        match read(".code").trim() {
            "0" => {}
            code => real += &format!("? {code}\n"),
        }
    }
    let mut shown = shown.join("\n");
    shown.push('\n');
    (real, shown)
}

fn check(page: &str) {
    let text = fs::read_to_string(repository().join("docs/book").join(page)).unwrap();
    let (real, shown) = run_page(&text);
    assert!(shown.contains("$ "), "{page} shows no command");
    assert_data_eq!(real, snapbox::Data::from(shown).coerce_to(DataFormat::Text));
}

macro_rules! pages {
    ($($name:ident: $page:literal,)*) => {
        $(
            #[test]
            #[ignore = "needs the built library: cargo xtask test runs it as a stage of its own"]
            fn $name() {
                check($page);
            }
        )*
        const PAGES: &[&str] = &[$($page),*];
    };
}

pages! {
    the_tour: "tour.md",
    make: "howto/make.md",
    cmake: "howto/cmake.md",
    autotools: "howto/autotools.md",
    cargo: "howto/cargo.md",
    npm: "howto/npm.md",
    worktrees: "howto/worktrees.md",
    continuous_integration: "howto/ci.md",
    containers: "howto/containers.md",
    installing: "howto/install.md",
}

#[test]
fn every_page_that_shows_commands_is_run_and_in_the_summary() {
    let book = repository().join("docs/book");
    let summary = fs::read_to_string(book.join("SUMMARY.md")).unwrap();
    let mut folders = vec![book.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(&book).unwrap().to_str().unwrap().to_string();
            let text = fs::read_to_string(&path).unwrap();
            assert!(!text.contains("```console") || PAGES.contains(&&*name), "{name} is not run");
            assert!(
                name == "SUMMARY.md" || summary.contains(&format!("({name})")),
                "{name} is not in SUMMARY.md"
            );
        }
    }
}

fn vrift(args: &[&str]) -> String {
    let session = Session::new();
    let mut command = session.command(env!("CARGO_BIN_EXE_vrift"));
    let output = command.args(args).env("COLUMNS", "100").output().unwrap();
    assert!(output.status.success(), "{args:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// To be written anew: `SNAPSHOTS=overwrite cargo test -p vrift-cli --test book reference`.
#[test]
fn the_reference_of_commands_is_what_the_program_says() {
    let mut text = String::from("# Commands\n\nMade from the program's own help.\n");
    let overview = vrift(&["--help"]);
    let commands = overview.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands = commands.take_while(|line| !line.is_empty());
    let names = commands.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    for name in names.filter_map(|line| line.split_whitespace().next()) {
        text += &format!("\n## vrift {name}\n\n```text\n{}```\n", vrift(&[name, "--help"]));
    }
    assert_data_eq!(
        text,
        snapbox::Data::read_from(&repository().join("docs/book/reference/commands.md"), None).raw()
    );
}

#[test]
fn the_reference_of_the_configuration_is_what_the_program_says() {
    let mut text = String::from(
        "# Configuration\n\n`config.toml` in the state folder, and the environment; `vrift config show --origin` says what \
         holds and by what. A key that is not known is refused with the one that was meant.\n\n\
         | name | default | what |\n|---|---|---|\n",
    );
    let shown: serde_json::Value = serde_json::from_str(&vrift(&["config", "show", "--json"])).unwrap();
    for (_, rows) in shown.as_object().unwrap() {
        for row in rows.as_array().into_iter().flatten() {
            let field = |name: &str| row[name].as_str().unwrap_or_default().replace('|', "\\|");
            text += &format!("| `{}` | {} | {} |\n", field("name"), field("default"), field("what"));
        }
    }
    assert_data_eq!(
        text,
        snapbox::Data::read_from(&repository().join("docs/book/reference/configuration.md"), None).raw()
    );
}
