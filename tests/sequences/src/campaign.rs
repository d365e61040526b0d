//! Many sequences in both places; what differs is made short and kept.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::compare::difference;
use crate::generate;
use crate::pair::{Places, Worker};
use crate::shrink::shrink;
use crate::start;

/// Sequences between two looks at the results.
const BATCH: u64 = 200;
/// Trees for what a failing sequence is tried with while it is made shorter.
const SPARE_TREES: u64 = 300;
/// A run that has found this many says enough.
const FAILURES_MAX: usize = 5;
/// Words at the head of a kept sequence that begins in a tree.
const IN_A_TREE: &str = "# begins in a tree";

/// What to run.
pub struct Plan {
    pub seed: u64,
    pub first: u64,
    pub count: u64,
    pub kept: PathBuf,
    pub user: Option<u32>,
}

/// What came of it.
#[derive(Default)]
pub struct Report {
    pub sequences: u64,
    pub calls: u64,
    pub kept_passed: u64,
    pub failures: Vec<PathBuf>,
}

/// A kept sequence or a generated one.
struct Sequence {
    name: String,
    ops: Vec<String>,
    in_tree: bool,
}

pub struct Campaign<'a> {
    places: &'a Places,
    plan: &'a Plan,
    native: Option<Worker>,
    view: Option<Worker>,
    next_spare: u64,
    next_free: u64,
    report: Report,
}

/// Runs the plan in a folder of its own.
pub fn run(places: &Places, plan: &Plan) -> Result<Report> {
    let kept = kept(&plan.kept)?;
    for base in [places.native(), places.view()] {
        fs::create_dir(&base)?;
        let generated = (plan.first..plan.first + plan.count).filter(|n| generate::starts_in_a_tree(*n));
        for number in generated.chain((0..SPARE_TREES).map(spare)) {
            start::tree(&base, number, plan.user)?;
        }
        if let Some(user) = plan.user {
            std::os::unix::fs::chown(&base, Some(user), Some(user))?;
        }
    }
    let before = start::fingerprint(&places.view())?;
    let mut campaign = Campaign {
        places,
        plan,
        native: None,
        view: None,
        next_spare: 0,
        next_free: 0,
        report: Report::default(),
    };
    campaign.all(kept)?;
    for worker in [campaign.native.take(), campaign.view.take()].into_iter().flatten() {
        worker.end()?;
    }
    if start::fingerprint(&places.view())? != before {
        bail!("the real directory was changed: {}", places.view().display());
    }
    let requests = counter(&places.dir, 24)?;
    if requests < campaign.report.calls / 10 {
        bail!("the preload library was not active: {requests} requests");
    }
    Ok(campaign.report)
}

/// Numbers that no sequence of a plan has.
fn spare(at: u64) -> u64 {
    (1 << 40) / 5 * 5 + at * 5
}

