//! The usual spelling of `vrift run`, read without building the parser of all commands, which takes longer than the rest of
//! what `vrift` does before the command begins.

use crate::commands::run::Run;
use crate::target::{Place, Which};
use std::ffi::OsString;

/// `[-q] run [-q] [-w W] [--] CMD...`: whether it is quiet, and the run. None: something else is there, which the parser reads
/// and, where it is wrong, explains.
pub fn run(given: &[OsString]) -> Option<(bool, Run)> {
    let mut rest = given.get(1..)?;
    let before = is_quiet(&mut rest);
    rest = match rest {
        [name, after @ ..] if name == "run" => after,
        _ => return None,
    };
    let quiet = before | is_quiet(&mut rest);
    let workspace = match rest {
        [option, name, after @ ..] if option == "-w" || option == "--workspace" => {
            rest = after;
            Some(name.to_str().filter(|name| !name.starts_with('-') && !name.is_empty())?.to_string())
        }
        _ => None,
    };
    let command = match rest {
        [dashes, command @ ..] if dashes == "--" => command,
        [first, ..] if first.to_str().is_some_and(|first| !first.starts_with('-')) => rest,
        _ => return None,
    };
    let which = Which { workspace };
    (!command.is_empty())
        .then(|| (quiet, Run { which, place: Place::default(), strict: false, command: command.to_vec() }))
}

/// Whether the flag is next; it is passed over.
fn is_quiet(rest: &mut &[OsString]) -> bool {
    match rest {
        [flag, after @ ..] if flag == "-q" || flag == "--quiet" => {
            *rest = after;
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use clap::Parser;

    /// All lists of at most four of these words.
    fn lists() -> Vec<Vec<OsString>> {
        let words =
            ["-q", "--quiet", "run", "-w", "--workspace", "w", "--", "", "-", "-x", "--strict", "make"];
        let mut lists = vec![vec![OsString::from("vrift")]];
        let mut begin = 0;
        for _ in 0..4 {
            let end = lists.len();
            for at in begin..end {
                for word in words {
                    let mut list = lists[at].clone();
                    list.push(word.into());
                    lists.push(list);
                }
            }
            begin = end;
        }
        lists
    }

    #[test]
    fn what_is_read_is_what_the_parser_reads() {
        let mut read = 0;
        for list in lists() {
            let Some((quiet, run)) = super::run(&list) else { continue };
            read += 1;
            let parsed = Cli::try_parse_from(&list).unwrap_or_else(|error| panic!("{list:?}: {error}"));
            let Some(Command::Run(other)) = parsed.command else { panic!("{list:?}: not run") };
            assert_eq!((quiet, format!("{run:?}")), (parsed.quiet, format!("{other:?}")), "{list:?}");
        }
        assert!(read > 100, "{read}");
    }

    #[test]
    fn the_usual_spellings_are_read() {
        for text in
            ["run -- true", "-q run -- true", "run --quiet -w w -- make -j2", "run make -q", "run -w w make"]
        {
            let list: Vec<OsString> = ["vrift"].into_iter().chain(text.split(' ')).map(Into::into).collect();
            assert!(super::run(&list).is_some(), "{text}");
        }
    }
}
