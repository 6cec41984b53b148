//! Questions for one name at a steady rate, to the name server at 127.0.0.11.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

const SERVER: (Ipv4Addr, u16) = (Ipv4Addr::new(127, 0, 0, 11), 53);

/// How long is waited for the last answers; what is lost counts as this.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is asked, and how often.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Questions {
    /// The name, whose IPv4 address is asked for
    name: String,
    /// Questions a second
    #[arg(long, default_value_t = 5000)]
    rate: u32,
    /// Questions in all
    #[arg(long, default_value_t = 10_000)]
    questions: u16,
    /// Which time is printed, of the times that the answers took: 50 is the median
    #[arg(long, default_value_t = 99)]
    percentile: usize,
}

/// Asks, and gives the time below which that many of a hundred answers came.
pub(crate) fn ask(asked: &Questions) -> Result<Duration> {
    ensure!(asked.percentile < 100 && asked.rate > 0, "no such percentile or rate");
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect(SERVER)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let receiving = socket.try_clone()?;
    let count = usize::from(asked.questions);
    let answers = std::thread::spawn(move || receive(&receiving, count));
    let mut sent = Vec::with_capacity(count);
    let (begin, pause) = (Instant::now(), Duration::from_secs(1) / asked.rate);
    for id in 0..asked.questions {
        let due = begin + pause * u32::from(id);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let packet = question(id, &asked.name);
        sent.push(Instant::now());
        socket.send(&packet)?;
    }
    let Ok(answers) = answers.join() else { bail!("the receiver has failed") };
    let mut times = Vec::with_capacity(count);
    for (sent, answered) in sent.iter().zip(answers?) {
        times.push(answered.map_or(PATIENCE, |answered| answered.saturating_duration_since(*sent)));
    }
    times.sort_unstable();
    Ok(times[count * asked.percentile / 100])
}

/// When each answer came, by the id of its question.
fn receive(socket: &UdpSocket, count: usize) -> Result<Vec<Option<Instant>>> {
    let mut all = vec![None; count];
    let mut buffer = [0; 512];
    for _ in 0..count {
        let Ok(length) = socket.recv(&mut buffer) else { break };
        let now = Instant::now();
        ensure!(length > 12 && buffer[3] & 15 == 0 && buffer[7] > 0, "the name is not known");
        let id = usize::from(u16::from_be_bytes([buffer[0], buffer[1]]));
        if let Some(answer) = all.get_mut(id) {
            *answer = Some(now);
        }
    }
    Ok(all)
}

/// Questions without a pause for this long, whose answers nobody looks at; how many there were.
pub(crate) fn flood(name: &str, length: Duration) -> Result<u64> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect(SERVER)?;
    let (begin, packet, mut count) = (Instant::now(), question(1, name), 0);
    while begin.elapsed() < length {
        // Refused while there is no room for more.
        count += u64::from(socket.send(&packet).is_ok());
    }
    Ok(count)
}

fn question(id: u16, name: &str) -> Vec<u8> {
    let [high, low] = id.to_be_bytes();
    let mut packet = vec![high, low, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        packet.push(u8::try_from(label.len()).unwrap_or(63));
        packet.extend(label.bytes());
    }
    packet.extend([0, 0, 1, 0, 1]);
    packet
}
