//! What runs: how soon there is full service again after a death, how soon somebody looks at it, and what it costs to
//! keep it running.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::installed::{IMAGE, Naru};
use super::table::{Other, Row, Samples, Table, Unit, clocked, gather};
use super::{Bench, memory};
use crate::task;

/// The longest until full service is back, in microseconds.
const MOST_RECOVERY: f64 = 200_000.0;

/// The same with [`MANY`] more containers.
const MOST_RECOVERY_OF_MANY: f64 = 500_000.0;
const MANY: usize = 100;

/// The longest that `ps` may take, in microseconds.
const MOST_PS: f64 = 20_000.0;

/// The most private memory of a keeper for each container, and of a supervisor, in bytes.
const MOST_KEEPER: f64 = 1024.0 * 1024.0;
const MOST_SUPERVISOR: f64 = 6.0 * 1024.0 * 1024.0;

/// Services that are probed and write, and how long: ten probes a second of each are in this time as many as come in an
/// hour at Docker's interval of 30 s, and the lines are as many as one a second in an hour.
const SERVICES: usize = 10;
const COMPRESSED_HOUR: Duration = Duration::from_secs(12);

const SUPERVISOR: &str = "supervisor:";
const KEEPER: &str = "keeper:";

/// A page that is asked for.
const PAGE: &str = "  page: {image: IMAGE, command: [busybox, httpd, -f, -p, '80', -h, /etc], ports: ['127.0.0.1:8087:80']}\n";

pub(crate) fn measure(bench: &Bench, table: &mut Table) -> Result<()> {
    let naru = Naru::prepare(bench)?;
    let folder = bench.share.join("survival");
    fs_err::create_dir_all(&folder)?;
    let page = PAGE.replace("IMAGE", IMAGE);
    let few = Project::write(&naru, bench, "few", &page)?;
    let recovery = few.recovery(bench.rounds)?;
    let many =
        format!("{page}  many: {{image: {IMAGE}, command: [sleep, \"3600\"], scale: {MANY}}}\n");
    let many = Project::write(&naru, bench, "many", &many)?;
    let recovery_of_many = many.recovery(bench.rounds)?;
    let hour = Project::write(&naru, bench, "hour", &busy())?;
    let hour = hour.hour(bench.rounds)?;
    naru.remove();
    let mut row = |what: &str, unit, samples: &Samples, most| {
        let nobody =
            [Other { name: "–", samples: Err("nothing to compare".into()), at_most: None }];
        table.row(&Row { what, unit, naru: samples, at_most: Some(most), others: &nobody });
    };
    let unit = Unit::Milliseconds;
    let what = "full service after the death of the keeper or the supervisor";
    row(what, unit, &recovery, MOST_RECOVERY);
    let what = format!("the same, with {MANY} containers to be taken over");
    row(&what, unit, &recovery_of_many, MOST_RECOVERY_OF_MANY);
    row(&format!("`ps`, services: {SERVICES}"), unit, &hour.ps, MOST_PS);
    let unit = Unit::Mebibytes;
    let after = "after the probes and lines of an hour in 12 s";
    let what = format!("private memory of the keeper for each of {SERVICES} containers, {after}");
    row(&what, unit, &hour.keeper, MOST_KEEPER);
    row(
        &format!("private memory of the supervisor, {after}"),
        unit,
        &hour.supervisor,
        MOST_SUPERVISOR,
    );
    Ok(())
}

/// Services that are probed ten times a second and write 300 lines in that time.
fn busy() -> String {
    let service = |number: usize| {
        format!(
            "  s{number}: {{image: {IMAGE}, command: [sh, -c, 'while :; do echo a line as long as lines are; \
             busybox usleep 3300; done'], healthcheck: {{test: [CMD, \"true\"], interval: 100ms}}}}\n"
        )
    };
    (0..SERVICES).map(service).collect()
}

/// A project with a file of its own.
struct Project<'a> {
    naru: &'a Naru,
    bench: &'a Bench,
    file: std::path::PathBuf,
}

