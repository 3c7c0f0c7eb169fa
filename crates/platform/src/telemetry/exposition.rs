//! Metrics as text: that of Prometheus, and OpenMetrics.

use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};

/// The name that all attributes of the resource are told under.
const TARGET_INFO: &str = "target_info";

/// How metrics are written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Prometheus' own, 0.0.4: what everybody reads.
    Text,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

impl Format {
    /// The one to answer with: OpenMetrics for whoever would rather have it, else the text.
    pub(crate) fn accepted(accept: Option<&str>) -> Self {
        let ranges = || accept.into_iter().flat_map(|accept| accept.split(',')).map(Range::parse);
        let best = |fits: fn(&Range<'_>) -> bool| ranges().filter(fits).map(|range| range.weight).fold(0.0, f32::max);
        let open = best(|range| {
            range.media == "application/openmetrics-text" && matches!(range.version, None | Some("1.0.0"))
        });
        let text = best(|range| range.media == "text/plain");
        if open > 0.0 && open >= text { Self::OpenMetrics } else { Self::Text }
    }

    /// The header that names it.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// All of it, as one text. `families` are sorted by name, and each is there once.
    pub(crate) fn write(self, families: &[MetricFamily]) -> String {
        let mut text = Text { format: self, out: String::new() };
        for family in families {
            text.family(family);
        }
        if self == Self::OpenMetrics {
            text.out.push_str("# EOF\n");
        }
        text.out
    }
}

/// One of the kinds that a client takes.
struct Range<'a> {
    media: String,
    version: Option<&'a str>,
    weight: f32,
}

impl<'a> Range<'a> {
    fn parse(text: &'a str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default().to_ascii_lowercase();
        let mut range = Self { media, version: None, weight: 1.0 };
        for (name, value) in parts.filter_map(|parameter| parameter.split_once('=')) {
            match name {
                "version" => range.version = Some(value.trim_matches('"')),
                "q" => range.weight = value.parse().unwrap_or(0.0),
                _ => {}
            }
        }
        range
    }
}

struct Text {
    format: Format,
    out: String,
}

impl Text {
    fn family(&mut self, family: &MetricFamily) {
        let (sample, kind) = (family.name(), family.get_field_type());
        let (name, word) = match (kind, self.format) {
            (MetricType::COUNTER, Format::OpenMetrics) => (sample.trim_end_matches("_total"), "counter"),
            (MetricType::COUNTER, Format::Text) => (sample, "counter"),
            (MetricType::HISTOGRAM, _) => (sample, "histogram"),
            (MetricType::GAUGE, Format::OpenMetrics) if sample == TARGET_INFO => ("target", "info"),
            (MetricType::GAUGE, _) => (sample, "gauge"),
            // There is nothing in OpenTelemetry that becomes one.
            (MetricType::SUMMARY | MetricType::UNTYPED, _) => return,
        };
        self.out.push_str(&format!("# TYPE {name} {word}\n# HELP {name} "));
        escape(family.help(), self.format == Format::OpenMetrics, &mut self.out);
        self.out.push('\n');
        for metric in family.get_metric() {
            match kind {
                MetricType::COUNTER => self.sample(sample, "", metric, None, metric.get_counter().get_value()),
                MetricType::HISTOGRAM => self.histogram(sample, metric),
                _ => self.sample(sample, "", metric, None, metric.get_gauge().get_value()),
            }
        }
    }

    fn histogram(&mut self, name: &str, metric: &Metric) {
        let histogram = metric.get_histogram();
        for bucket in histogram.get_bucket().iter().filter(|bucket| bucket.upper_bound().is_finite()) {
            let bound = match self.format {
                Format::Text => bucket.upper_bound().to_string(),
                // Its canonical numbers have a point.
                Format::OpenMetrics => format!("{:?}", bucket.upper_bound()),
            };
            self.sample(name, "_bucket", metric, Some(&bound), count(bucket.cumulative_count()));
        }
        let all = count(histogram.get_sample_count());
        self.sample(name, "_bucket", metric, Some("+Inf"), all);
        self.sample(name, "_sum", metric, None, histogram.get_sample_sum());
        self.sample(name, "_count", metric, None, all);
    }

    fn sample(&mut self, name: &str, suffix: &str, metric: &Metric, le: Option<&str>, value: f64) {
        self.out.push_str(name);
        self.out.push_str(suffix);
        let labels = metric.get_label().iter().map(|label: &LabelPair| (label.name(), label.value()));
        let mut before = '{';
        for (label, value) in labels.chain(le.map(|bound| ("le", bound))) {
            self.out.push(before);
            self.out.push_str(label);
            self.out.push_str("=\"");
            escape(value, true, &mut self.out);
            self.out.push('"');
            before = ',';
        }
        if before == ',' {
            self.out.push('}');
        }
        self.out.push(' ');
        // The SDK takes neither infinities nor what is no number.
        self.out.push_str(&value.to_string());
        self.out.push('\n');
    }
}

/// Prometheus knows no other numbers.
#[allow(clippy::cast_precision_loss, reason = "exact up to 2^53")]
fn count(number: u64) -> f64 {
    number as f64
}

fn escape(text: &str, quotes: bool, out: &mut String) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests;
