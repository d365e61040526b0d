//! `vrift` alone: ten lines that show the way.

use super::output::Output;
use crate::error::Result;

const TOUR: &str = "\
vrift runs builds in a copy-on-write view of a project; the project itself is never written.
  vrift run -- make          builds in the view of this directory; takes it in the first time
  vrift status               what the build made, changed and deleted
  vrift ls -l, cat, stat     looks into the view, as in: vrift cat build/log
  vrift export build/prog    writes a result to the real directory; without a path: all of them
  vrift sync                 takes in what you edited (run does this too); diff compares
  vrift shell                a shell in the view; eval \"$(vrift env)\" puts this one there
  vrift ingest DIR           takes in another project
  vrift doctor               checks this machine; vrift daemon status asks the daemon
vrift COMMAND --help says more; vrift --help lists all commands, exit codes and variables.
";

pub fn print() -> Result<u8> {
    let mut out = Output::new();
    out.text(TOUR)?;
    out.finish()?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_tour_has_ten_lines_that_fit_a_terminal() {
        assert_eq!(super::TOUR.lines().count(), 10);
        assert!(super::TOUR.lines().all(|line| line.len() <= 100));
    }
}
