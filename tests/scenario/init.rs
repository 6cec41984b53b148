//! `init: true`: naru's own process 1 reaps what nobody waits for, and is otherwise not there.

use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use naru_test::{Project, eventually};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pty::OpenptFlags;
use rustix::termios::{Winsize, tcsetwinsize};

use super::host;

/// T-Z2.
#[test]
fn a_thousand_orphans_are_reaped() {
    host(|host| {
        let file = "services: { a: { image: test, init: true, command: naru-check trap } }";
        let project = host.project("init").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        project.until_logged("a", "ready");
        let inside =
            |script: &str| project.naru(["exec", "-T", "a", "sh", "-c", script]).succeeds().stdout;
        assert_ne!(inside("cat /proc/1/comm").trim(), "naru-check");
        // Each is the child of a shell that has ended before it.
        let made = inside(
            "i=0; while [ $i -lt 1000 ]; do (sh -c 'usleep 1000' &); i=$((i+1)); done; echo $i",
        );
        assert_eq!(made, "1000\n");
        eventually("they are reaped", || {
            let list = inside("ps -o stat,comm");
            if list.lines().any(|line| line.starts_with('Z') || line.contains("usleep")) {
                Err(list)
            } else {
                Ok(())
            }
        });
        let number: u32 = inside("echo $$").trim().parse().unwrap();
        assert!(number > 1000, "there were that many processes: {number}");
        assert_eq!(project.until("a", "running")["State"], "running");
        project.naru(["stop"]).succeeds();
        assert_eq!(project.until("a", "exited")["ExitCode"], 0);
        project.until_logged("a", "got SIGTERM");
    });
}

#[test]
fn who_collects_nothing_is_told_of_its_zombies() {
    host(|host| {
        // Twelve orphans that end when the shell is another program by then.
        let service = |more: &str| {
            format!(
                "{{ image: test{more}, command: [sh, -c, 'i=0; while [ $$i -lt 12 ]; do (sleep 0.3 &); \
                 i=$$((i+1)); done; exec naru-check trap'] }}"
            )
        };
        let file = format!("services:\n  a: {}\n  b: {}\n", service(""), service(", init: true"));
        let project = host.project("dead").file("compose.yaml", &file);
        project.naru(["up", "-d"]).succeeds();
        eventually("they are told of", || {
            let listed = project.naru(["ps"]).succeeds();
            let told = listed.stderr.contains("dead-a-1 has 12 zombies")
                && listed.stderr.contains("`init: true`");
            if told { Ok(()) } else { Err(listed.to_string()) }
        });
        let listed = project.naru(["ps"]).succeeds();
        assert!(!listed.stderr.contains("dead-b-1"), "{listed}");
    });
}

#[test]
fn signals_and_exit_codes_pass_through_process_1() {
    host(|host| {
        let file = "
services:
  hears:
    image: test
    init: true
    command:
    - sh
    - -c
    - 'trap \"echo got HUP\" HUP; trap \"echo got USR1\" USR1; trap \"exit 42\" TERM; echo ready; while :; do sleep 0.05; done'
  crashes: { image: test, init: true, command: [sh, -c, 'kill -SEGV $$$$'] }
  fails: { image: test, init: true, command: naru-check exit 7 }
  killed: { image: test, init: true }
";
        let project = host.project("passes").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        project.until_logged("hears", "ready");
        for signal in ["HUP", "USR1"] {
            project.naru(["kill", "-s", signal, "hears"]).succeeds();
            project.until_logged("hears", &format!("got {signal}"));
        }
        project.naru(["stop", "hears"]).succeeds();
        project.naru(["kill", "killed"]).succeeds();
        for (service, code) in [("hears", 42), ("crashes", 139), ("fails", 7), ("killed", 137)] {
            assert_eq!(project.until(service, "exited")["ExitCode"], code, "{service}");
        }
    });
}

/// A terminal with naru in its foreground: what it shows can be read from the other end.
struct Screen {
    master: OwnedFd,
    child: Child,
    text: String,
}

impl Screen {
    fn start(project: &Project<'_>, words: &[&str], size: (u16, u16)) -> Self {
        let master = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        rustix::pty::grantpt(&master).unwrap();
        rustix::pty::unlockpt(&master).unwrap();
        let name = rustix::pty::ptsname(&master, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let terminal = rustix::fs::open(name.as_c_str(), flags, Mode::empty()).unwrap();
        let naru = project.command(words);
        let environment = naru.get_envs().filter_map(|(name, value)| Some((name, value?)));
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait"]).arg(naru.get_program()).args(naru.get_args());
        command.current_dir(project.folder()).env_clear().envs(environment);
        let copy = || Stdio::from(terminal.try_clone().unwrap());
        command.stdin(copy()).stdout(copy()).stderr(copy());
        let screen = Self { child: command.spawn().unwrap(), master, text: String::new() };
        screen.resize(size);
        rustix::io::ioctl_fionbio(&screen.master, true).unwrap();
        screen
    }

    fn resize(&self, (rows, columns): (u16, u16)) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.master, size).unwrap();
    }

    fn until(&mut self, wanted: &str) {
        eventually(&format!("the screen shows {wanted:?}"), || {
            let mut piece = [0; 1024];
            match rustix::io::read(&self.master, &mut piece) {
                Ok(length) => self.text += &String::from_utf8_lossy(&piece[..length]),
                // The last one who had the terminal open has gone.
                Err(Errno::AGAIN | Errno::IO) => {}
                Err(error) => panic!("{error}"),
            }
            if self.text.contains(wanted) { Ok(()) } else { Err(self.text.clone()) }
        });
    }
}

#[test]
fn a_terminal_that_is_resized_is_so_for_the_command_behind_process_1() {
    host(|host| {
        let file = "
services:
  a:
    image: test
    init: true
    command: [sh, -c, 'trap \"stty size\" WINCH; echo ready; while :; do sleep 0.05; done']
";
        let project = host.project("resize").file("compose.yaml", file);
        let mut screen = Screen::start(&project, &["run", "--rm", "-q", "a"], (30, 90));
        screen.until("ready");
        for (rows, columns) in [(41, 123), (20, 60)] {
            screen.resize((rows, columns));
            screen.until(&format!("{rows} {columns}"));
        }
        // Ctrl-C is a key of the container's terminal now.
        rustix::io::write(&screen.master, b"\x03").unwrap();
        assert_eq!(screen.child.wait().unwrap().code(), Some(130), "{}", screen.text);
    });
}
