//! The leak probe: everything naru could leave behind, one line per fact, compared as sets.
//!
//! Taken inside a test host, so every process, namespace, mount, link, socket and rule that is seen is the test's own
//! or naru's. What stays by design (images, volumes, the last run's logs) is no fact.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::wait::within;

/// How long the kernel and naru's last process may take to let everything go.
const DEADLINE: Duration = Duration::from_secs(5);

/// Which files and cgroups belong to the naru under test.
#[derive(Debug, Clone)]
pub struct Scope {
    /// The name of naru's folder below `/naru` in each cgroup hierarchy.
    pub cgroup: String,
    /// Its `NARU_ROOT`.
    pub root: PathBuf,
    /// Folders that must hold the same files before and after.
    pub folders: Vec<PathBuf>,
}

/// All facts at one moment, each with how often it was seen.
#[derive(Debug, Clone)]
pub struct Snapshot {
    scope: Scope,
    facts: BTreeMap<String, usize>,
}

impl Snapshot {
    /// Looks now.
    pub fn take(scope: Scope) -> Self {
        let mut facts = BTreeMap::new();
        let all = [
            links(),
            firewall(),
            processes(),
            namespaces(),
            mounts(),
            sockets(),
            cgroups(&scope.cgroup)
                .iter()
                .map(|path| format!("cgroup {}", path.display()))
                .collect(),
            scope.folders.iter().flat_map(|path| files(path)).collect(),
            persistent(&scope.root),
        ];
        for fact in all.into_iter().flatten() {
            *facts.entry(fact).or_insert(0) += 1;
        }
        Self { scope, facts }
    }

    /// What differs now, one fact per line: `+` has come, `-` has gone.
    pub fn difference(&self) -> Vec<String> {
        let now = Self::take(self.scope.clone());
        let mut lines = Vec::new();
        for (fact, count) in &now.facts {
            let before = self.facts.get(fact).copied().unwrap_or(0);
            lines.extend((before..*count).map(|_| format!("+ {fact}")));
        }
        for (fact, count) in &self.facts {
            let after = now.facts.get(fact).copied().unwrap_or(0);
            lines.extend((after..*count).map(|_| format!("- {fact}")));
        }
        lines
    }

    /// Waits until everything is as it was.
    ///
    /// # Panics
    /// When after five seconds something still differs.
    #[track_caller]
    pub fn assert_nothing_left(&self) {
        self.assert_nothing_left_after("all of this");
    }

    /// Waits until everything is as it was; `what` has happened, for the message.
    ///
    /// # Panics
    /// When after five seconds something still differs.
    #[track_caller]
    pub fn assert_nothing_left_after(&self, what: &str) {
        within(DEADLINE, &format!("everything is as it was before {what}"), || {
            let difference = self.difference();
            if difference.is_empty() { Ok(()) } else { Err(format!("\n{}", difference.join("\n"))) }
        });
    }
}

/// The network interfaces of this network namespace.
fn links() -> Vec<String> {
    let table = fs_err::read_to_string("/proc/net/dev").unwrap_or_default();
    let names = table.lines().filter_map(|line| Some(line.split_once(':')?.0.trim()));
    names.map(|name| format!("link {name}")).collect()
}

/// The nftables of this network namespace: tables, chains, sets and the number of rules.
fn firewall() -> Vec<String> {
    use netlink_bindings::nftables::{Nfgenmsg, Request};

    fn name(text: Option<&std::ffi::CStr>) -> String {
        text.unwrap_or_default().to_string_lossy().into_owned()
    }
    let mut socket = netlink_socket2::NetlinkSocket::new();
    let any = Nfgenmsg::new();
    let mut facts = Vec::new();
    if let Ok(mut tables) = socket.request(&Request::new().op_gettable_dump(&any)) {
        while let Some(Ok((_, table))) = tables.recv() {
            facts.push(format!("nft table {}", name(table.get_name().ok())));
        }
    }
    if let Ok(mut chains) = socket.request(&Request::new().op_getchain_dump(&any)) {
        while let Some(Ok((_, chain))) = chains.recv() {
            facts.push(format!("nft chain {}", name(chain.get_name().ok())));
        }
    }
    if let Ok(mut rules) = socket.request(&Request::new().op_getrule_dump(&any)) {
        while let Some(Ok((_, rule))) = rules.recv() {
            facts.push(format!("nft rule in {}", name(rule.get_table().ok())));
        }
    }
    facts
}

/// Every process of this pid namespace; a zombie waiting for process 1 is none.
fn processes() -> Vec<String> {
    numbered("/proc")
        .filter_map(|pid| {
            let stat = fs_err::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let (command, rest) = stat.split_once('(')?.1.rsplit_once(')')?;
            let mut fields = rest.split_whitespace();
            let (state, parent) = (fields.next()?, fields.next()?);
            // Whether it runs or sleeps at this moment is no fact; that nobody waits for it is one.
            let state = if state == "Z" { "zombie" } else { "process" };
            (state != "zombie" || parent != "1").then(|| format!("{state} {command}"))
        })
        .collect()
}

/// How many processes of this pid namespace the kernel knows by this short name.
pub fn processes_named(name: &str) -> usize {
    let wanted = format!("process {name}");
    processes().iter().filter(|fact| **fact == wanted).count()
}

/// The processes whose control group's path has this name in it, with their start times; no zombies.
pub fn processes_of_group(name: &str) -> Vec<(i32, u64)> {
    let all = numbered("/proc").filter_map(|pid| {
        let groups = fs_err::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        let pid = i32::try_from(pid).ok().filter(|_| groups.contains(name))?;
        let stat = naru_state::process::stat(pid).filter(|stat| stat.state != 'Z')?;
        Some((pid, stat.start_time))
    });
    all.collect()
}

