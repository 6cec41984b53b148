//! PAX extension records: `LENGTH KEY=VALUE\n`, where a value may hold any bytes.

const ATTRIBUTE: &[u8] = b"SCHILY.xattr.";

/// The records naru uses; everything else in a PAX header is a comment to it.
#[derive(Debug, Default)]
pub(super) struct Records {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) modified: Option<(i64, u32)>,
    pub(super) attributes: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) sparse: bool,
}

/// Parses the data of one PAX header.
pub(super) fn parse(mut data: &[u8]) -> Result<Records, &'static str> {
    let mut records = Records::default();
    while !data.is_empty() {
        let (key, value, rest) = record(data).ok_or("a PAX record is malformed")?;
        take(&mut records, key, value)?;
        data = rest;
    }
    Ok(records)
}

fn record(data: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    // Seven digits are more than the largest header can need.
    let space = data.iter().take(8).position(|byte| *byte == b' ')?;
    let length: usize = str::from_utf8(&data[..space]).ok()?.parse().ok()?;
    let body = data.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = body.iter().position(|byte| *byte == b'=')?;
    Some((&body[..equals], &body[equals + 1..], &data[length..]))
}

fn take(records: &mut Records, key: &[u8], value: &[u8]) -> Result<(), &'static str> {
    match key {
        b"path" => once(&mut records.path, text(value)?),
        b"linkpath" => once(&mut records.link, text(value)?),
        b"size" => once(&mut records.size, Some(number(value)?)),
        b"uid" => once(&mut records.uid, Some(owner(value)?)),
        b"gid" => once(&mut records.gid, Some(owner(value)?)),
        b"mtime" => once(&mut records.modified, Some(time(value)?)),
        _ if key.starts_with(b"GNU.sparse.") => {
            records.sparse = true;
            Ok(())
        }
        _ => {
            if let Some(name) = key.strip_prefix(ATTRIBUTE) {
                if name.is_empty() || name.len() > 255 || name.contains(&0) {
                    return Err("an extended attribute's name cannot be used");
                }
                records.attributes.push((name.to_vec(), value.to_vec()));
            }
            Ok(())
        }
    }
}

/// An empty value takes a record back, which naru treats as if it had not been there.
fn once<T>(slot: &mut Option<T>, value: Option<T>) -> Result<(), &'static str> {
    if slot.is_some() {
        return Err("a PAX record is given twice");
    }
    *slot = value;
    Ok(())
}

fn text(value: &[u8]) -> Result<Option<Vec<u8>>, &'static str> {
    if value.contains(&0) {
        return Err("a PAX path contains a zero byte");
    }
    Ok((!value.is_empty()).then(|| value.to_vec()))
}

fn digits(value: &[u8]) -> Option<&str> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    str::from_utf8(value).ok().filter(|_| digits)
}

fn number(value: &[u8]) -> Result<u64, &'static str> {
    digits(value)
        .and_then(|text| text.parse().ok())
        .filter(|number| *number <= i64::MAX.cast_unsigned())
        .ok_or("a PAX size is no number")
}

fn owner(value: &[u8]) -> Result<u32, &'static str> {
    digits(value)
        .and_then(|text| text.parse().ok())
        .filter(|id| *id != u32::MAX)
        .ok_or("a PAX owner is no number of 32 bits")
}

/// Decimal seconds, which may be negative and have a fraction.
fn time(value: &[u8]) -> Result<(i64, u32), &'static str> {
    const WRONG: &str = "a PAX time is no number";
    let text = str::from_utf8(value).map_err(|_| WRONG)?;
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = digits(whole.as_bytes()).and_then(|text| text.parse().ok()).ok_or(WRONG)?;
    let fraction: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanoseconds: u32 =
        digits(fraction.as_bytes()).and_then(|text| text.parse().ok()).ok_or(WRONG)?;
    Ok(match (negative, nanoseconds) {
        (false, _) => (seconds, nanoseconds),
        (true, 0) => (-seconds, 0),
        (true, _) => (-seconds - 1, 1_000_000_000 - nanoseconds),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_may_hold_any_bytes() {
        let data = b"14 path=a\nb=c\n33 SCHILY.xattr.user.a=\0\n1234\xff\n=\n";
        let records = parse(data).unwrap();
        assert_eq!(records.path.as_deref(), Some(&b"a\nb=c"[..]));
        assert_eq!(records.attributes, [(b"user.a".to_vec(), b"\0\n1234\xff\n=".to_vec())]);
    }

    #[test]
    fn times_have_fractions_and_may_lie_before_1970() {
        assert_eq!(time(b"1.5"), Ok((1, 500_000_000)));
        assert_eq!(time(b"-1.25"), Ok((-2, 750_000_000)));
        assert_eq!(time(b"7"), Ok((7, 0)));
        assert!(time(b"1e9").is_err());
    }

    #[test]
    fn malformed_records_are_refused() {
        let wrong: [&[u8]; 9] = [
            b"5 a=b\n",
            b"x a=b\n",
            b"99 a=b\n",
            b"6 abc\n",
            b"11 size=-1\n",
            b"12 path=a\0b\n",
            b"30 size=99999999999999999999\n",
            b"10 size=1\n10 size=1\n",
            b"0 =\n",
        ];
        for data in wrong {
            assert!(parse(data).is_err(), "{}", String::from_utf8_lossy(data));
        }
    }
}
