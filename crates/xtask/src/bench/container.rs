//! create → exec → exit of one container: naru's runtime, runc, crun and the bare kernel.

use std::process::Command;

use anyhow::Result;

use super::Bench;
use super::peers::SHARE;
use super::table::{Other, Row, Samples, Table, Unit, clocked, gather};

/// Containers per program and round; the first one of each is not counted.
const BACK_TO_BACK: u32 = 4;

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
    Ok(())
}

fn row(bench: &Bench, table: &mut Table, title: &str, how: &[String]) {
    let mut naru: Samples = Ok(Vec::new());
    let other = |name, at_most| Other { name, samples: Ok(Vec::new()), at_most };
    let mut others = [
        other("bare kernel", Some(3.0)),
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
