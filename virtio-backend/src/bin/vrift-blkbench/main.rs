//! vrift-blkbench: the kernel's virtio-blk driver with O_DIRECT against the one in user space, on one device, in turns.
//!
//! `vrift-blkbench BDF [--ms N] [--rounds N]`, as root: the device is bound to each driver in turn. **Everything on it is
//! lost.** Depth 32 is one thread with 32 requests under way: io_submit(2) for the kernel, a stream for ours.

mod bind;
mod cases;
mod kernel;
mod ours;

use anyhow::{Context, Result, bail};
use cases::{CASES, Case};
use std::time::Duration;
use vrift_virtio_backend::Spec;

/// How a case is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Driver {
    Kernel,
    Interrupt,
    Poll,
}

const DRIVERS: [Driver; 3] = [Driver::Kernel, Driver::Interrupt, Driver::Poll];

struct Options {
    bdf: String,
    time: Duration,
    rounds: usize,
}

fn options() -> Result<Options> {
    let mut options = Options { bdf: String::new(), time: Duration::from_millis(1000), rounds: 3 };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut number = || -> Result<u64> { Ok(args.next().context("a number is missing")?.parse()?) };
        match arg.as_str() {
            "--ms" => options.time = Duration::from_millis(number()?),
            "--rounds" => options.rounds = usize::try_from(number()?)?.max(1),
            _ if options.bdf.is_empty() && !arg.starts_with('-') => {
                options.bdf = arg.trim_start_matches("vfio:").to_owned();
            }
            _ => bail!("usage: vrift-blkbench BDF [--ms N] [--rounds N]; everything on the device is lost"),
        }
    }
    if options.bdf.is_empty() {
        bail!("usage: vrift-blkbench BDF [--ms N] [--rounds N]; everything on the device is lost");
    }
    Ok(options)
}

fn main() -> Result<()> {
    let options = options()?;
    // Operations a second, by case, driver and round.
    let mut rates = vec![vec![Vec::new(); DRIVERS.len()]; CASES.len()];
    for _ in 0..options.rounds {
        for (driver, column) in DRIVERS.iter().zip(0..) {
            for (row, rate) in run(*driver, &options)?.into_iter().enumerate() {
                rates[row][column].push(rate);
            }
        }
    }
    println!(
        "{:<22}{:>12}{:>12}{:>12}{:>12}{:>12}",
        "", "kernel", "interrupt", "poll", "interrupt/k", "poll/k"
    );
    for (case, rates) in CASES.iter().zip(&rates) {
        let [kernel, interrupt, poll] = [0, 1, 2].map(|driver| median(&rates[driver]));
        // Of pairs that were measured one after the other.
        let ratio = |driver: usize| {
            median(
                &rates[driver].iter().zip(&rates[0]).map(|(ours, theirs)| ours / theirs).collect::<Vec<_>>(),
            )
        };
        println!(
            "{:<22}{:>12}{:>12}{:>12}{:>11.2}x{:>11.2}x",
            case.name,
            shown(case, kernel),
            shown(case, interrupt),
            shown(case, poll),
            ratio(1),
            ratio(2)
        );
    }
    Ok(())
}

fn run(driver: Driver, options: &Options) -> Result<Vec<f64>> {
    let mut rates = Vec::new();
    match driver {
        Driver::Kernel => {
            let path = bind::to_kernel(&options.bdf)?;
            for case in &CASES {
                rates.push(kernel::run(&path, case, options.time).with_context(|| case.name.to_owned())?);
            }
        }
        Driver::Interrupt | Driver::Poll => {
            bind::to_vfio(&options.bdf)?;
            let poll = if driver == Driver::Poll { ",poll" } else { "" };
            let spec = Spec::parse(&format!("vfio:{}{poll}", options.bdf))?;
            for case in &CASES {
                rates.push(ours::run(&spec, case, options.time).with_context(|| case.name.to_owned())?);
            }
        }
    }
    Ok(rates)
}

fn shown(case: &Case, rate: f64) -> String {
    if case.len_bytes >= 1 << 20 {
        return format!("{:.0} MiB/s", rate * case.len_bytes as f64 / f64::from(1 << 20));
    }
    format!("{rate:.0}/s")
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len().is_multiple_of(2) { (values[middle - 1] + values[middle]) / 2.0 } else { values[middle] }
}
