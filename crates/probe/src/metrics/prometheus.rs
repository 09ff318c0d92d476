//! The Prometheus text format, as servers print it
//! (prometheus.io/docs/instrumenting/exposition_formats; OpenMetrics' additions are passed over).
//!
//! Names may hold colons, as all of vLLM's do; label values may hold anything, escaped.

use std::fmt;

/// One sample: a series and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The metric's name.
    pub name: String,
    /// Its labels, in the order in which they came.
    pub labels: Vec<(String, String)>,
    /// Its value.
    pub value: f64,
}

impl Sample {
    /// The value of a label.
    pub fn label(&self, name: &str) -> Option<&str> {
        let mut labels = self.labels.iter();
        labels
            .find(|(label, _)| label == name)
            .map(|(_, value)| value.as_str())
    }
}

/// The series in the format's own words: `name{label="value"}`.
impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        for (index, (label, value)) in self.labels.iter().enumerate() {
            let separator = if index == 0 { '{' } else { ',' };
            let value = value
                .replace('\\', r"\\")
                .replace('"', "\\\"")
                .replace('\n', r"\n");
            write!(f, "{separator}{label}=\"{value}\"")?;
        }
        if self.labels.is_empty() {
            Ok(())
        } else {
            f.write_str("}")
        }
    }
}

/// A line that is no sample, with its number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "line {line}: {found:?} is no sample: {expected} is missing; is the URL that of Prometheus metrics?"
)]
pub struct NoSample {
    /// The line's number, from 1.
    pub line: usize,
    /// What should be there.
    pub expected: &'static str,
    /// The line, shortened.
    pub found: String,
}

/// Parses a whole answer. Comments, also those that tell a metric's type, are passed over.
pub fn parse(text: &str) -> Result<Vec<Sample>, NoSample> {
    let lines = text.lines().enumerate();
    let samples = lines.filter(|(_, line)| {
        let line = line.trim_start();
        !line.is_empty() && !line.starts_with('#')
    });
    samples
        .map(|(index, line)| {
            sample(line).map_err(|expected| NoSample {
                line: index + 1,
                expected,
                found: line.chars().take(80).collect(),
            })
        })
        .collect()
}

/// `name{label="value",…} value [timestamp] [# exemplar]`
fn sample(line: &str) -> Result<Sample, &'static str> {
    let (name, rest) = take_name(line.trim_start(), true).ok_or("a name")?;
    let rest = rest.trim_start();
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    let value = rest
        .split_whitespace()
        .next()
        .and_then(number)
        .ok_or("a value")?;
    Ok(Sample {
        name: name.to_owned(),
        labels,
        value,
    })
}

type Labels = Vec<(String, String)>;

fn labels(mut rest: &str) -> Result<(Labels, &str), &'static str> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start();
        if let Some(rest) = rest.strip_prefix('}') {
            return Ok((labels, rest));
        }
        let (name, behind) = take_name(rest, false).ok_or("a label's name")?;
        let behind = behind.trim_start().strip_prefix('=').ok_or("`=`")?;
        let behind = behind
            .trim_start()
            .strip_prefix('"')
            .ok_or("an opening quote")?;
        let (value, behind) = quoted(behind).ok_or("a closing quote")?;
        labels.push((name.to_owned(), value));
        let behind = behind.trim_start();
        // The last may be followed by a comma too.
        rest = match behind.strip_prefix(',') {
            Some(rest) => rest,
            None if behind.starts_with('}') => behind,
            None => return Err("`,` or `}`"),
        };
    }
}

fn take_name(text: &str, colons: bool) -> Option<(&str, &str)> {
    let fits =
        |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || (colons && letter == ':');
    let end = text.find(|letter| !fits(letter)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let begins = name.starts_with(|first: char| !first.is_ascii_digit());
    begins.then_some((name, rest))
}

/// The text up to the closing quote, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match letters.next()?.1 {
                'n' => value.push('\n'),
                escaped @ ('\\' | '"') => value.push(escaped),
                // The format knows no other; what stands there is kept.
                other => value.extend(['\\', other]),
            },
            _ => value.push(letter),
        }
    }
    None
}

/// Go's `ParseFloat`, as far as servers print: `+Inf`, `NaN` and all that Rust reads.
fn number(word: &str) -> Option<f64> {
    word.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_with_colons_and_escaped_labels() {
        let text = "# HELP vllm:x y\n# TYPE vllm:x gauge\n\
            vllm:x{model_name=\"a\\\"b, c\\\\d\\ne\",engine=\"0\",} 1.5e3 1395066363000\n\
            up 1\n\n  spaced { le = \"+Inf\" }  +Inf\nnot_a_number NaN\n\
            seen_total 17 # {trace_id=\"abc\"} 0.5\n# EOF\n";
        let samples = parse(text).unwrap();
        assert_eq!(samples[0].name, "vllm:x");
        assert_eq!(samples[0].label("model_name"), Some("a\"b, c\\d\ne"));
        assert_eq!(
            (samples[0].label("engine"), samples[0].value),
            (Some("0"), 1500.0)
        );
        assert_eq!(samples[1].to_string(), "up");
        assert_eq!(samples[2].label("le"), Some("+Inf"));
        assert!(samples[2].value.is_infinite() && samples[3].value.is_nan());
        assert_eq!(samples[4].value, 17.0);
    }

    #[test]
    fn what_is_no_sample_is_refused_by_line() {
        let error = parse("up 1\n<html>\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "line 2: \"<html>\" is no sample: a name is missing; is the URL that of Prometheus \
             metrics?"
        );
        for bad in [
            "up",
            "up x",
            "up{a} 1",
            "up{a=\"b} 1",
            "up{a=\"b\" c=\"d\"} 1",
            "1up 1",
            "{} 1",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_real_answer_of_vllm() {
        let text = include_str!("../../tests/fixtures/metrics/vllm.txt");
        let samples = parse(text).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        assert_eq!(samples.len(), lines.clone().count());
        for (sample, line) in samples.iter().zip(lines) {
            assert!(line.starts_with(&sample.to_string()), "{line}");
        }
    }

    proptest! {
        #[test]
        fn every_sample_reads_back(
            name in "[a-zA-Z_:][a-zA-Z0-9_:]{0,9}",
            labels in proptest::collection::vec(("[a-zA-Z_][a-zA-Z0-9_]{0,5}", any::<String>()), 0..4),
            value in any::<f64>(),
        ) {
            // A bare carriage return or line feed in a value would end the line: both are escaped
            // or, for the first, not made by any server.
            let labels: Labels = labels.into_iter().map(|(label, value)| (label, value.replace('\r', ""))).collect();
            let sample = Sample { name, labels, value };
            let read = parse(&format!("{sample} {value}\n")).unwrap();
            prop_assert_eq!(read.len(), 1);
            prop_assert_eq!((&read[0].name, &read[0].labels), (&sample.name, &sample.labels));
            prop_assert!(read[0].value == value || value.is_nan());
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = parse(&text);
        }

        #[test]
        fn no_text_like_it_panics(text in "([a-z:]{0,3}|[{}=\",\\\\# \n]|[0-9.]{1,3}){0,60}") {
            let _ = parse(&text);
        }
    }
}