/// The rules of all nftables of this network namespace: how many there are of each table.
pub fn firewall_rules() -> BTreeMap<String, usize> {
    let mut rules = BTreeMap::new();
    for fact in firewall() {
        *rules.entry(fact).or_insert(0) += 1;
    }
    rules
}

/// The namespaces that processes of this pid namespace live in, by kind; their number is what must not grow.
fn namespaces() -> Vec<String> {
    let mut seen = std::collections::BTreeSet::new();
    for pid in numbered("/proc") {
        for kind in ["net", "mnt", "pid", "user", "cgroup", "ipc", "uts", "time"] {
            if let Ok(target) = fs_err::read_link(format!("/proc/{pid}/ns/{kind}")) {
                seen.insert(target.to_string_lossy().into_owned());
            }
        }
    }
    seen.into_iter().map(|name| format!("namespace {name}")).collect()
}

/// Every mount of this mount namespace, by type and place.
fn mounts() -> Vec<String> {
    let table = fs_err::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    table
        .lines()
        .filter_map(|line| {
            let (mount, source) = line.split_once(" - ")?;
            let place = mount.split(' ').nth(4)?;
            let kind = source.split(' ').next()?;
            Some(format!("mount {kind} {place}"))
        })
        .collect()
}

/// Unix sockets with a name, and everything listening or bound on TCP and UDP.
fn sockets() -> Vec<String> {
    let mut facts = Vec::new();
    let unix = fs_err::read_to_string("/proc/net/unix").unwrap_or_default();
    for line in unix.lines().skip(1) {
        let mut fields = line.split_whitespace().skip(5);
        // 01 is one that is not connected: one that listens, or of datagrams.
        if let (Some("01"), Some(_), Some(path)) = (fields.next(), fields.next(), fields.next()) {
            facts.push(format!("unix socket {path}"));
        }
    }
    for table in ["tcp", "tcp6", "udp", "udp6"] {
        let text = fs_err::read_to_string(format!("/proc/net/{table}")).unwrap_or_default();
        for line in text.lines().skip(1) {
            let mut fields = line.split_whitespace().skip(1);
            let (local, _, state) = (fields.next(), fields.next(), fields.next());
            // 0A is a listening TCP socket, 07 an unconnected UDP one; connections fade away by themselves.
            if matches!(state, Some("0A" | "07")) {
                facts.push(format!("{table} socket {}", local.unwrap_or_default()));
            }
        }
    }
    facts
}

/// All cgroups of the naru with this folder name, in every hierarchy, parents first.
pub(crate) fn cgroups(name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let top = Path::new("/sys/fs/cgroup");
    let hierarchies = folders(top).into_iter().chain([top.to_owned()]);
    for hierarchy in hierarchies {
        let mut waiting = vec![hierarchy.join("naru").join(name)];
        while let Some(folder) = waiting.pop() {
            if folder.is_dir() {
                waiting.extend(folders(&folder));
                found.push(folder);
            }
        }
    }
    found.sort();
    found
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs_err::read_dir(path) else {
        return Vec::new();
    };
    let entries = entries.filter_map(Result::ok);
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

/// Every file and folder below `path`.
fn files(path: &Path) -> Vec<String> {
    let mut facts = Vec::new();
    let mut waiting = vec![path.to_owned()];
    while let Some(folder) = waiting.pop() {
        let Ok(entries) = fs_err::read_dir(&folder) else {
            continue;
        };
        for entry in entries.filter_map(Result::ok) {
            facts.push(format!("file {}", entry.path().display()));
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                waiting.push(entry.path());
            }
        }
    }
    facts
}

/// What lies in `NARU_ROOT`, without images, volumes and logs, which stay by design.
fn persistent(root: &Path) -> Vec<String> {
    let stays = |fact: &String| {
        let path = fact.trim_start_matches("file ");
        let below = path.strip_prefix(&root.display().to_string()).unwrap_or(path);
        let mut parts = below.trim_start_matches('/').split('/');
        match parts.next() {
            Some("images" | "volumes") => true,
            // projects/NAME/logs/… and the events stay, and with them the two folders above.
            Some("projects") => match (parts.next(), parts.next()) {
                (_, None | Some("logs" | "events" | "events.1")) => true,
                (_, Some(_)) => false,
            },
            _ => false,
        }
    };
    let mut facts = files(root);
    facts.retain(|fact| !stays(fact));
    facts
}

fn numbered(folder: &str) -> impl Iterator<Item = u32> {
    let entries = fs_err::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn scope() -> Scope {
        let folder = std::env::temp_dir().join(format!("naru-leak-{}", std::process::id()));
        Scope { cgroup: "none".to_owned(), root: folder.join("root"), folders: vec![folder] }
    }

    #[test]
    fn the_probe_sees_what_was_left_and_nothing_else() {
        crate::sandbox(|| {
            let before = Snapshot::take(scope());
            assert_eq!(before.difference(), Vec::<String>::new());

            let socket = TcpListener::bind("127.0.0.1:4711").unwrap();
            crate::sandbox::ip(&["link", "add", "left", "type", "veth", "peer", "name", "over"]);
            let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
            let left = before.difference().join("\n");
            assert!(left.contains("+ link left\n+ link over"), "{left}");
            assert!(left.contains("+ process sleep"), "{left}");
            assert!(left.contains("+ tcp socket 0100007F:1267"), "{left}");

            crate::sandbox::ip(&["link", "del", "left"]);
            child.kill().unwrap();
            child.wait().unwrap();
            drop(socket);
            before.assert_nothing_left();
        });
    }
}
