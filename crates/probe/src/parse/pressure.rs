//! /proc/pressure/*: pressure stall information (Documentation/accounting/psi.rst).

use super::{ParseError, lines, number, words};

/// The total stall times of one resource since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    /// Some task waited.
    pub some_us: Option<u64>,
    /// All non-idle tasks waited. Before Linux 5.13, the CPU's file lacks it.
    pub full_us: Option<u64>,
}

/// Parses one of the files. Only the totals are taken: they are exact over any interval, and the
/// averages are made from them.
pub fn pressure(text: &[u8], into: &mut Pressure) -> Result<(), ParseError> {
    *into = Pressure::default();
    for line in lines(text) {
        let mut words = words(line);
        let slot = match words.next() {
            Some(b"some") => &mut into.some_us,
            Some(b"full") => &mut into.full_us,
            _ => continue,
        };
        let total = words
            .find_map(|word| word.strip_prefix(b"total="))
            .and_then(number)
            .ok_or_else(|| ParseError::new(text, line, "`total=` and microseconds"))?;
        *slot = Some(total);
    }
    if into.some_us.is_none() {
        return Err(ParseError::new(text, text, "a line `some`"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals() {
        let mut raw = Pressure::default();
        let some = b"some avg10=0.00 avg60=0.51 avg300=2.69 total=48793459\n";
        pressure(some, &mut raw).unwrap();
        assert_eq!((raw.some_us, raw.full_us), (Some(48_793_459), None));
        let both = [
            &some[..],
            b"full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
        ]
        .concat();
        pressure(&both, &mut raw).unwrap();
        assert_eq!(raw.full_us, Some(0));
    }

    #[test]
    fn damage_is_refused_by_line() {
        let error = |text: &str| pressure(text.as_bytes(), &mut Pressure::default()).unwrap_err();
        assert_eq!(error("some total=1\nfull avg10=0.00\n").line, 2);
        assert_eq!(error("").line, 1);
    }
}
