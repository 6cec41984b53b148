//! Numbers as Go prints them, which is what ends up in environments and labels.

/// A floating point number as Go's `fmt.Sprint` prints it: `1.5`, `1000`, `1e+06`.
pub(crate) fn float_text(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let size = number.abs();
    if size != 0.0 && !(1e-4..1e6).contains(&size) {
        let text = format!("{number:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = match exponent.strip_prefix('-') {
            Some(exponent) => ('-', exponent),
            None => ('+', exponent),
        };
        return format!("{digits}e{sign}{exponent:0>2}");
    }
    number.to_string()
}

/// A floating point number as go-yaml prints it: with an exponent from a million on.
pub(crate) fn shortest_float(number: f64) -> String {
    let size = number.abs();
    if !number.is_finite() || size == 0.0 || (1e-4..1e6).contains(&size) || size >= 1e21 {
        return match float_text(number).as_str() {
            "NaN" => ".nan".to_owned(),
            "+Inf" => ".inf".to_owned(),
            "-Inf" => "-.inf".to_owned(),
            text => text.to_owned(),
        };
    }
    let text = format!("{number:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    match exponent.strip_prefix('-') {
        Some(exponent) => format!("{digits}e-{exponent:0>2}"),
        None => format!("{digits}e+{exponent:0>2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{float_text, shortest_float};

    #[test]
    fn floats_in_yaml_have_an_exponent_from_a_million_on() {
        let printed = [0.5, 100_000.0, 1e6, 2.5e7, 1e-5].map(shortest_float);
        assert_eq!(printed, ["0.5", "100000", "1e+06", "2.5e+07", "1e-05"]);
    }

    #[test]
    fn floats_print_as_in_go() {
        let printed = [1.5, 1000.0, 1e21, 1e-7, -0.25].map(float_text);
        assert_eq!(
            [1e6, 999_999.5, 1_234_567.5, -1e5].map(float_text),
            ["1e+06", "999999.5", "1.2345675e+06", "-100000"]
        );
        assert_eq!(printed, ["1.5", "1000", "1e+21", "1e-07", "-0.25"]);
    }
}
