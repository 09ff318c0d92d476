//! Numbers as people read them.

/// Three significant digits, thousands set apart: `0.042`, `8.31`, `12 300`.
pub(crate) fn plain(value: f64) -> String {
    let size = value.abs();
    let decimals = match size {
        _ if size == 0.0 => 0,
        _ if size >= 99.95 => 0,
        _ if size >= 9.995 => 1,
        _ if size >= 0.9995 => 2,
        _ => 3,
    };
    grouped(value, decimals)
}

/// A value with so many decimals, without trailing zeros, thousands set apart by a thin space.
pub(crate) fn grouped(value: f64, decimals: usize) -> String {
    let fixed = format!("{:.decimals$}", value.abs());
    let (whole, fraction) = fixed.split_once('.').unwrap_or((&fixed, ""));
    let mut text = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) && whole.len() > 4 {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    let fraction = fraction.trim_end_matches('0');
    if !fraction.is_empty() {
        text.push('.');
        text.push_str(fraction);
    }
    let is_zero = !text.contains(|c: char| ('1'..='9').contains(&c));
    if value < 0.0 && !is_zero {
        text.insert(0, '−');
    }
    text
}

/// A share: `0 %`, `0.04 %`, `12.3 %`; what would round to nothing is `< 0.01 %`.
pub(crate) fn percent(value: f64) -> String {
    match value {
        _ if value == 0.0 => "0\u{a0}%".to_owned(),
        _ if value.abs() < 0.005 => "<\u{a0}0.01\u{a0}%".to_owned(),
        _ if value.abs() < 0.995 => format!("{}\u{a0}%", grouped(value, 2)),
        _ => format!("{}\u{a0}%", grouped(value, 1)),
    }
}

/// A change, given as a ratio: `+12.3 %`, `−4 %`; one that would round to nothing is
/// `under ±0.01 %`.
pub(crate) fn change(ratio: f64) -> String {
    let pct = (ratio - 1.0) * 100.0;
    if pct != 0.0 && pct.abs() < 0.005 {
        return "under ±0.01\u{a0}%".to_owned();
    }
    let sign = if pct > 0.0 { "+" } else { "" };
    format!("{sign}{}", percent(pct))
}

/// A span given in milliseconds, in the unit that suits it: `850 ms`, `12.3 s`.
pub(crate) fn milliseconds(ms: f64) -> String {
    if ms.abs() >= 999.5 {
        format!("{}\u{a0}s", plain(ms / 1000.0))
    } else {
        format!("{}\u{a0}ms", plain(ms))
    }
}

/// The least and the greatest: `n = 120` or `n = 120–400`.
pub(crate) fn sum_up(counts: impl Iterator<Item = usize>) -> Option<String> {
    let range = counts.fold(None, |range: Option<(usize, usize)>, n| {
        Some(range.map_or((n, n), |(low, high)| (low.min(n), high.max(n))))
    });
    let count = |n: usize| grouped(n as f64, 0);
    range.map(|(low, high)| {
        if low == high {
            count(low)
        } else {
            format!("{}–{}", count(low), count(high))
        }
    })
}

/// `1 run`, `3 runs`, `1–3 runs`.
pub(crate) fn repeats(least: usize, most: usize) -> String {
    match (least, most) {
        (1, 1) => "1 run".to_owned(),
        _ if least == most => format!("{most} runs"),
        _ => format!("{least}–{most} runs"),
    }
}

/// The labels of an axis's ticks, all with as many decimals as their step needs.
pub(super) fn tick_labels(ticks: &[f64], log: bool) -> Vec<String> {
    if log {
        return ticks.iter().map(|&tick| plain(tick)).collect();
    }
    let step = match ticks {
        [a, b, ..] => (b - a).abs(),
        _ => 1.0,
    };
    let decimals = (-step.log10()).ceil().clamp(0.0, 9.0) as usize;
    ticks.iter().map(|&tick| grouped(tick, decimals)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_three_digits() {
        let said = [0.0, 0.0424, 8.314, 45.67, 123.4, 12_345.6, -1.5].map(plain);
        assert_eq!(
            said,
            ["0", "0.042", "8.31", "45.7", "123", "12\u{202f}346", "−1.5"]
        );
    }

    #[test]
    fn a_change_has_a_sign() {
        let said = [1.0, 1.5, 0.96, 1.000_04, 0.999_96].map(change);
        let expected = ["0 %", "+50 %", "−4 %", "under ±0.01 %", "under ±0.01 %"];
        assert_eq!(
            said,
            expected.map(|it| it.replace(' ', "\u{a0}").replace("under\u{a0}", "under "))
        );
    }

    #[test]
    fn a_small_share_is_not_nothing() {
        let said = [0.0, 0.001, 0.042, 12.34, 100.0].map(percent);
        assert_eq!(
            said,
            [
                "0\u{a0}%",
                "<\u{a0}0.01\u{a0}%",
                "0.04\u{a0}%",
                "12.3\u{a0}%",
                "100\u{a0}%"
            ]
        );
    }

    #[test]
    fn spans_choose_their_unit() {
        let said = [0.5, 850.0, 999.6, 12_345.0].map(milliseconds);
        assert_eq!(
            said,
            ["0.5\u{a0}ms", "850\u{a0}ms", "1\u{a0}s", "12.3\u{a0}s"]
        );
    }

    #[test]
    fn ticks_share_their_decimals() {
        assert_eq!(tick_labels(&[0.0, 0.5, 1.0], false), ["0", "0.5", "1"]);
        assert_eq!(
            tick_labels(&[0.0, 0.02, 0.04], false),
            ["0", "0.02", "0.04"]
        );
    }
}
