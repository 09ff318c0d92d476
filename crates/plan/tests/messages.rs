//! What a person reads who got a plan wrong.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use plan::{Builtin, Plan};

/// The built-in H2 with one line changed.
fn changed(from: &str, to: &str) -> String {
    let toml = Builtin::find("h2").unwrap().toml;
    assert!(toml.contains(from), "{from}");
    toml.replacen(from, to, 1)
}

fn message(toml: &str) -> String {
    Plan::parse(toml).unwrap_err().to_string()
}

#[test]
fn an_unknown_key_is_named_with_what_is_allowed() {
    let text = message(&changed("output_tokens = 256", "max_tokens = 256"));
    assert!(
        text.contains("unknown field `max_tokens`, expected one of"),
        "{text}"
    );
    assert!(
        text.contains("output_tokens") && text.contains("line 28"),
        "{text}"
    );
}

#[test]
fn a_value_out_of_range_is_shown_in_its_line() {
    insta::assert_snapshot!(message(&changed("repeats = 3", "repeats = 0")), @r#"
    TOML parse error at line 11, column 11
       |
    11 | repeats = 0
       |           ^
    0 is out of range for repeats: use 1 to 1000
    "#);
}

#[test]
fn a_span_without_a_unit_is_shown_in_its_line() {
    insta::assert_snapshot!(message(&changed("\"300s\"        #", "\"300\" #")), @r#"
    TOML parse error at line 20, column 12
       |
    20 | duration = "300" # the measured interval
       |            ^^^^^
    "300" is no span of time: write one like "300s", "5m" or "500ms", at most a day
    "#);
}

#[test]
fn a_word_that_is_no_order_is_told_the_orders() {
    insta::assert_snapshot!(message(&changed("\"shuffled\"", "\"random\"")), @r#"
    TOML parse error at line 14, column 9
       |
    14 | order = "random"
       |         ^^^^^^^^
    unknown variant `random`, expected one of `shuffled`, `ascending`, `abba`
    "#);
}

#[test]
fn an_empty_sweep_is_refused() {
    insta::assert_snapshot!(message(&changed("[1, 8, 16, 32, 64, 128, 192]", "[]")), @r#"
    TOML parse error at line 10, column 9
       |
    10 | users = []
       |         ^^
    a sweep needs one level of users at least
    "#);
}

#[test]
fn a_missing_table_is_named() {
    let text = message(&changed("[telemetry]\ninterval = \"100ms\"\n", ""));
    assert!(text.contains("missing field `telemetry`"), "{text}");
}

/// H2 with a table of preparation.
fn prepared(lines: &str) -> Result<Plan, String> {
    let toml = changed("[workload]", &format!("[prepare]\n{lines}\n[workload]"));
    Plan::parse(&toml).map_err(|error| error.to_string())
}

#[test]
fn preparation_is_optional_in_every_part() {
    let plan = Builtin::find("h2").unwrap().plan().unwrap();
    assert_eq!(plan.prepare, plan::Prepare::default());
    let json = serde_json::to_value(&plan).unwrap();
    assert_eq!(json.get("prepare"), None, "sessions of before have none");
    let plan = prepared("swappiness = 10\nsettle = { limit = \"30s\" }").unwrap();
    assert_eq!(plan.prepare.swappiness.unwrap().get(), 10);
    assert_eq!(plan.prepare.settle.unwrap().cpu_busy_pct_max.get(), 10.0);
    let again: Plan = serde_json::from_value(serde_json::to_value(&plan).unwrap()).unwrap();
    assert_eq!(again, plan);
}

#[test]
fn a_setting_that_there_is_not_is_told_those_that_there_are() {
    let wrong = prepared("governor = \"fast\"").unwrap_err();
    assert!(
        wrong.contains("unknown variant `fast`, expected one of `performance`"),
        "{wrong}"
    );
    let wrong = prepared("swappiness = 300").unwrap_err();
    assert!(wrong.contains("use 0 to 200"), "{wrong}");
    let wrong = prepared("hugepages = \"never\"").unwrap_err();
    assert!(wrong.contains("transparent_hugepage"), "{wrong}");
}

#[test]
fn a_neighbour_that_writes_needs_a_rate() {
    let h4 = Builtin::find("h4").unwrap().toml;
    let writing = h4.replace(
        "pattern = \"randread\", block",
        "pattern = \"write\", block",
    );
    assert_ne!(writing, h4);
    assert!(message(&writing).contains("rate_mib"));
    let limited = writing.replace("\"write\",", "\"write\", rate_mib = 50,");
    assert!(Plan::parse(&limited).is_ok());
    let alone = h4.replace("neighbour =", "# neighbour =");
    assert!(message(&alone).contains("h4 compares neighbours"));
}

/// `tiers` with something changed.
fn tiers(from: &str, to: &str) -> String {
    let toml = Builtin::find("tiers").unwrap().toml;
    assert!(toml.contains(from), "{from}");
    message(&toml.replace(from, to))
}

#[test]
fn phases_that_do_not_fit_one_another_are_told() {
    let none = tiers("again = \"populate\"", "again = \"later\"");
    assert!(none.contains("names no phase before"), "{none}");
    let more = tiers("prompts = 4\nagain", "prompts = 5\nagain");
    assert!(more.contains("more prompts `again`"), "{more}");
    let twice = tiers("name = \"pressure\"", "name = \"populate\"");
    assert!(twice.contains("two phases have one name"), "{twice}");
}

#[test]
fn tiers_without_a_replay_or_a_variant_is_told() {
    let replay = tiers("again = \"populate\"", "");
    assert!(replay.contains("tiers replays prompts"), "{replay}");
    let variant = tiers("variant =", "# variant =");
    assert!(variant.contains("take them out"), "{variant}");
    // As it runs: no arms at all.
    let toml = Builtin::find("tiers").unwrap().toml;
    let (head, rest) = toml.split_once("[[arms]]").unwrap();
    let (_, phases) = rest.split_once("[[phases]]").unwrap();
    let plan = Plan::parse(&format!("{head}[[phases]]{phases}")).unwrap();
    assert_eq!(plan.schedule().len(), 12);
}
