//! Numbers as Go prints them, which is what ends up in environments and labels.

/// A floating point number as Go's `fmt.Sprint` prints it: `1.5`, `1000`, `1e+21`.
pub(crate) fn float_text(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let size = number.abs();
    if size != 0.0 && !(1e-4..1e21).contains(&size) {
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

#[cfg(test)]
mod tests {
    use super::float_text;

    #[test]
    fn floats_print_as_in_go() {
        let printed = [1.5, 1000.0, 1e21, 1e-7, -0.25].map(float_text);
        assert_eq!(printed, ["1.5", "1000", "1e+21", "1e-07", "-0.25"]);
    }
}
