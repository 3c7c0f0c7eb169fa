//! A trace as a tree of text.

use std::collections::{HashMap, HashSet};

/// One span, as far as the tree needs it. Times are nanoseconds since the epoch.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) id: String,
    pub(crate) parent: Option<String>,
    pub(crate) name: String,
    pub(crate) service: String,
    pub(crate) start: u64,
    pub(crate) end: u64,
}

/// One line a span: the tree, the service, when it began after the first one, how long it took. A span whose parent is
/// not here stands at the top.
pub(crate) fn tree(spans: &[Node]) -> Vec<String> {
    let known: HashSet<&str> = spans.iter().map(|span| span.id.as_str()).collect();
    let mut children: HashMap<Option<&str>, Vec<&Node>> = HashMap::new();
    for span in spans {
        let parent = span.parent.as_deref().filter(|parent| known.contains(parent) && *parent != span.id);
        children.entry(parent).or_default().push(span);
    }
    for siblings in children.values_mut() {
        siblings.sort_by_key(|span| span.start);
    }
    let mut rows = Vec::new();
    for root in children.get(&None).into_iter().flatten() {
        walk(root, "", "", &children, &mut rows);
    }
    let start = spans.iter().map(|span| span.start).min().unwrap_or(0);
    let names = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let services = rows.iter().map(|(_, span)| span.service.chars().count()).max().unwrap_or(0);
    let line = |(name, span): &(String, &Node)| {
        let pad = " ".repeat(names - name.chars().count());
        format!(
            "{name}{pad}  {:services$}  {:>9}  {:>9}",
            span.service,
            format!("+{}", time(span.start - start)),
            time(span.end.saturating_sub(span.start))
        )
    };
    rows.iter().map(line).collect()
}

fn walk<'a>(
    span: &'a Node,
    own: &str,
    below: &str,
    children: &HashMap<Option<&str>, Vec<&'a Node>>,
    rows: &mut Vec<(String, &'a Node)>,
) {
    rows.push((format!("{own}{}", span.name), span));
    let next = children.get(&Some(span.id.as_str())).map(Vec::as_slice).unwrap_or_default();
    for (at, child) in next.iter().enumerate() {
        let (branch, rest) = if at + 1 == next.len() { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        walk(child, &format!("{below}{branch}"), &format!("{below}{rest}"), children, rows);
    }
}

/// From the first start to the last end.
pub(crate) fn span_of(spans: &[Node]) -> String {
    let start = spans.iter().map(|span| span.start).min().unwrap_or(0);
    let end = spans.iter().map(|span| span.end).max().unwrap_or(0);
    time(end.saturating_sub(start))
}

#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn time(nanoseconds: u64) -> String {
    let milliseconds = nanoseconds as f64 / 1e6;
    match milliseconds {
        ms if ms < 10.0 => format!("{ms:.2} ms"),
        ms if ms < 1_000.0 => format!("{ms:.0} ms"),
        ms => format!("{:.2} s", ms / 1_000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: &str, parent: Option<&str>, service: &str, start: u64, end: u64) -> Node {
        let name = format!("do {id}");
        let parent = parent.map(str::to_owned);
        Node { id: id.to_owned(), parent, name, service: service.to_owned(), start: start * 1_000, end: end * 1_000 }
    }

    #[test]
    fn a_tree_shows_nesting_services_offsets_and_durations() {
        let spans = [
            node("c", Some("b"), "worker", 40_000, 2_040_000),
            node("a", None, "api", 0, 25_000),
            node("b", Some("a"), "api", 30_000, 30_250),
            node("d", Some("a"), "api", 1_000, 2_500),
        ];
        assert_eq!(
            tree(&spans),
            [
                "do a        api      +0.00 ms      25 ms",
                "├─ do d     api      +1.00 ms    1.50 ms",
                "└─ do b     api        +30 ms    0.25 ms",
                "   └─ do c  worker     +40 ms     2.00 s",
            ]
        );
        assert_eq!(span_of(&spans), "2.04 s");
    }

    #[test]
    fn a_span_without_its_parent_stands_at_the_top_and_nothing_loops() {
        let spans = [node("a", Some("a"), "x", 0, 1), node("b", Some("gone"), "x", 1, 2)];
        let lines = tree(&spans);
        assert!(lines.len() == 2 && lines.iter().all(|line| line.starts_with("do ")), "{lines:?}");
    }
}
