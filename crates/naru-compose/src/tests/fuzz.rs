//! Three targets that change good inputs at random and hold the loader to what it promises: the
//! loader with several files, interpolation, and files of variables.
//!
//! As ordinary tests they run a few hundred inputs of a fixed seed. `cargo xtask fuzz` runs them for
//! as long as one wants, and says how an input that broke a promise is tried again: it sets
//! `NARU_FUZZ_SECONDS`, `NARU_FUZZ_SEED`, `NARU_FUZZ_DIRECTORY` (where the current input is kept, so
//! that a process that died leaves it) and `NARU_FUZZ_INPUT` (one input, to replay). Nothing guides the
//! changes but a dictionary of what Compose files consist of; promises are checked for every input.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Directory;
use crate::interpolate::{Fault, Unset, substitute};
use crate::load::dotenv;
use crate::project::Dollar;
use crate::{LoadRequest, Problem};

mod change;

use change::Random;

/// One input may take this long, in a build without optimisation on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Inputs of an ordinary test.
const FEW: u64 = 250;

type Promise = fn(&[u8]) -> Result<(), String>;

#[test]
fn any_change_of_compose_files_keeps_the_loaders_promises() {
    run("any_change_of_compose_files_keeps_the_loaders_promises", &loader_seeds(), load_files);
}

#[test]
fn any_change_of_a_template_keeps_the_promises_of_interpolation() {
    let seeds = ["${A:-${B:+x}} $$ $C ${D?e}", "${SET}a${EMPTY-}$SET", "${A:-{\"b\": [1, \"}\"]}}"];
    let seeds = seeds.map(|seed| seed.as_bytes().to_vec());
    run("any_change_of_a_template_keeps_the_promises_of_interpolation", &seeds, interpolate);
}

#[test]
fn any_change_of_an_env_file_keeps_the_promises_of_its_grammar() {
    let seeds =
        ["A=1\nB='x $y'\nC=\"a\\n${A}\" # c\nexport D: 2\nE\n", "#\nA=\"two\nlines\"\r\nB=$A\\$\n"];
    let seeds = seeds.map(|seed| seed.as_bytes().to_vec());
    run("any_change_of_an_env_file_keeps_the_promises_of_its_grammar", &seeds, variables);
}

/// Runs a target on many inputs, or on the one that is to be tried again.
fn run(name: &str, seeds: &[Vec<u8>], promise: Promise) {
    let number = |name: &str| variable(name).and_then(|text| text.parse::<u64>().ok());
    if let Some(input) = variable("NARU_FUZZ_INPUT") {
        promise(&fs_err::read(input).unwrap()).unwrap();
        return;
    }
    let seconds = number("NARU_FUZZ_SECONDS").map(Duration::from_secs);
    let directory = variable("NARU_FUZZ_DIRECTORY").map(PathBuf::from);
    let mut random = Random::new(number("NARU_FUZZ_SEED").unwrap_or(1));
    let (begin, mut count) = (Instant::now(), 0);
    watch();
    while seconds.map_or(count < FEW, |seconds| begin.elapsed() < seconds) {
        let input = change::change(&mut random, seeds);
        if let Some(directory) = &directory {
            fs_err::write(directory.join(name), &input).unwrap();
        }
        if let Err(broken) = promise(&input) {
            panic!("{broken}\n--- the input:\n{}", String::from_utf8_lossy(&input));
        }
        count += 1;
        INPUTS.store(count, Ordering::Relaxed);
    }
    if let Some(directory) = directory {
        fs_err::write(directory.join(format!("{name}.count")), count.to_string()).unwrap();
    }
}

fn variable(name: &str) -> Option<String> {
    let variables: std::collections::BTreeMap<_, _> = std::env::vars().collect();
    variables.get(name).cloned()
}

static INPUTS: AtomicU64 = AtomicU64::new(0);

/// Ends the process when one input takes too long.
fn watch() {
    std::thread::spawn(|| {
        let mut last = (u64::MAX, Instant::now());
        loop {
            std::thread::sleep(Duration::from_millis(500));
            let count = INPUTS.load(Ordering::Relaxed);
            if count != last.0 {
                last = (count, Instant::now());
            } else if last.1.elapsed() > PATIENCE {
                std::process::abort();
            }
        }
    });
}

/// Every file of a project, one after the other, each after a line with its name.
fn loader_seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = [include_str!("fuzz/one.txt"), include_str!("fuzz/two.txt")]
        .iter()
        .map(|text| text.as_bytes().to_vec())
        .collect();
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus/cases/probes");
    for entry in fs_err::read_dir(corpus).into_iter().flatten().flatten() {
        let mut seed = Vec::new();
        for file in fs_err::read_dir(entry.path()).into_iter().flatten().flatten() {
            if let (Ok(text), Some(name)) = (fs_err::read(file.path()), file.file_name().to_str()) {
                seed.extend_from_slice(format!("=== {name}\n").as_bytes());
                seed.extend_from_slice(&text);
            }
        }
        seeds.push(seed);
    }
    seeds
}

