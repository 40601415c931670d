//! Runs many seeds of the simulator: `cargo run --release -p neap-core --example sim -- --seeds N`,
//! or one, step by step: `… -- --seed S --trace`.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used)]
#![allow(clippy::wildcard_enum_match_arm, clippy::needless_range_loop)]

use std::{
    cell::Cell,
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

#[allow(dead_code)]
#[path = "../tests/it/sim/mod.rs"]
mod sim;

use sim::{Lanes, Plan, Report, Sights, Violation};

struct Arguments {
    first: u64,
    seeds: u64,
    threads: usize,
    is_traced: bool,
}

/// What all seeds came to.
#[derive(Default)]
struct Sum {
    steps: u64,
    mutations: u64,
    sights: Sights,
    bad: Vec<(u64, Violation)>,
}

thread_local! {
    /// The seed under way, so that a panic can say which it was.
    static SEED: Cell<u64> = const { Cell::new(0) };
}

fn main() -> ExitCode {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        eprintln!("[PA1] seed {} panicked; replay with: --seed {0} --trace", SEED.get());
        hook(info);
    }));
    let arguments = match read_arguments() {
        Ok(arguments) => arguments,
        Err(what) => {
            eprintln!("{what}\nusage: sim [--seeds N] [--seed S] [--threads T] [--trace]");
            return ExitCode::from(2);
        }
    };
    let start = Instant::now();
    let sum = run_all(&arguments);
    let seconds = start.elapsed().as_secs_f64();
    for (sight, count) in sum.sights.each() {
        println!("{count:12} {sight}");
    }
    println!(
        "{} seeds from {}, {} steps, {} mutations, {seconds:.1} s",
        arguments.seeds, arguments.first, sum.steps, sum.mutations
    );
    for (seed, violation) in sum.bad.iter().take(10) {
        println!("seed {seed}: {violation}");
    }
    if let Some((seed, _)) = sum.bad.first() {
        println!("{} bad seeds; replay with: --seed {seed} --trace", sum.bad.len());
        return ExitCode::FAILURE;
    }
    let unseen: Vec<_> = sum.sights.each().filter(|(_, count)| *count == 0).collect();
    if !unseen.is_empty() && arguments.seeds >= 500 {
        println!("never seen: {unseen:?}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn read_arguments() -> Result<Arguments, String> {
    let mut arguments = Arguments { first: 1, seeds: 200, threads: 2, is_traced: false };
    let mut seeds = None;
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || {
            let text = words.next().ok_or(format!("{word} needs a number"))?;
            text.parse::<u64>().map_err(|_| format!("{text} is no number"))
        };
        match word.as_str() {
            "--seeds" => seeds = Some(number()?),
            "--seed" => {
                arguments.first = number()?;
                seeds = seeds.or(Some(1));
            }
            "--threads" => arguments.threads = number()?.clamp(1, 64) as usize,
            "--trace" => arguments.is_traced = true,
            other => return Err(format!("{other} is no option")),
        }
    }
    arguments.seeds = seeds.unwrap_or(arguments.seeds);
    Ok(arguments)
}

fn run_all(arguments: &Arguments) -> Sum {
    let next = AtomicU64::new(arguments.first);
    let end = arguments.first + arguments.seeds;
    let sum = Mutex::new(Sum::default());
    std::thread::scope(|scope| {
        for _ in 0..arguments.threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        break;
                    }
                    SEED.set(seed);
                    let (lanes, traced) = (Lanes::of(seed), arguments.is_traced);
                    let plan = Plan { seed, lanes, sabotage: None, traced };
                    let (report, result) = sim::run(plan);
                    gather(&mut sum.lock().unwrap(), seed, report, result);
                }
            });
        }
    });
    let mut sum = sum.into_inner().unwrap();
    sum.bad.sort_by_key(|(seed, _)| *seed);
    sum
}

fn gather(sum: &mut Sum, seed: u64, report: Report, result: sim::Check) {
    sum.steps += report.steps;
    sum.mutations += report.mutations;
    sum.sights.add(&report.sights);
    for line in &report.trace {
        println!("{line}");
    }
    if let Err(violation) = result {
        sum.bad.push((seed, violation));
    }
}
