//! A verdict for the terminal.

use crate::Analysis;
use std::fmt::Write as _;

const WIDTH: usize = 100;

/// The verdict as text: its name, the paragraph, and the reasons with their codes.
pub fn verdict_text(analysis: &Analysis) -> String {
    let verdict = &analysis.verdict;
    let grade = if verdict.decision_grade {
        "a decision may rest on it"
    } else {
        "not decision-grade"
    };
    let mut text = format!("{}  ({grade})\n", verdict.kind.name());
    for line in wrapped(&verdict.paragraph, WIDTH - 2) {
        // Writing to a String can't fail.
        let _ = writeln!(text, "  {line}");
    }
    for reason in &verdict.reasons {
        let mut lines = wrapped(&reason.words, WIDTH - 4).into_iter();
        let first = lines.next().unwrap_or_default();
        let _ = writeln!(text, "  - {}", reason.code);
        let _ = writeln!(text, "    {first}");
        for line in lines {
            let _ = writeln!(text, "    {line}");
        }
    }
    text
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
