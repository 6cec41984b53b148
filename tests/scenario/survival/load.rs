//! What goes on while naru's processes are killed, and how it is looked at afterwards.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use naru_test::{Project, TestHost, eventually, http};
use rustix::process::Pid;

/// How long a random run takes: `cargo xtask soak` says it in the environment.
pub(super) fn soak_seconds(short: u64) -> u64 {
    std::env::var("NARU_SOAK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(short)
}

/// Waits until the page is served.
pub(crate) fn answers(address: &str) {
    eventually("the published port answers", || {
        match http::request("GET", address, "/passwd", "") {
            Ok((200, _)) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
}

/// Somebody who connects all the time.
pub(crate) struct Visitor {
    done: Arc<AtomicBool>,
    begun: Arc<AtomicU64>,
    thread: JoinHandle<Visits>,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Visits {
    pub(crate) count: u64,
    pub(crate) refused: Vec<String>,
    /// Until the longest one was there.
    pub(crate) longest: Duration,
}

impl Visitor {
    pub(crate) fn start(address: &str) -> Self {
        Self::start_every(Duration::from_millis(4), address)
    }

    pub(crate) fn start_every(pause: Duration, address: &str) -> Self {
        let address: SocketAddr = address.parse().unwrap();
        let done = Arc::new(AtomicBool::new(false));
        let begun = Arc::new(AtomicU64::new(0));
        let (until, counter) = (Arc::clone(&done), Arc::clone(&begun));
        let thread = std::thread::spawn(move || {
            let mut visits = Visits::default();
            while !until.load(Ordering::Relaxed) {
                visits.count = counter.fetch_add(1, Ordering::Relaxed) + 1;
                let begin = Instant::now();
                if let Err(error) = TcpStream::connect_timeout(&address, Duration::from_secs(10)) {
                    visits.refused.push(error.to_string());
                }
                visits.longest = visits.longest.max(begin.elapsed());
                std::thread::sleep(pause);
            }
            visits
        });
        Self { done, begun, thread }
    }

    /// Waits until a visit that has yet to begin is over.
    pub(crate) fn once_more(&self) {
        let before = self.begun.load(Ordering::Relaxed);
        eventually("another whole visit", || match self.begun.load(Ordering::Relaxed) {
            now if now >= before + 2 => Ok(()),
            now => Err(format!("{now} visits")),
        });
    }

    pub(crate) fn stop(self) -> Visits {
        self.done.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// How long the page was away after each death.
#[derive(Debug, Default)]
pub(super) struct Recovery(Vec<(Duration, String)>);

impl Recovery {
    pub(super) fn measure(&mut self, address: &str, victim: &str) {
        let begin = Instant::now();
        // What the process before had accepted is reset: the first whole answer counts.
        while begin.elapsed() < Duration::from_secs(10) {
            if matches!(http::request("GET", address, "/passwd", ""), Ok((200, _))) {
                self.0.push((begin.elapsed(), victim.to_owned()));
                return;
            }
        }
    }

    /// Prints the distribution and gives the median.
    #[expect(clippy::print_stderr, reason = "what a soak run has measured")]
    pub(super) fn report(mut self, deaths: u32) -> Duration {
        self.0.sort();
        let at = |part: usize| self.0[(self.0.len() - 1) * part / 100].0;
        let (p50, p90, p99, longest) = (at(50), at(90), at(99), at(100));
        eprintln!(
            "recovery: {deaths} deaths, p50 {p50:?}, p90 {p90:?}, p99 {p99:?}, longest {longest:?}: {:?}",
            self.0.iter().rev().take(3).collect::<Vec<_>>()
        );
        p50
    }
}

/// Numbers for a test that shall not repeat itself; the seed is the clock's.
pub(in crate::scenario) struct Rng(u64);

impl Rng {
    pub(in crate::scenario) fn new() -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        Self(now.subsec_nanos().into())
    }

    pub(super) fn choose<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        let number = self.below(u64::try_from(from.len()).ok()?);
        from.get(usize::try_from(number).ok()?)
    }

    pub(in crate::scenario) fn below(&mut self, end: u64) -> u64 {
        // A linear congruential generator with Knuth's constants: its high bits are good enough to choose by.
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end.max(1)
    }
}

/// A process's parent; nothing when it is gone, or has ended and only waits to be reaped.
pub(super) fn parent(process: Pid) -> Option<Pid> {
    let stat = fs_err::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero())).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    Pid::from_raw(parent).filter(|_| state != "Z")
}

/// What a process of naru is: the first word after its name.
pub(super) fn role(process: Pid) -> String {
    let line = fs_err::read_to_string(format!("/proc/{}/cmdline", process.as_raw_nonzero()));
    line.unwrap_or_default().split('\0').nth(1).unwrap_or_default().to_owned()
}

/// All lines of a service.
pub(crate) fn lines(project: &Project<'_>, service: &str) -> Vec<String> {
    let log = project.naru(["logs", "--no-log-prefix", service]).succeeds().stdout;
    log.lines().map(str::to_owned).collect()
}

/// Every number that the service wrote is in its log once, in order; a rotation may have taken the beginning.
pub(crate) fn assert_no_gap(project: &Project<'_>, service: &str) {
    let numbers: Vec<u64> =
        lines(project, service).iter().map(|line| line.parse().unwrap()).collect();
    assert!(numbers.len() > 10, "{} lines", numbers.len());
    let breaks: Vec<_> = numbers.windows(2).filter(|pair| pair[1] != pair[0] + 1).collect();
    assert!(breaks.is_empty(), "{breaks:?}");
}

/// When the service wrote `started`, in nanoseconds.
pub(super) fn starts(project: &Project<'_>, service: &str) -> Vec<u64> {
    let log = project.naru(["logs", "--no-log-prefix", "--timestamps", service]).stdout;
    let started = log.lines().filter_map(|line| line.strip_suffix(" started"));
    started
        .map(|time| {
            let out =
                std::process::Command::new("date").args(["+%s%N", "-d", time]).output().unwrap();
            String::from_utf8_lossy(&out.stdout).trim().parse().unwrap()
        })
        .collect()
}

/// The volatile files of this name.
fn run_files(host: &TestHost, name: &str) -> Vec<String> {
    let found = std::process::Command::new("find")
        .arg(host.root().parent().unwrap().join("run"))
        .args(["-name", name])
        .output()
        .unwrap();
    String::from_utf8_lossy(&found.stdout).lines().map(str::to_owned).collect()
}

/// Whether a supervisor has written down that this process is a probe of its own.
pub(super) fn is_noted(host: &TestHost, probe: Pid) -> bool {
    run_files(host, "probe.json").iter().any(|path| {
        let text = fs_err::read_to_string(path).unwrap_or_default();
        let noted: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        noted["pid"] == probe.as_raw_nonzero().get()
    })
}

/// Changes the states that are written down, as a crash at a bad moment might leave them.
pub(super) fn edit_states(host: &TestHost, edit: impl Fn(&mut serde_json::Value)) -> usize {
    let found = run_files(host, "state.json");
    for path in &found {
        let mut state = serde_json::from_str(&fs_err::read_to_string(path).unwrap()).unwrap();
        edit(&mut state);
        fs_err::write(path, state.to_string()).unwrap();
    }
    found.len()
}
