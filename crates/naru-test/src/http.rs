//! One HTTP exchange, without a client library.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// The status and the body of one request.
///
/// # Errors
/// With the exchange's first failure as text, for [`crate::eventually`].
pub fn request(
    method: &str,
    address: &str,
    path: &str,
    body: &str,
) -> Result<(u16, String), String> {
    let failed = |error: std::io::Error| format!("{method} http://{address}{path}: {error}");
    let mut connection = TcpStream::connect(address).map_err(failed)?;
    connection.set_read_timeout(Some(Duration::from_secs(10))).map_err(failed)?;
    let length = body.len();
    write!(
        connection,
        "{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .map_err(failed)?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).map_err(failed)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(format!("no HTTP answer: {answer}"))?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Ok((status.ok_or(format!("no status: {head}"))?, body.to_owned()))
}

/// The JSON that a request answered with a status below 300.
///
/// # Panics
/// On any other answer.
#[track_caller]
pub fn json(method: &str, address: &str, path: &str, body: &str) -> serde_json::Value {
    match request(method, address, path, body) {
        Ok((status, body)) if status < 300 => serde_json::from_str(&body).unwrap(),
        other => panic!("{method} {path}: {other:?}"),
    }
}
