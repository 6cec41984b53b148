//! A container's status, ports and command as `ps` words them.

use std::time::Duration;

use naru_plan::restart::LOOP;
use naru_state::record::{self, HealthStatus, Phase};

use crate::ui;

/// A container that has run this long is in no crash loop any more.
const SETTLED: Duration = Duration::from_secs(10);

/// The state in one word.
pub(crate) fn word(phase: Phase) -> &'static str {
    match phase {
        Phase::Created => "created",
        Phase::Running => "running",
        Phase::Restarting => "restarting",
        Phase::Exited => "exited",
    }
}

/// The health in one word; empty without a health check.
pub(crate) fn health(state: &record::State) -> &'static str {
    match state.health.as_ref().map(|health| health.status) {
        None => "",
        Some(HealthStatus::Starting) => "starting",
        Some(HealthStatus::Healthy) => "healthy",
        Some(HealthStatus::Unhealthy) => "unhealthy",
    }
}

/// "Up 3 seconds (healthy)", "Exited (1) 2 minutes ago".
pub(crate) fn sentence(state: &record::State, now_ns: u64) -> String {
    let since = |time_ns: Option<u64>| ui::duration(elapsed(time_ns.unwrap_or(now_ns), now_ns));
    let code = || match state.exit.as_ref().and_then(|exit| exit.code) {
        Some(code) => code.to_string(),
        None => "unknown".to_owned(),
    };
    let out_of_memory = state.exit.as_ref().is_some_and(|exit| exit.out_of_memory);
    let is_lost = state.exit.as_ref().is_some_and(record::Exit::is_lost);
    let why = match (out_of_memory, is_lost) {
        (true, _) => ", out of memory",
        (_, true) => ", the machine was restarted",
        _ => "",
    };
    match state.phase {
        Phase::Created => "Created".to_owned(),
        Phase::Exited if state.exit.is_none() && state.error.is_some() => "Created".to_owned(),
        Phase::Running => {
            let health = match health(state) {
                "" => String::new(),
                "starting" => " (health: starting)".to_owned(),
                word => format!(" ({word})"),
            };
            let young = elapsed(state.started_ns.unwrap_or(now_ns), now_ns) < SETTLED;
            let last = format!("last exit code {}{why}", code());
            let crashes =
                crash_loop(state).filter(|_| young).map(|row| format!(" ({row}, {last})"));
            format!("Up {}{health}{}", since(state.started_ns), crashes.unwrap_or_default())
        }
        Phase::Restarting => {
            let next = match (&state.waits_for, state.restart_at.as_ref()) {
                (Some(service), _) => Some(format!("waits for {service}")),
                (None, at) => at.and_then(record::Moment::remaining).and_then(next_try),
            };
            let more: Vec<_> = crash_loop(state).into_iter().chain(next).collect();
            let more =
                if more.is_empty() { String::new() } else { format!(" ({})", more.join(", ")) };
            format!("Restarting ({}{why}) {} ago{more}", code(), since(state.finished_ns))
        }
        Phase::Exited => format!("Exited ({}{why}) {} ago", code(), since(state.finished_ns)),
    }
}

/// "crash loop: 7 restarts in a row".
fn crash_loop(state: &record::State) -> Option<String> {
    let row = state.attempts.streak;
    (row >= LOOP).then(|| format!("crash loop: {row} restarts in a row"))
}

/// "next try in 6 seconds"; nothing for what is due at once.
fn next_try(left: Duration) -> Option<String> {
    (left >= Duration::from_secs(1)).then(|| format!("next try in {}", ui::duration(left)))
}

/// Time between two points; none when the clock was set back.
pub(crate) fn elapsed(from_ns: u64, to_ns: u64) -> Duration {
    Duration::from_nanos(to_ns.saturating_sub(from_ns))
}

/// A published port on one address: `URL`, `TargetPort`, `PublishedPort`, `Protocol` of `ps --format json`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub(crate) struct Publisher {
    #[serde(rename = "URL")]
    url: String,
    #[serde(rename = "TargetPort")]
    target_port: u16,
    #[serde(rename = "PublishedPort")]
    published_port: u16,
    #[serde(rename = "Protocol")]
    protocol: String,
}

impl Publisher {
    /// Whether it is of this port of the container.
    pub(crate) fn is_of(&self, target: u16, protocol: &str) -> bool {
        (self.target_port, self.protocol.as_str()) == (target, protocol)
    }

    /// Address and port, as a client writes them.
    pub(crate) fn place(&self) -> String {
        match self.url.contains(':') {
            true => format!("[{}]:{}", self.url, self.published_port),
            false => format!("{}:{}", self.url, self.published_port),
        }
    }
}

/// The published ports, one for each address they are bound to.
pub(crate) fn publishers(ports: &[record::Port]) -> Vec<Publisher> {
    let addresses = |port: &record::Port| match port.host_ip.as_str() {
        "" => vec!["0.0.0.0".to_owned(), "::".to_owned()],
        address => vec![address.to_owned()],
    };
    let publisher = |port: &record::Port, url| Publisher {
        url,
        target_port: port.container_port,
        published_port: port.host_port,
        protocol: port.protocol.clone(),
    };
    let mut publishers: Vec<_> = ports
        .iter()
        .flat_map(|port| addresses(port).into_iter().map(move |url| publisher(port, url)))
        .collect();
    publishers.sort();
    publishers
}