/// The names that files of an input can have.
const NAMES: [&str; 6] = ["compose.yaml", "compose.override.yaml", "b.yaml", ".env", "e", "f.yaml"];

fn load_files(input: &[u8]) -> Result<(), String> {
    let directory = Directory::with(&[]);
    for part in split(input) {
        let end = part.iter().position(|byte| *byte == b'\n').unwrap_or(part.len());
        let name = String::from_utf8_lossy(&part[..end]);
        let name = NAMES.iter().find(|known| **known == name).copied().unwrap_or("compose.yaml");
        let text = part.get(end + 1..).unwrap_or(&[]);
        fs_err::write(directory.0.join(name), text).map_err(|error| error.to_string())?;
    }
    let request = directory.request(&[("SET", "value"), ("EMPTY", ""), ("HOME", "/home/user")]);
    match crate::load(&request) {
        Err(problems) if problems.0.is_empty() => Err("refused without a reason".to_owned()),
        Err(problems) => problems.0.iter().try_for_each(|problem| has_place(problem, &directory)),
        Ok(loaded) => {
            loaded.warnings.iter().try_for_each(|problem| has_place(problem, &directory))?;
            prints_what_it_reads(&loaded.project, &request)
        }
    }
}

fn split(input: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    let mut rest = input.strip_prefix(b"=== ").unwrap_or(input);
    while let Some(next) = rest.windows(5).position(|window| window == b"\n=== ") {
        parts.push(&rest[..=next]);
        rest = &rest[next + 5..];
    }
    parts.push(rest);
    parts
}

/// A problem with a place names a line that is there, and shows it.
fn has_place(problem: &Problem, directory: &Directory) -> Result<(), String> {
    let Some(location) = &problem.location else { return Ok(()) };
    let text = fs_err::read(directory.0.join(&location.file)).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines = text.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).count();
    if location.line as usize > lines + 1 || location.line == 0 || location.column == 0 {
        return Err(format!("a place outside the file of {lines} lines: {problem:?}"));
    }
    drop(problem.to_string());
    Ok(())
}

/// What is printed means the same when it is read.
fn prints_what_it_reads(project: &crate::Project, request: &LoadRequest) -> Result<(), String> {
    drop(project.to_json(Dollar::Doubled));
    let first = project.to_yaml(Dollar::Doubled);
    // As in docker compose, keys are printed with doubled dollars but not interpolated, and sizes are
    // printed as texts, which cannot be negative.
    if first.contains('$') || first.contains("\"-") {
        return Ok(());
    }
    let again = request.working_directory.join("again.yaml");
    fs_err::write(&again, &first).map_err(|error| error.to_string())?;
    let request =
        LoadRequest { files: vec![again], profiles: vec!["*".to_owned()], ..request.clone() };
    let loaded = crate::load(&request)
        .map_err(|problems| format!("cannot read what it printed:\n{first}\n{problems}"))?;
    let second = loaded.project.to_yaml(Dollar::Doubled);
    if first == second { Ok(()) } else { Err(format!("printed:\n{first}\nand then:\n{second}")) }
}

fn interpolate(input: &[u8]) -> Result<(), String> {
    const LIMIT: usize = 10_000;
    let text = String::from_utf8_lossy(input);
    let lookup = |name: &str| match name {
        "SET" => Some("value".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    };
    let expand = |text: &str| substitute(text, &lookup, (&mut Unset::new(), LIMIT));
    match expand(&text) {
        Ok(value) if value.len() > LIMIT + text.len() => return Err("it is too long".to_owned()),
        Err(Fault::Invalid(part)) if !text.contains(&part) => {
            return Err(format!("not in it: {part}"));
        }
        _ => {}
    }
    let escaped = text.replace('$', "$$");
    match expand(&escaped) {
        Ok(value) if value == text => Ok(()),
        Err(Fault::TooLong) => Ok(()),
        other => Err(format!("an escaped text became {other:?}")),
    }
}

fn variables(input: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(input);
    let lookup = |name: &str| (name == "SET").then(|| "value".to_owned());
    let lines = text.matches('\n').count() + 1;
    for parse in [dotenv::parse, dotenv::parse_raw] {
        let mut variables = dotenv::Variables::new();
        let wrong = parse(&text, &mut variables, &lookup);
        if let Some(wrong) = wrong.iter().find(|wrong| wrong.line as usize > lines + 1) {
            return Err(format!("a place outside the file: {wrong:?}"));
        }
        for (name, value) in variables {
            let written = format!("{name}='{value}'\n");
            // What is refused since it is too long is too long when it is read again, too.
            let plain = value.len() < 1 << 20
                && !value.contains(['\'', '\\', '\r'])
                && !name.contains(|c: char| !c.is_ascii_alphanumeric());
            let mut again = dotenv::Variables::new();
            if plain
                && (!dotenv::parse(&written, &mut again, &lookup).is_empty()
                    || again.get(&name) != Some(&value))
            {
                return Err(format!("{written:?} became {again:?}"));
            }
        }
    }
    Ok(())
}
