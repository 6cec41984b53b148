//! create → exec → exit of one container: naru's runtime, runc, crun and the bare kernel; many at once; their memory.

use std::process::Command;

use anyhow::Result;

use super::Bench;
use super::peers::SHARE;
use super::table::{Other, Row, Samples, Table, Unit, clocked, gather};

/// Containers per program and round; the first one of each is not counted.
const BACK_TO_BACK: u32 = 4;

/// Containers started at the same time.
const MANY: u32 = 200;

/// The most private memory that naru may use for a container that runs, in bytes.
const MOST_MEMORY: f64 = 1024.0 * 1024.0;

/// Turns `runc spec` into a bundle that runs /bin/true of the shared root file system.
const BUNDLE: &str = r#"
    mkdir -p /share/bundle && cd /share/bundle && rm -f config.json && runc spec
    sed -i 's/"terminal": true/"terminal": false/; s/"sh"/"true"/; s,"path": "rootfs","path": "/share/rootfs",' config.json
"#;

pub(crate) fn measure(bench: &Bench, table: &mut Table) -> Result<()> {
    fs_err::create_dir_all(bench.share.join("scratch"))?;
    if let Ok(mut bundle) = bench.peers.command("exec", ["sh", "-c", BUNDLE]) {
        crate::task::run(&mut bundle)?;
    }
    for (title, count, quiet) in [
        ("create → exec → exit, back to back", BACK_TO_BACK, 0),
        ("create → exec → exit, after 200 ms of quiet", 1, 200),
    ] {
        row(bench, table, title, &[format!("--count={count}"), format!("--quiet={quiet}")]);
    }
    further(bench, table);
    many(bench, table);
    held(bench, table);
    Ok(())
}

/// What naru itself uses while a container runs under its process 1; without that nothing of it is left but what the
/// caller holds.
fn held(bench: &Bench, table: &mut Table) {
    let mut naru: Samples = Ok(Vec::new());
    for _ in 0..bench.rounds.div_ceil(5) {
        gather(&mut naru, clocked(host(bench, &[]).arg("memory").args(places(bench))));
    }
    let what = "private memory for each running container, naru's process 1 included";
    let samples = Err("it stays with no container".to_owned());
    let others = [Other { name: "runc, crun", samples, at_most: None }];
    let unit = Unit::Mebibytes;
    table.row(&Row { what, unit, naru: &naru, at_most: Some(MOST_MEMORY), others: &others });
}

/// A further process in a running container.
fn further(bench: &Bench, table: &mut Table) {
    let mut naru: Samples = Ok(Vec::new());
    for _ in 0..bench.rounds {
        let how = [format!("--count={BACK_TO_BACK}")];
        gather(&mut naru, steady(clocked(host(bench, &how).arg("exec").args(places(bench)))));
    }
    let others =
        [Other { name: "nothing else", samples: Err("no peer".to_owned()), at_most: None }];
    let what = "exec `true` in a running container, to its end";
    let unit = Unit::Milliseconds;
    table.row(&Row { what, unit, naru: &naru, at_most: Some(5000.0), others: &others });
}

/// Many containers at once, ten times as many beside few: the time for each must not grow.
fn many(bench: &Bench, table: &mut Table) {
    let (mut all, mut few): (Samples, Samples) = (Ok(Vec::new()), Ok(Vec::new()));
    // One round of many says as much as ten of the others.
    for _ in 0..bench.rounds.div_ceil(5) {
        for (samples, count) in [(&mut all, MANY), (&mut few, MANY / 10)] {
            let mut command = host(bench, &[]);
            command.arg("many").args(places(bench)).arg(format!("--containers={count}"));
            let round = clocked(&mut command);
            let each =
                round.map(|times| times.iter().map(|time| time / f64::from(count)).collect());
            gather(samples, each);
        }
    }
    let what = format!("start of {MANY} containers at once, for each");
    let others = [Other { name: "a tenth as many", samples: few, at_most: Some(1.5) }];
    let unit = Unit::Milliseconds;
    table.row(&Row { what: &what, unit, naru: &all, at_most: None, others: &others });
}

fn row(bench: &Bench, table: &mut Table, title: &str, how: &[String]) {
    let mut naru: Samples = Ok(Vec::new());
    let other = |name, at_most| Other { name, samples: Ok(Vec::new()), at_most };
    let mut others = [
        other("bare kernel", Some(2.0)),
        other("bare kernel without cgroups", None),
        other("runc", None),
        other("crun", None),
    ];
    for _ in 0..bench.rounds {
        gather(&mut naru, steady(clocked(host(bench, how).arg("runtime").args(places(bench)))));
        for other in &mut others {
            let mut floor = host(bench, how);
            floor.arg("floor").args(places(bench));
            let round = match other.name {
                "runc" => peer(bench, how, "exec", "runc"),
                "crun" => peer(bench, how, "v1", "crun"),
                "bare kernel" => clocked(floor.arg("--cgroup=naru-floor")),
                _ => clocked(&mut floor),
            };
            gather(&mut other.samples, steady(round));
        }
    }
    let unit = Unit::Milliseconds;
    table.row(&Row { what: title, unit, naru: &naru, at_most: None, others: &others });
}

/// Without the first of several, which pays for cold caches.
fn steady(samples: Samples) -> Samples {
    samples.map(|mut all| if all.len() > 1 { all.split_off(1) } else { all })
}

fn host(bench: &Bench, how: &[String]) -> Command {
    let mut command = Command::new(&bench.clock);
    command.args(how);
    command
}

fn places(bench: &Bench) -> [std::path::PathBuf; 2] {
    [bench.root(), bench.share.join("scratch")]
}

fn peer(bench: &Bench, how: &[String], verb: &str, program: &str) -> Samples {
    let mut words = vec![format!("{SHARE}/naru-bench")];
    words.extend_from_slice(how);
    let run = ["command", program, "run", "--bundle", "/share/bundle", "naru-bench-{n}"];
    words.extend(run.map(str::to_owned));
    bench.peers.command(verb, words).and_then(|mut command| clocked(&mut command))
}