/// `0.0.0.0:8080->80/tcp, [::]:8080->80/tcp`, consecutive ports as a range.
pub(crate) fn ports(publishers: &[Publisher]) -> String {
    let mut ranges: Vec<(&Publisher, u16)> = Vec::new();
    for port in publishers {
        match ranges.last_mut() {
            Some((first, length)) if continues(first, *length, port) => *length += 1,
            _ => ranges.push((port, 0)),
        }
    }
    let range = |first: u16, length: u16| match length {
        0 => first.to_string(),
        length => format!("{first}-{}", u32::from(first) + u32::from(length)),
    };
    let text = |(first, length): &(&Publisher, u16)| {
        let address =
            if first.url.contains(':') { format!("[{}]", first.url) } else { first.url.clone() };
        let (published, target) =
            (range(first.published_port, *length), range(first.target_port, *length));
        format!("{address}:{published}->{target}/{}", first.protocol)
    };
    ranges.iter().map(text).collect::<Vec<_>>().join(", ")
}

fn continues(first: &Publisher, length: u16, next: &Publisher) -> bool {
    let follows = |first: u16, next: u16| first.checked_add(length + 1) == Some(next);
    first.url == next.url
        && first.protocol == next.protocol
        && follows(first.target_port, next.target_port)
        && follows(first.published_port, next.published_port)
}

/// The command line in quotes, cut to 20 characters unless `whole`.
pub(crate) fn command(words: &[String], whole: bool) -> String {
    let text = words.join(" ");
    if whole || text.chars().count() <= 20 {
        return format!("{text:?}");
    }
    let start: String = text.chars().take(19).collect();
    format!("{:?}", format!("{start}…"))
}

#[cfg(test)]
mod tests {
    use naru_state::process::Identity;
    use naru_state::record::{Exit, Health, State};

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn state(phase: Phase, code: Option<u8>) -> State {
        let boot_id = naru_state::process::boot_id().unwrap();
        let process = Identity { boot_id, pid: 1, start_time: 1 };
        let exit = Exit { process, code, out_of_memory: false, time_ns: 10 * SECOND };
        State {
            phase,
            started_ns: Some(5 * SECOND),
            finished_ns: Some(10 * SECOND),
            exit: (phase != Phase::Created).then_some(exit),
            ..State::created()
        }
    }

    #[test]
    fn the_status_is_worded_as_docker_words_it() {
        let say = |state: &State, seconds| sentence(state, seconds * SECOND);
        let mut running = state(Phase::Running, None);
        assert_eq!(say(&running, 8), "Up 3 seconds");
        let health = |status| Some(Health { status, failing_streak: 0, log: Vec::new() });
        running.health = health(HealthStatus::Healthy);
        assert_eq!(say(&running, 8), "Up 3 seconds (healthy)");
        running.health = health(HealthStatus::Starting);
        assert_eq!(say(&running, 8), "Up 3 seconds (health: starting)");
        assert_eq!(say(&state(Phase::Exited, Some(1)), 130), "Exited (1) 2 minutes ago");
        assert_eq!(say(&state(Phase::Exited, None), 12), "Exited (unknown) 2 seconds ago");
        let lost = state(Phase::Running, None).lost("an earlier boot");
        let text = sentence(&lost, record::now_ns());
        assert!(text.starts_with("Exited (unknown, the machine was restarted) "), "{text}");
        assert_eq!(say(&state(Phase::Restarting, Some(1)), 12), "Restarting (1) 2 seconds ago");
        assert_eq!(say(&state(Phase::Created, None), 12), "Created");
    }

    #[test]
    fn a_crash_loop_is_told_with_its_count_and_the_next_try() {
        let mut state = state(Phase::Restarting, Some(1));
        let say = |state: &State| sentence(state, 12 * SECOND);
        state.attempts.streak = 2;
        assert_eq!(say(&state), "Restarting (1) 2 seconds ago");
        state.attempts.streak = 7;
        assert_eq!(say(&state), "Restarting (1) 2 seconds ago (crash loop: 7 restarts in a row)");
        state.restart_at = Some(record::Moment::after(Duration::from_millis(6900)));
        let next =
            "Restarting (1) 2 seconds ago (crash loop: 7 restarts in a row, next try in 6 seconds)";
        assert_eq!(say(&state), next);
        state.waits_for = Some("db".to_owned());
        let waits = "Restarting (1) 2 seconds ago (crash loop: 7 restarts in a row, waits for db)";
        assert_eq!(say(&state), waits);
        state.phase = Phase::Running;
        let up = "Up 7 seconds (crash loop: 7 restarts in a row, last exit code 1)";
        assert_eq!(say(&state), up);
        assert_eq!(sentence(&state, 30 * SECOND), "Up 25 seconds");
    }

    #[test]
    fn ports_of_all_addresses_are_shown_for_both_families_and_ranges_are_folded() {
        let port = |host_ip: &str, port| record::Port {
            host_ip: host_ip.into(),
            host_port: 8000 + port,
            container_port: port,
            protocol: "tcp".into(),
        };
        assert_eq!(ports(&publishers(&[port("", 80)])), "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp");
        let several = [port("127.0.0.1", 82), port("127.0.0.1", 80), port("127.0.0.1", 81)];
        assert_eq!(ports(&publishers(&several)), "127.0.0.1:8080-8082->80-82/tcp");
    }

    #[test]
    fn a_long_command_is_cut_and_quoted() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(command(&words("sleep 1"), false), r#""sleep 1""#);
        assert_eq!(
            command(&words("nginx -g daemon off; and more"), false),
            "\"nginx -g daemon off…\""
        );
        assert_eq!(command(&words("nginx -g daemon off; x"), true), r#""nginx -g daemon off; x""#);
    }
}