impl Campaign<'_> {
    fn all(&mut self, kept: Vec<Sequence>) -> Result<()> {
        for sequence in kept {
            let number = self.number(sequence.in_tree)?;
            self.report.calls += sequence.ops.len() as u64;
            match self.tried(number, &sequence.ops)? {
                None => self.report.kept_passed += 1,
                Some(difference) => {
                    println!("DIFFERS: {}: {difference}", sequence.name);
                    self.report.failures.push(self.plan.kept.join(&sequence.name));
                }
            }
        }
        let mut at = self.plan.first;
        let end = self.plan.first + self.plan.count;
        while at < end && self.report.failures.len() < FAILURES_MAX {
            let batch: Vec<(u64, Vec<String>)> = (at..end.min(at + BATCH))
                .map(|number| (number, generate::sequence(self.plan.seed, number)))
                .collect();
            at += batch.len() as u64;
            let (native, view) = self.both(&batch)?;
            for (((number, ops), native), view) in batch.iter().zip(native).zip(view) {
                self.report.sequences += 1;
                self.report.calls += ops.len() as u64;
                let native = native.with_context(|| format!("natively, sequence {number}"))?;
                let differs = match view {
                    Ok(view) => difference(ops, &native, &view),
                    Err(error) => Some(format!("in the view: {error:#}")),
                };
                if let Some(differs) = differs {
                    println!("DIFFERS: seed {} sequence {number}: {differs}", self.plan.seed);
                    self.keep(*number, ops)?;
                }
            }
        }
        Ok(())
    }

    /// Transcripts of a batch; both sides work at the same time.
    #[allow(clippy::type_complexity, reason = "two lists of what each sequence gave")]
    fn both(
        &mut self,
        batch: &[(u64, Vec<String>)],
    ) -> Result<(Vec<Result<Vec<String>>>, Vec<Result<Vec<String>>>)> {
        let (places, native, view) = (self.places, &mut self.native, &mut self.view);
        std::thread::scope(|scope| {
            let view = scope.spawn(move || side(view, &|| places.start_view(), batch));
            let native = side(native, &|| places.start_native(), batch)?;
            let view = view.join().map_err(|_| anyhow::anyhow!("a thread ended"))??;
            Ok((native, view))
        })
    }

    fn tried(&mut self, number: u64, ops: &[String]) -> Result<Option<String>> {
        let (mut native, mut view) = self.both(&[(number, ops.to_vec())])?;
        let native = native.pop().context("nothing")??;
        Ok(match view.pop().context("nothing")? {
            Ok(view) => difference(ops, &native, &view),
            Err(error) => Some(format!("in the view: {error:#}")),
        })
    }

    /// The number for one more sequence.
    fn number(&mut self, in_tree: bool) -> Result<u64> {
        if !in_tree {
            self.next_free += 5;
            return Ok((1 << 41) / 5 * 5 + self.next_free + 1);
        }
        if self.next_spare == SPARE_TREES {
            bail!("no tree is left to try it in");
        }
        self.next_spare += 1;
        Ok(spare(self.next_spare - 1))
    }

    /// Makes it short, says what it is, and writes it where the next run finds it.
    fn keep(&mut self, number: u64, ops: &[String]) -> Result<()> {
        let in_tree = generate::starts_in_a_tree(number);
        let mut again = |ops: &[String]| match self.number(in_tree) {
            Ok(number) => self.tried(number, ops).is_ok_and(|difference| difference.is_some()),
            Err(_) => false,
        };
        let mut short = ops.to_vec();
        if again(ops) {
            short = shrink(ops, &mut again);
        } else {
            println!("  a second try of the same calls did not differ: kept as it was");
        }
        if let Ok(number) = self.number(in_tree)
            && let Some(difference) = self.tried(number, &short)?
        {
            println!("  shrunk to {} calls: {difference}", short.len());
        }
        let path = self.plan.kept.join(format!("seed-{}-{number}.ops", self.plan.seed));
        let head = if in_tree { format!("{IN_A_TREE}\n") } else { String::new() };
        fs::write(&path, format!("{head}{}\n", short.join("\n")))?;
        for op in &short {
            println!("    {op}");
        }
        println!("  kept: {}", path.display());
        self.report.failures.push(path);
        Ok(())
    }
}

/// One side's transcripts. A worker that hangs or dies is started anew.
fn side(
    worker: &mut Option<Worker>,
    start: &dyn Fn() -> Result<Worker>,
    batch: &[(u64, Vec<String>)],
) -> Result<Vec<Result<Vec<String>>>> {
    let mut results = Vec::new();
    for (number, ops) in batch {
        let mut current = match worker.take() {
            Some(worker) => worker,
            None => start()?,
        };
        let result = current.run(*number, ops);
        if result.is_ok() {
            *worker = Some(current)
        } else {
            current.kill()
        }
        results.push(result);
    }
    Ok(results)
}

/// The sequences that failed once.
fn kept(dir: &Path) -> Result<Vec<Sequence>> {
    let mut kept = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.ends_with(".ops") {
            continue;
        }
        let text = fs::read_to_string(&path)?;
        let in_tree = text.starts_with(IN_A_TREE);
        let ops = text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
        kept.push(Sequence { name, ops, in_tree });
    }
    kept.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(kept)
}

/// Sum of a counter over the workspaces.
fn counter(dir: &Path, at: usize) -> Result<u64> {
    let mut sum = 0;
    for daemon in fs::read_dir(dir.join("run/vrift"))? {
        for workspace in fs::read_dir(daemon?.path().join("w"))? {
            let bytes = fs::read(workspace?.path().join("counters"))?;
            let value = bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
            sum += u64::from_le_bytes(value.context("a short counters file")?);
        }
    }
    Ok(sum)
}
