//! The alerts of the chart, with less patience.

/// In place of each time that an alert's cause must last.
const LASTS: &str = "2s";
/// In place of each time that an expression looks back to, in steps where it has any.
const LOOKS_BACK: [&str; 2] = ["15s", "1s"];

/// The same rules for a test that has seconds.
///
/// # Panics
/// When anything else is changed by it.
pub(super) fn hurried(rules: &str) -> String {
    let hurried = replaced(rules, LASTS, LOOKS_BACK);
    let masked = |rules| replaced(rules, "LASTS", ["LOOKS BACK", "STEP"]);
    assert_eq!(masked(&hurried), masked(rules), "times alone are changed");
    assert_eq!(hurried.lines().count(), rules.lines().count());
    hurried
}

/// The names of all alerts.
pub(super) fn names(rules: &str) -> Vec<&str> {
    rules.lines().filter_map(|line| line.trim_start().strip_prefix("- alert: ")).collect()
}

fn replaced(rules: &str, lasts: &str, [back, step]: [&str; 2]) -> String {
    let line = |line: &str| {
        if let Some((before, _)) = line.split_once("for: ").filter(|(before, _)| before.trim().is_empty()) {
            return format!("{before}for: {lasts}");
        }
        let mut out = String::new();
        let mut rest = line;
        while let Some((before, after)) = rest.split_once('[') {
            let Some((range, after)) = after.split_once(']') else { break };
            let short = if range.contains(':') { format!("{back}:{step}") } else { back.to_owned() };
            out.push_str(&format!("{before}[{short}]"));
            rest = after;
        }
        out + rest
    };
    rules.lines().map(|text| line(text) + "\n").collect()
}

#[test]
fn nothing_but_times_is_changed() {
    let rules = "- alert: A\n  expr: |\n    increase(a{b=\"for: 5m\"}[30m]) > deriv(c[15m:1m]) + d[1h]\n  for: 5m\n  labels: {for: 1}\n";
    let expected = "- alert: A\n  expr: |\n    increase(a{b=\"for: 5m\"}[15s]) > deriv(c[15s:1s]) + d[15s]\n  for: 2s\n  labels: {for: 1}\n";
    assert_eq!(hurried(rules), expected);
    assert_eq!(names(rules), ["A"]);
}
