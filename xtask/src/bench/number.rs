//! Figures as people read them.

/// Writes a figure: whole if it is, and with as many digits as mean something otherwise.
pub(crate) fn number(value: f64) -> String {
    if value.fract() == 0.0 {
        format!("{value:.0}")
    } else if value.abs() >= 100.0 {
        format!("{value:.1}")
    } else {
        // Not 1.00 for what is not 1, and no tail of zeros.
        let text = format!("{value:.4}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_the_digits_that_mean_something() {
        let cases = [(1.0, "1"), (0.0, "0"), (3079.0, "3079"), (3079.0625, "3079.1"), (0.001953125, "0.002")];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
    }
}
