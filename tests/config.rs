//! `naru config` on the command line: every flag, what it prints, where, and how it ends. Where docker compose
//! has the flag, what is printed here is what it prints, but for what docs/config.md lists.

mod files;
mod flags;
mod lists;
mod variables;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The project directory `shop` in a folder of its own, which goes away with the test.
struct Shop {
    folder: PathBuf,
    variables: Vec<(&'static str, &'static str)>,
    stdin: &'static str,
}

/// What a command printed, and how it ended.
struct Outcome {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Shop {
    /// A project of these files.
    fn with(files: &[(&str, &str)]) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("naru-config-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name).join("shop");
        fs_err::create_dir_all(&folder).unwrap();
        for (path, text) in files {
            let path = folder.join(path);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        }
        Self { folder, variables: Vec::new(), stdin: "" }
    }

    /// A project of one file.
    fn of(compose: &str) -> Self {
        Self::with(&[("compose.yaml", compose)])
    }

    /// With this variable in the environment.
    fn variable(mut self, name: &'static str, value: &'static str) -> Self {
        self.variables.push((name, value));
        self
    }

    /// With this on standard input.
    fn stdin(mut self, text: &'static str) -> Self {
        self.stdin = text;
        self
    }

    /// Runs `naru LINE` in the directory; words are parted by spaces.
    #[track_caller]
    fn naru(&self, line: &str) -> Outcome {
        let input = self.folder.with_file_name("stdin");
        fs_err::write(&input, self.stdin).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_naru"))
            .args(line.split(' '))
            .current_dir(&self.folder)
            .env_clear()
            .env("NARU_ROOT", self.folder.with_file_name("root"))
            .env("NARU_RUN", self.folder.with_file_name("run"))
            .envs(self.variables.iter().copied())
            .stdin(Stdio::from(fs_err::File::open(&input).unwrap().into_file()))
            .output()
            .unwrap();
        let text = |bytes: &[u8]| {
            String::from_utf8_lossy(bytes).replace(&*self.folder.to_string_lossy(), "/shop")
        };
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        Outcome { code: output.status.code().unwrap(), stdout, stderr }
    }

    /// What `naru LINE` prints to stdout; it must say nothing else and succeed.
    #[track_caller]
    fn prints(&self, line: &str) -> String {
        let Outcome { code, stdout, stderr } = self.naru(line);
        assert_eq!((code, &*stderr), (0, ""), "naru {line}: {stdout}");
        stdout
    }

    /// What `naru LINE` says to stderr; it must print nothing and end with 1.
    #[track_caller]
    fn refuses(&self, line: &str) -> String {
        let Outcome { code, stdout, stderr } = self.naru(line);
        assert_eq!((code, &*stdout), (1, ""), "naru {line}: {stderr}");
        stderr
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        drop(fs_err::remove_dir_all(self.folder.parent().unwrap()));
    }
}

/// A project with one of everything that flags tell apart.
const SHOP: &str = "\
x-note: kept
services:
  web:
    image: nginx:${TAG:-1.25}
    build: {context: ./web, args: [TAG]}
    ports: ['${PORT:-80}:80']
    volumes: ['data:/data', './conf:/conf:ro']
    environment: [PRICE=5$$, TOKEN]
    env_file: web.env
    depends_on: [db]
    networks: [front]
    pull_policy: if_not_present
  db: {image: 'postgres:${DB:?which}', command: echo $$HOME, healthcheck: {test: curl, interval: 90s}}
  tool: {build: ., profiles: [tools], models: [ai]}
networks: {front: , back: }
volumes: {data: , old: }
models: {ai: {model: 'smart:${TAG}'}}
";

/// The project with its files.
fn shop() -> Shop {
    let files = [("compose.yaml", SHOP), ("web.env", "FROM=file\n"), (".env", "DB=16\n")];
    Shop::with(&files).variable("TAG", "9")
}
