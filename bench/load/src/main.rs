//! Load for a relay on this machine.
//!
//! ```text
//! neap-load fan-out   PROTOCOL URL SECONDS READERS RATE PID
//! neap-load in-flight PROTOCOL URL SECONDS CLIENTS PID
//! neap-load null
//! ```
//!
//! `PROTOCOL` is `neap`, `raw` (what is said is heard by all), `yjs`, `tinybase` or `tldraw`. `fan-out` writes `RATE` mutations a second, each
//! at its moment whether or not the one before was answered, and takes latencies from that moment on: a stall is
//! not forgiven (no coordinated omission). `in-flight` lets each client send its next mutation when the last one
//! is acknowledged. `null` is a server that repeats to all what it is told and stores nothing: what is measured
//! against it is the ceiling of this program. Prints one JSON object; CPU is that of process `PID`.

use std::{
    env,
    error::Error,
    fs, process,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::time;

mod dialect;
mod heard;
mod null;
mod peer;

use dialect::Protocol;
use heard::Heard;
use peer::Peer;

type Trouble = Box<dyn Error + Send + Sync>;

/// Clients that write in `fan-out`.
const WRITERS: u64 = 4;
/// After so long without any news nothing more is waited for: a machine with much else to do may need minutes for
/// what a quiet one does at once, and how long each took is told anyway.
const GRACE: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args[..] {
        ["fan-out", protocol, url, seconds, readers, rate, pid] => {
            fan_out(protocol, url, [seconds, readers, rate, pid]).await
        }
        ["in-flight", protocol, url, seconds, clients, pid] => {
            in_flight(protocol, url, [seconds, clients, pid]).await
        }
        ["null"] => null::serve().await,
        _ => Err("usage: see the head of main.rs".into()),
    };
    if let Err(error) = done {
        eprintln!("neap-load: {error}");
        process::exit(1);
    }
}

async fn fan_out(protocol: &str, url: &str, numbers: [&str; 4]) -> Result<(), Trouble> {
    let protocol = Protocol::from_name(protocol)?;
    let [seconds, readers, rate, pid] = parse(numbers)?;
    let start = Instant::now();
    let heard = Arc::new(Mutex::new(Heard::new()?));
    for _ in 0..readers {
        let peer = Peer::connect(protocol, url).await?;
        tokio::spawn(read(peer, start, Arc::clone(&heard)));
    }
    let mut writers = Vec::new();
    for number in 0..WRITERS {
        writers.push((number, Peer::connect(protocol, url).await?));
    }
    let cpu = Cpu::of(pid);
    let begin = Instant::now();
    let total = rate * seconds;
    let moment = move |turn: u64| begin + Duration::from_micros(turn * 1_000_000 / rate);
    let writing: Vec<_> = writers
        .into_iter()
        .map(|(first, mut peer)| {
            tokio::spawn(async move {
                for turn in (first..total).step_by(WRITERS as usize) {
                    // What is heard meanwhile settles what was said.
                    while let Ok(news) = time::timeout_at(moment(turn).into(), peer.hear()).await {
                        news?;
                    }
                    peer.say(micros(start, moment(turn))).await?;
                }
                // A server that is too slow for the rate shows in what was delivered.
                let _ = peer.settle(GRACE).await;
                Ok::<_, Trouble>(peer.placed)
            })
        })
        .collect();
    let mut placed = Vec::new();
    for task in writing {
        placed.append(&mut task.await??);
    }
    let wanted = total * readers;
    let count = || heard.lock().unwrap_or_else(PoisonError::into_inner).mutations;
    let (mut before, mut newest) = (count(), Instant::now());
    while before < wanted && newest.elapsed() < GRACE {
        time::sleep(Duration::from_millis(1)).await;
        let now = count();
        if now > std::mem::replace(&mut before, now) {
            newest = Instant::now();
        }
    }
    let wall = begin.elapsed().as_millis();
    let cpu = cpu.used();
    let done = heard.lock().unwrap_or_else(PoisonError::into_inner).resolve(placed);
    let [p50, p99] = [0.5, 0.99].map(|part| done.latencies.value_at_quantile(part));
    println!(
        "{{\"sent\":{total},\"delivered\":{},\"merged\":{},\"paged\":{},\"wanted\":{wanted},\"wallMs\":{wall},\"cpuUs\":{cpu},\"p50Us\":{p50},\"p99Us\":{p99}}}",
        done.latencies.len(),
        done.merged,
        done.paged
    );
    Ok(())
}

async fn read(mut peer: Peer, start: Instant, heard: Arc<Mutex<Heard>>) {
    // The program ends with this task still listening.
    while let Ok(news) = peer.hear().await {
        let now = micros(start, Instant::now());
        heard.lock().unwrap_or_else(PoisonError::into_inner).take(news, now);
    }
}

async fn in_flight(protocol: &str, url: &str, numbers: [&str; 3]) -> Result<(), Trouble> {
    let protocol = Protocol::from_name(protocol)?;
    if !protocol.acknowledges() {
        return Err("this protocol acknowledges nothing".into());
    }
    let [seconds, clients, pid] = parse(numbers)?;
    let mut peers = Vec::new();
    for _ in 0..clients {
        peers.push(Peer::connect(protocol, url).await?);
    }
    let cpu = Cpu::of(pid);
    let begin = Instant::now();
    let end = begin + Duration::from_secs(seconds);
    let running: Vec<_> = peers
        .into_iter()
        .map(|mut peer| {
            tokio::spawn(async move {
                let mut acknowledged = 0_u64;
                while Instant::now() < end {
                    peer.say(micros(begin, Instant::now())).await?;
                    peer.settle(GRACE).await?;
                    acknowledged += 1;
                }
                Ok::<_, Trouble>(acknowledged)
            })
        })
        .collect();
    let mut acknowledged = 0;
    for task in running {
        acknowledged += task.await??;
    }
    let wall = begin.elapsed().as_millis();
    println!("{{\"acknowledged\":{acknowledged},\"wallMs\":{wall},\"cpuUs\":{}}}", cpu.used());
    Ok(())
}

fn micros(start: Instant, moment: Instant) -> u64 {
    u64::try_from(moment.saturating_duration_since(start).as_micros()).unwrap_or(u64::MAX)
}

fn parse<const N: usize>(texts: [&str; N]) -> Result<[u64; N], Trouble> {
    let mut numbers = [0; N];
    for (number, text) in numbers.iter_mut().zip(texts) {
        *number = text.parse()?;
    }
    Ok(numbers)
}

/// The processor time of a process and its threads, from Linux's `/proc`; nothing elsewhere.
struct Cpu {
    pid: u64,
    before: u64,
}

impl Cpu {
    fn of(pid: u64) -> Cpu {
        Cpu { pid, before: Cpu::micros(pid) }
    }

    fn used(&self) -> u64 {
        Cpu::micros(self.pid).saturating_sub(self.before)
    }

    /// User and system time, fields 14 and 15 of proc_pid_stat(5), in ticks of 10 ms.
    fn micros(pid: u64) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let ticks = after_name.split_whitespace().skip(11).take(2);
        ticks.filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>() * 10_000
    }
}