/// What a busy project costs.
struct Hour {
    keeper: Samples,
    supervisor: Samples,
    ps: Samples,
}

impl<'a> Project<'a> {
    fn write(naru: &'a Naru, bench: &'a Bench, name: &str, services: &str) -> Result<Self> {
        let file = bench.share.join(format!("survival/{name}.yaml"));
        fs_err::write(&file, format!("name: naru-{name}\nservices:\n{services}"))?;
        Ok(Self { naru, bench, file })
    }

    fn run(&self, words: &[&str]) -> Result<()> {
        let mut command = Command::new(&self.bench.naru);
        command.arg("-f").arg(&self.file).args(words);
        let output = self.naru.with_directories(&mut command).output()?;
        ensure!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// Kills the two in turn, and waits until both are there again and the page is served.
    fn recovery(&self, rounds: u32) -> Result<Samples> {
        self.run(&["up", "-d"])?;
        let mut samples: Samples = Ok(Vec::new());
        // The first round warms caches up and is not counted.
        for round in 0..=rounds {
            for role in [SUPERVISOR, KEEPER] {
                let took = death(role)?.as_secs_f64() * 1e6;
                if round > 0 {
                    gather(&mut samples, Ok(vec![took]));
                }
            }
        }
        self.run(&["down", "-t", "0"])?;
        Ok(samples)
    }

    /// A busy hour in 12 s, and what is used at its end; once for five rounds.
    fn hour(&self, rounds: u32) -> Result<Hour> {
        let none = || -> Samples { Ok(Vec::new()) };
        let mut hour = Hour { keeper: none(), supervisor: none(), ps: none() };
        for _ in 0..rounds.div_ceil(5) {
            self.run(&["up", "-d"])?;
            std::thread::sleep(COMPRESSED_HOUR);
            let used = |role| memory::of_role(role).with_context(|| format!("no {role}"));
            #[expect(clippy::cast_precision_loss, reason = "ten")]
            let each = used(KEEPER)? / SERVICES as f64;
            gather(&mut hour.keeper, Ok(vec![each]));
            gather(&mut hour.supervisor, Ok(vec![used(SUPERVISOR)?]));
            for _ in 0..5 {
                let mut clock = Command::new(&self.bench.clock);
                clock.arg("command").arg(&self.bench.naru).arg("-f").arg(&self.file).arg("ps");
                gather(&mut hour.ps, clocked(self.naru.with_directories(&mut clock)));
            }
            self.run(&["down", "-t", "0"])?;
        }
        Ok(hour)
    }
}

/// How long it takes from the death of one of the two until there are two that have taken over, and the page is served.
fn death(role: &str) -> Result<Duration> {
    settled(&[])?;
    let before = [KEEPER, SUPERVISOR].map(memory::process_of_role);
    let [Some(keeper), Some(supervisor)] = before else { bail!("not both are there") };
    let victim = if role == KEEPER { keeper } else { supervisor };
    let begin = Instant::now();
    task::run(Command::new("kill").args(["-KILL", &victim.to_string()]))?;
    // With its keeper a supervisor goes too; a keeper outlives its supervisor.
    let gone = if role == KEEPER { &[keeper, supervisor][..] } else { &[supervisor] };
    settled(gone)?;
    Ok(begin.elapsed())
}

/// Waits until both are there, none of them one of `gone`, and the page is served.
fn settled(gone: &[u32]) -> Result<()> {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(10) {
        let both = [KEEPER, SUPERVISOR].map(memory::process_of_role);
        let is_new =
            |process: &Option<u32>| process.is_some_and(|process| !gone.contains(&process));
        if both.iter().all(is_new) && is_served() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_micros(500));
    }
    bail!("there is no full service after 10 s")
}

/// Whether a whole page comes.
fn is_served() -> bool {
    let address = SocketAddr::from(([127, 0, 0, 1], 8087));
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(b"GET /passwd HTTP/1.0\r\n\r\n")?;
        let mut page = String::new();
        stream.read_to_string(&mut page)?;
        Ok(page)
    };
    ask().is_ok_and(|page| page.contains("root:"))
}
