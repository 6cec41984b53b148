//! `cargo xtask demo`: from a clean checkout to a NestJS, Postgres and MongoDB stack that answers on port 3000.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::images;
use crate::task::{self, cargo, step};

const SAMPLE: &str = "compose-samples/nest-postgres-mongo";
const ADDRESS: &str = "127.0.0.1:3000";

/// Builds, makes the images, brings the sample up, asks it something, and says how to go on.
pub(crate) fn run() -> Result<()> {
    if !task::is_root() {
        bail!("naru makes containers and installs Debian packages: run `cargo xtask demo` as root");
    }
    let mut clock = Clock::new();
    step("naru, release build", || {
        task::run(&mut cargo(["build", "--release", "--quiet", "--bin", "naru"]))
    })?;
    clock.part("build naru");
    let naru = task::built("release").join("naru");
    images::run(&images::Options { naru: Some(naru.clone()), ..Default::default() })?;
    clock.part("make and load the images");

    let folder = task::workspace().join(SAMPLE);
    let compose = |words: &[&str]| {
        let mut command = Command::new(&naru);
        command.args(words).current_dir(&folder);
        command
    };
    step("naru up -d --wait", || task::run(&mut compose(&["up", "-d", "--wait"])))?;
    clock.part("up, until every service is healthy");
    let note = step("a request that writes to both databases", exchange)?;
    clock.part("write to both databases and read back");
    task::run(&mut compose(&["ps"]))?;

    println!("\n{note}\n");
    clock.print();
    println!("\nIt keeps running. Look at it:   curl http://localhost:3000/notes");
    println!("Take it down, data too:         cd {SAMPLE} && {} down -v", naru.display());
    Ok(())
}

/// Writes one note (Postgres) with its audit record (MongoDB) and reads both back.
fn exchange() -> Result<String> {
    let text = format!("written by the demo, process {}", std::process::id());
    let created = request("POST", "/notes", &format!("{{\"text\":\"{text}\"}}"))?;
    let id = created["id"].as_i64().with_context(|| format!("no note came back: {created}"))?;
    let list = request("GET", "/notes", "")?;
    let in_postgres = list["notes"]
        .as_array()
        .is_some_and(|notes| notes.iter().any(|note| note["id"] == id && note["text"] == text));
    let in_mongo = list["audit"]
        .as_array()
        .is_some_and(|records| records.iter().any(|record| record["noteId"] == id));
    if !in_postgres || !in_mongo {
        bail!(
            "note {id}: in Postgres {in_postgres}, its audit record in MongoDB {in_mongo}: {list}"
        );
    }
    Ok(format!(
        "Note {id} is in Postgres and its audit record in MongoDB, both through http://{ADDRESS}/notes."
    ))
}

/// One HTTP/1.0 exchange whose answer is JSON.
fn request(method: &str, path: &str, body: &str) -> Result<serde_json::Value> {
    let what = || format!("{method} http://{ADDRESS}{path}");
    let mut connection = TcpStream::connect(ADDRESS).with_context(what)?;
    connection.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(
        connection,
        "{method} {path} HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .with_context(what)?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).with_context(what)?;
    let (head, body) = answer.split_once("\r\n\r\n").with_context(what)?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    if !status.starts_with('2') {
        bail!("{}: {status} {body}", what());
    }
    serde_json::from_str(body).with_context(what)
}

/// How long each part took.
struct Clock {
    begin: Instant,
    parts: Vec<(&'static str, Duration)>,
}

impl Clock {
    fn new() -> Self {
        Self { begin: Instant::now(), parts: Vec::new() }
    }

    /// Ends the part that runs and gives it its name.
    fn part(&mut self, name: &'static str) {
        self.parts.push((name, self.begin.elapsed()));
        self.begin = Instant::now();
    }

    fn print(&self) {
        for (name, time) in &self.parts {
            println!("{:>8.1} s  {name}", time.as_secs_f64());
        }
    }
}
