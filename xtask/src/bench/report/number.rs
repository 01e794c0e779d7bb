//! Numbers as people read them.

/// Writes a number: groups of three from ten thousand on, and decimals only where the number is no whole one.
pub(super) fn number(value: f64) -> String {
    if value != 0.0 && value.abs() < 0.95 {
        // What is small is not nothing.
        let digits = 1 - value.abs().log10().floor() as i32;
        let text = format!("{value:.*}", digits.clamp(2, 6) as usize);
        return text.trim_end_matches('0').trim_end_matches('.').replace('-', "−");
    }
    let tenths = (value * 10.0).round();
    if tenths % 10.0 == 0.0 || value.abs() >= 1000.0 {
        grouped(value.round())
    } else {
        format!("{:.1}", tenths / 10.0).replace('-', "−")
    }
}

/// Writes a number of the scale as short as it can be: thousands from ten thousand on, and millions.
pub(super) fn short(value: f64) -> String {
    match value {
        1e6.. => format!("{}M", number(value / 1e6)),
        1e4.. => format!("{}k", number(value / 1e3)),
        _ => number(value),
    }
}

/// Writes a ratio with as many digits as are worth reading.
pub(super) fn ratio(value: f64) -> String {
    match value {
        ..10.0 => format!("{value:.2}"),
        ..100.0 => format!("{value:.1}"),
        _ => grouped(value.round()),
    }
}

/// Writes a difference with its sign.
pub(super) fn difference(value: f64) -> String {
    match number(value.abs()).as_str() {
        "0" => "0".to_owned(),
        text if value < 0.0 => format!("−{text}"),
        text => format!("+{text}"),
    }
}

/// Writes how many of something there are.
pub(super) fn count(many: usize, one: &str, more: &str) -> String {
    // No count here comes near 2^53.
    format!("{}\u{a0}{}", grouped(many as f64), if many == 1 { one } else { more })
}

/// Lists words: `a`, `a and b`, `a, b and c`.
pub(super) fn list(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// Separates groups of three digits by narrow spaces that do not break.
fn grouped(whole: f64) -> String {
    let plain = format!("{whole:.0}");
    let digits = plain.strip_prefix('-').unwrap_or(&plain);
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if digits.len() > 4 && index > 0 && (digits.len() - index) % 3 == 0 {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    if plain.len() > digits.len() && digits != "0" { format!("−{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_long_as_they_need_to_be() {
        let cases = [
            (0.0, "0"),
            (-0.0, "0"),
            (0.001953125, "0.002"),
            (-0.25, "−0.25"),
            (3.0, "3"),
            (3.04, "3"),
            (3.96, "4"),
            (3.0625, "3.1"),
            (-2.5, "−2.5"),
            (66.05, "66.1"),
            (999.5, "999.5"),
            (1259.5, "1260"),
            (5603.0, "5603"),
            (12345.6, "12\u{202f}346"),
            (-1_234_567.0, "−1\u{202f}234\u{202f}567"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text, "{value}");
        }
    }

    #[test]
    fn ratios_and_differences_say_what_they_are() {
        assert_eq!([ratio(0.994), ratio(12.34), ratio(456.7)], ["0.99", "12.3", "457"]);
        assert_eq!(
            [difference(0.0), difference(-0.0), difference(2.0), difference(-2.0)],
            ["0", "0", "+2", "−2"]
        );
    }

    #[test]
    fn marks_are_short() {
        assert_eq!([0.2, 5000.0, 10_000.0, 1e6, 1e9].map(short), ["0.2", "5000", "10k", "1M", "1000M"]);
    }

    #[test]
    fn words_are_counted_and_listed() {
        assert_eq!([count(1, "op", "ops"), count(0, "op", "ops")], ["1\u{a0}op", "0\u{a0}ops"]);
        assert_eq!([list(&[]), list(&["a"]), list(&["a", "b", "c"])], ["", "a", "a, b and c"]);
    }
}
