//! What waits for what: how soon a dependent starts once the service that it waits for is ready, and how long a chain of
//! services takes to go down whose processes hear no signal.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::Bench;
use super::installed::{IMAGE, Naru};
use super::table::{Other, Row, Samples, Table, Unit, gather};

/// The longest that a dependent may start after the service is ready, in microseconds.
const MOST_UNTIL_START: f64 = 100_000.0;

/// The longest that the chain may take to go down, in microseconds.
const MOST_CHAIN: f64 = 500_000.0;

/// Services of the chain.
const CHAIN: usize = 6;

/// When the service is ready: not at a time at which it is looked anyway.
const READY_AFTER: &str = "0.43";

pub(crate) fn measure(bench: &Bench, table: &mut Table) -> Result<()> {
    let naru = Naru::prepare(bench)?;
    let folder = bench.share.join("order");
    fs_err::create_dir_all(&folder)?;
    let mut starts: Samples = Ok(Vec::new());
    let mut chain: Samples = Ok(Vec::new());
    // The first round warms caches up and is not counted.
    for round in 0..=bench.rounds {
        let (start, down) = (until_start(&naru, bench, &folder)?, down(&naru, bench, &folder)?);
        if round > 0 {
            gather(&mut starts, start);
            gather(&mut chain, down);
        }
    }
    naru.remove();
    let never =
        |why: &str| Other { name: "docker compose", samples: Err(why.to_owned()), at_most: None };
    table.row(&Row {
        what: "from the moment a service is ready to its dependent's first instruction",
        unit: Unit::Milliseconds,
        naru: &starts,
        at_most: Some(MOST_UNTIL_START),
        others: &[never("looks after 30 s")],
    });
    table.row(&Row {
        what: &format!("`down` of a chain of {CHAIN} deaf services"),
        unit: Unit::Milliseconds,
        naru: &chain,
        at_most: Some(MOST_CHAIN),
        others: &[never("10 s for each")],
    });
    Ok(())
}

/// The service makes a file when it is ready, its dependent another one as its first act.
fn until_start(naru: &Naru, bench: &Bench, folder: &Path) -> Result<Samples> {
    let (ready, started) = (folder.join("ready"), folder.join("started"));
    for path in [&ready, &started] {
        drop(fs_err::remove_file(path));
    }
    let share = folder.display();
    let file = format!(
        "name: naru-order\nservices:\n  \
         db:\n    image: {IMAGE}\n    volumes: ['{share}:/order']\n    \
         command: [sh, -c, 'sleep {READY_AFTER}; touch /order/ready; exec sleep 3600']\n    \
         healthcheck: {{test: [CMD, test, -e, /order/ready]}}\n  \
         web:\n    image: {IMAGE}\n    volumes: ['{share}:/order']\n    \
         command: [sh, -c, 'touch /order/started; exec sleep 3600']\n    \
         depends_on: {{db: {{condition: service_healthy}}}}\n"
    );
    let path = folder.join("ready.yaml");
    fs_err::write(&path, file)?;
    let up = naru.clocked(bench, &path, &["up", "-d"]);
    // The dependent's first act may come a moment after `up` was answered.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
    while !started.exists() && std::time::Instant::now() < deadline {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let time =
        |path: &Path| -> Result<std::time::SystemTime> { Ok(fs_err::metadata(path)?.modified()?) };
    let sample = up.and_then(|_| {
        let times = time(&ready).and_then(|ready| Ok((ready, time(&started)?)));
        let (ready, started) = times.map_err(|error| error.to_string())?;
        let between =
            started.duration_since(ready).map_err(|_| "it started too early".to_owned())?;
        Ok(vec![between.as_secs_f64() * 1e6])
    });
    let down = naru.clocked(bench, &path, &["down", "-t", "0"]);
    Ok(down.and(sample))
}

fn down(naru: &Naru, bench: &Bench, folder: &Path) -> Result<Samples> {
    use std::fmt::Write as _;
    let mut file = String::from("name: naru-chain\nservices:\n");
    for number in 1..=CHAIN {
        write!(file, "  s{number}:\n    image: {IMAGE}\n    command: [sleep, \"3600\"]\n")?;
        if number > 1 {
            writeln!(file, "    depends_on: [s{}]", number - 1)?;
        }
    }
    let path = folder.join("chain.yaml");
    fs_err::write(&path, file)?;
    let up = naru.clocked(bench, &path, &["up", "-d"]);
    let down = naru.clocked(bench, &path, &["down"]);
    Ok(up.and(down))
}

impl Naru {
    /// How long a command on a Compose file takes.
    fn clocked(&self, bench: &Bench, file: &Path, words: &[&str]) -> Samples {
        let mut clock = Command::new(&bench.clock);
        clock.arg("command").arg(&bench.naru).arg("-f").arg(file).args(words);
        super::table::clocked(self.with_directories(&mut clock))
    }
}
