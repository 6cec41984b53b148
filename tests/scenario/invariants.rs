//! What holds after any fault, whatever a test is about: the invariants I1 to I9 and I11 of the specification's table of
//! survival, as far as they can be seen from outside.
//!
//! Beside the project that meets the fault stands another one, the bystander, which must not notice: its containers are the
//! same processes, its counter counts without a gap, its port never refuses, an exit code stays what it was.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;

use naru_test::leak::{Snapshot, firewall_rules};
use naru_test::{Project, TestHost, eventually};
use rustix::process::Pid;

use super::survival::load::{Visitor, assert_no_gap};

const BYSTANDER: &str = "
services:
  counter: { image: test, command: naru-check count 50 }
  page: { image: test, ports: ['8099:80'], command: naru-check listen 80 }
  ended: { image: test, command: [sh, -c, 'exit 7'] }
";

/// The most descriptors that a process of naru has for a project with two containers, and the most threads.
const MOST: (usize, usize) = (128, 24);

/// The world around the project that meets faults.
pub(super) struct World<'host> {
    host: &'host TestHost,
    bystander: Project<'host>,
    processes: BTreeMap<String, Process>,
    visitor: Visitor,
    before: Snapshot,
    /// The rules of the firewall when the project was up and nothing had gone wrong yet.
    rules: RefCell<Option<BTreeMap<String, usize>>>,
}

/// How often the bystander is visited.
const PAUSE: Duration = Duration::from_millis(50);

/// Which process a container's first one is: pid and start time.
type Process = (i32, u64);

impl<'host> World<'host> {
    /// Brings the bystander up.
    pub(super) fn new(host: &'host TestHost) -> Self {
        let bystander = host.project("bystander").file("compose.yaml", BYSTANDER);
        bystander.naru(["up", "-d"]).succeeds();
        bystander.until("ended", "exited");
        let processes = truth(&bystander, "the beginning");
        let visitor = Visitor::start_every(PAUSE, "127.0.0.1:8099");
        // The link of who has ended goes a moment later.
        let before = eventually("nothing changes any more", || {
            let links = fs_err::read_to_string("/proc/net/dev").unwrap().matches("nv-").count();
            if links != 2 {
                return Err(format!("{links} links of two running containers"));
            }
            let now = host.snapshot();
            std::thread::sleep(PAUSE * 6);
            let difference = now.difference();
            if difference.is_empty() { Ok(now) } else { Err(difference.join("\n")) }
        });
        Self { host, bystander, processes, visitor, before, rules: RefCell::default() }
    }

    /// No command on `project` hangs or lies, everything converges, and nobody else has noticed. The project is down then.
    pub(super) fn recovers(&self, project: &Project<'_>, what: &str) {
        // Shown only when something fails, whatever that is.
        std::io::stderr().write_all(format!("after {what}\n").as_bytes()).unwrap();
        let naru = |words: &[&str]| {
            let outcome = project.naru(words);
            assert_eq!(outcome.code, 0, "after {what}: {outcome}");
            outcome
        };
        naru(&["ps", "-a", "--format", "json"]);
        self.is_unharmed(what);
        naru(&["up", "-d"]);
        let listed = naru(&["ps", "-a", "--format", "json"]);
        // What `run` has made is nobody's replica.
        let is_replica = |one: &&serde_json::Value| !one["Name"].to_string().contains("-run-");
        let rows = listed.json();
        let states: Vec<_> =
            rows.iter().filter(is_replica).map(|one| one["State"].clone()).collect();
        assert_eq!(states, ["running", "running"], "after {what}: {listed}");
        let processes = truth(project, what);
        naru(&["exec", "-T", "web", "naru-check", "resolve", "database"]);
        naru(&["system", "check"]);
        let port = std::net::TcpStream::connect("127.0.0.1:8080");
        assert!(port.is_ok(), "after {what}: the published port: {port:?}");
        let rules = firewall_rules();
        let healthy = self.rules.borrow_mut().get_or_insert_with(|| rules.clone()).clone();
        assert_eq!(rules, healthy, "after {what}: the rules of the firewall");
        naru(&["up", "-d", "--dry-run"]);
        naru(&["up", "-d"]);
        assert_eq!(
            truth(project, what),
            processes,
            "after {what}: another up has changed something"
        );
        self.is_bounded(what);
        naru(&["down", "-t", "0"]);
        self.before.assert_nothing_left_after(what);
        self.is_unharmed(what);
    }

    /// The processes of naru have no more descriptors and threads than they need.
    fn is_bounded(&self, what: &str) {
        for role in ["keeper:", "supervisor:"] {
            for pid in self.host.processes(&["naru", role]) {
                let (files, threads) = (count(pid, "fd"), count(pid, "task"));
                let is_bounded = files <= MOST.0 && threads <= MOST.1;
                assert!(is_bounded, "after {what}: {role} {files} files, {threads} threads");
            }
        }
    }

    /// The bystander has not noticed anything.
    pub(super) fn is_unharmed(&self, what: &str) {
        let processes = truth(&self.bystander, what);
        assert_eq!(processes, self.processes, "after {what}: the bystander's containers");
        let ended = &self.bystander.containers("ended")[0];
        assert_eq!(ended["ExitCode"], 7, "after {what}: {ended}");
        assert_no_gap(&self.bystander, "counter");
    }

    /// Takes the bystander down.
    pub(super) fn end(self) {
        let visits = self.visitor.stop();
        assert_eq!(visits.refused, Vec::<String>::new(), "of {} visits", visits.count);
        self.bystander.naru(["down", "-t", "0"]).succeeds();
    }
}

/// What `ps` says of a project's containers is what the kernel says, as soon as nobody is about to change it; gives the
/// first processes of those that run.
pub(super) fn truth(project: &Project<'_>, what: &str) -> BTreeMap<String, Process> {
    eventually(&format!("the truth after {what}"), || {
        let listed = project.naru(["ps", "-a", "--no-trunc", "--format", "json"]).succeeds();
        let mut processes = BTreeMap::new();
        for row in listed.json() {
            let first = first_process(row["ID"].as_str().unwrap());
            if (row["State"] == "running") != first.is_some() {
                return Err(format!("{row}: {first:?}"));
            }
            let name = row["Name"].as_str().unwrap().to_owned();
            let twice = first.and_then(|first| processes.insert(name, first));
            assert_eq!(twice, None, "after {what}: two containers of one name: {listed}");
        }
        Ok(processes)
    })
}

/// The first process of a container: the oldest one in its control group.
fn first_process(id: &str) -> Option<Process> {
    let all = naru_test::leak::processes_of_group(id);
    all.into_iter().min_by_key(|(pid, start_time)| (*start_time, *pid))
}

/// How many there are; none of a process that has just ended.
fn count(pid: Pid, kind: &str) -> usize {
    let entries = fs_err::read_dir(format!("/proc/{}/{kind}", pid.as_raw_nonzero()));
    entries.map_or(0, Iterator::count)
}
