//! Power cuts: qemu gets SIGKILL at a random moment while the guest writes, and what its drive had not flushed is lost in
//! part. The next start proves that all that was acknowledged is there, that the store is whole, and that outputs of
//! the build are whole or absent.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use vrift_guest::markers;

use crate::drive::Source;
use crate::guest::{Guest, fresh_socket};
use crate::machine::{Backend, Cache};
use crate::nbd::Server;
use crate::random::Random;
use crate::suite::Bench;
use crate::volatile::{Lost, Volatile};

/// For a start with all its checks, on a machine that does other things as well.
const START_LIMIT: Duration = Duration::from_secs(1200);
/// The guest writes for up to this before a cut.
const WRITING_MAX_MS: u64 = 5000;
/// A cut while the guest starts comes up to this after its device is there.
const STARTING_MAX_MS: u64 = 3000;
const SHORT_CUTS: usize = 3;
const LONG_CUTS: usize = 28;

/// What is between guest and medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layer {
    /// qemu opens the file past this machine's cache: what was under way is lost.
    CacheNone,
    /// A drive that loses what was not flushed.
    Forgetful,
}

/// One after the other on the same drive: each must read what the other wrote.
const KINDS: [(Backend, Layer); 4] = [
    (Backend::Kernel, Layer::Forgetful),
    (Backend::Vfio, Layer::Forgetful),
    (Backend::Kernel, Layer::CacheNone),
    (Backend::Vfio, Layer::CacheNone),
];

/// What the guest acknowledged, over all its starts.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Acknowledged {
    pub state: u64,
    pub file: u64,
    builds: u64,
    /// The last build came to its end, and no other began.
    whole: bool,
}

impl Acknowledged {
    pub fn lines<'a>(&mut self, lines: impl IntoIterator<Item = &'a String>) {
        for line in lines {
            let mut words = line.split(' ');
            match (words.next(), words.next(), words.next().and_then(|word| word.parse().ok())) {
                (Some(markers::ACK), Some("state"), Some(number)) => self.state = self.state.max(number),
                (Some(markers::ACK), Some("file"), Some(number)) => self.file = self.file.max(number),
                (Some(markers::ACK), Some("build"), Some(_)) => {
                    self.whole = true;
                    self.builds += 1;
                }
                (Some(markers::BUILD_BEGUN), Some(_), None) => self.whole = false,
                _ => {}
            }
        }
    }

    /// For the guest's next start.
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments = vec![format!("state={}", self.state), format!("file={}", self.file)];
        arguments.extend(self.whole.then(|| "whole".to_string()));
        arguments
    }
}

pub fn all(bench: &Bench) -> Result<()> {
    let cuts = if bench.options.long { LONG_CUTS } else { SHORT_CUTS };
    let mut random = Random::new(bench.options.seed);
    let drive = bench.drive("cuts")?;
    let mut acknowledged = Acknowledged::default();
    for number in 0..cuts {
        let (backend, layer) = KINDS[number % KINDS.len()];
        // In the long form one in four while the guest is still starting, which cuts recovery itself.
        let while_starting = number > 0 && bench.options.long && random.below(4) == 0;
        let when = if while_starting { "while it starts" } else { "while it writes" };
        let name = format!("power cut {} of {cuts}: {}, {layer:?}, {when}", number + 1, backend.name());
        let mut one = |bench: &Bench, short: &str| {
            let cut = Cut { backend, layer, while_starting, first: number == 0, lies: false };
            cut.run(bench, short, &drive, &mut acknowledged, &mut random)
        };
        if !bench.test(&name, &mut one) {
            bail!("what follows needs what was written before");
        }
    }
    let last = |bench: &Bench, short: &str| check(bench, short, Backend::Kernel, &drive, &acknowledged);
    bench.test("after the last power cut all is there, and the store is whole", last);
    Ok(())
}

/// All that was acknowledged is there, the store is whole, and the build comes to its end.
pub fn check(
    bench: &Bench,
    name: &str,
    backend: Backend,
    drive: &Path,
    acknowledged: &Acknowledged,
) -> Result<()> {
    let mut machine = bench.machine(backend);
    machine.drive = Source::File { path: drive.to_path_buf(), cache: Cache::Writeback };
    machine.arguments = vec!["mode=cut".into(), "last".into()];
    machine.arguments.extend(acknowledged.arguments());
    let mut guest = Guest::start(&machine, &bench.folder, name, false)?;
    guest.await_line(START_LIMIT, |line| line == markers::CUT_VERIFIED)?;
    guest.await_line(START_LIMIT, |line| line.starts_with(markers::ROUND))?;
    guest.await_end(START_LIMIT)
}

/// A drive that acknowledges flushes and forgets what they were to keep must be noticed: else these tests prove nothing.
pub fn planted(bench: &Bench, name: &str) -> Result<()> {
    let drive = bench.drive(name)?;
    let mut random = Random::new(bench.options.seed);
    let mut acknowledged = Acknowledged::default();
    let cut = Cut {
        backend: Backend::Kernel,
        layer: Layer::Forgetful,
        while_starting: false,
        first: true,
        lies: true,
    };
    cut.run(bench, name, &drive, &mut acknowledged, &mut random)?;
    match check(bench, &format!("{name}-after"), Backend::Kernel, &drive, &acknowledged) {
        Err(error) if format!("{error:#}").contains(markers::FAIL) => {
            println!("# noticed: {}", format!("{error:#}").lines().next().unwrap_or_default());
            Ok(())
        }
        Err(error) => Err(error).context("it was not the guest that noticed"),
        Ok(()) => bail!("{acknowledged:?} with a drive that lied, and nothing was missed"),
    }
}

struct Cut {
    backend: Backend,
    layer: Layer,
    while_starting: bool,
    /// The drive is empty.
    first: bool,
    /// From the moment at which the guest writes the drive forgets what it says to have flushed.
    lies: bool,
}

impl Cut {
    fn run(
        &self,
        bench: &Bench,
        name: &str,
        drive: &Path,
        acknowledged: &mut Acknowledged,
        random: &mut Random,
    ) -> Result<()> {
        let lies = Arc::new(AtomicBool::new(false));
        let mut machine = bench.machine(self.backend);
        machine.arguments = vec!["mode=cut".into()];
        machine.arguments.extend(self.first.then(|| "init".to_string()));
        machine.arguments.extend(acknowledged.arguments());
        let mut server = None;
        machine.drive = match self.layer {
            Layer::CacheNone => Source::File { path: drive.to_path_buf(), cache: Cache::None },
            Layer::Forgetful => {
                let socket = fresh_socket(&bench.folder);
                server = Some(Server::start(socket.clone(), Volatile::open(drive, Arc::clone(&lies))?)?);
                Source::Nbd { socket }
            }
        };
        let mut guest = Guest::start(&machine, &bench.folder, name, false)?;
        let moment = if self.while_starting {
            guest.await_line(START_LIMIT, |line| line.starts_with(markers::BLOCK))?;
            random.below(STARTING_MAX_MS)
        } else {
            guest.await_line(START_LIMIT, |line| line == markers::WRITING)?;
            lies.store(self.lies, Ordering::SeqCst);
            // What lies must have something to lose.
            random.below(WRITING_MAX_MS) + if self.lies { WRITING_MAX_MS } else { 0 }
        };
        std::thread::sleep(Duration::from_millis(moment));
        let before = acknowledged.clone();
        let lines = guest.cut();
        acknowledged.lines(&lines);
        if let Some(wrong) = lines.iter().find(|line| line.starts_with(markers::FAIL)) {
            bail!("{wrong} ({name}.log)");
        }
        if !self.while_starting && !self.first {
            ensure!(
                lines.iter().any(|line| line == markers::CUT_VERIFIED),
                "nothing was verified ({name}.log)"
            );
        }
        let lost = match server {
            Some(server) => server.finish()?.cut(random)?,
            None => Lost::default(),
        };
        println!(
            "# cut {moment} ms after it began: {} values, {} files, {} builds were acknowledged; {} flushes before; of {} \
             writes after the last one {} are dropped, {} torn",
            acknowledged.state - before.state,
            acknowledged.file - before.file,
            acknowledged.builds - before.builds,
            lost.flushes,
            lost.unflushed,
            lost.dropped,
            lost.torn
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_acknowledged_is_read_from_the_console() {
        let mut acknowledged = Acknowledged::default();
        let lines =
            ["ACK state 4", "ACK file 2", "BUILD 1", "ACK build 1", "ACK state x", "noise"].map(String::from);
        acknowledged.lines(&lines);
        assert_eq!(acknowledged, Acknowledged { state: 4, file: 2, builds: 1, whole: true });
        acknowledged.lines(&["BUILD 2".to_string()]);
        assert_eq!(acknowledged.arguments(), ["state=4", "file=2"]);
    }
}
