//! [Prometheus' text format](https://prometheus.io/docs/instrumenting/exposition_formats/), version 0.0.4: what a page of metrics looks like.
//!
//! ```text
//!   # HELP kvs_snapshots_sent_total Snapshots sent to peers, by what became of them.
//!   # TYPE kvs_snapshots_sent_total counter
//!   kvs_snapshots_sent_total{outcome="delivered"} 3
//! ```

use std::fmt::{self, Display, Write};

/// The content type of a page.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Name and value of each label of a series.
pub(crate) type Labels<'a> = &'a [(&'static str, &'a str)];

/// A page that is being written.
#[derive(Default)]
pub(crate) struct Page(String);

/// A metric whose series are being written.
pub(crate) struct Family<'a> {
    page: &'a mut String,
    name: &'static str,
}

/// Figures of a histogram.
pub(crate) struct Distribution<'a> {
    /// Upper bounds, growing; of what is in each, and in none before it, `counts` has the number.
    pub(crate) bounds: &'a [f64],
    /// One more than the bounds: the last is of what is above all.
    pub(crate) counts: &'a [u64],
    pub(crate) sum: f64,
}

impl Page {
    /// Something that only grows, as long as the process runs; its name ends with `_total`.
    pub(crate) fn counter(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "counter", help)
    }

    /// Something that goes up and down.
    pub(crate) fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "gauge", help)
    }

    /// How something is distributed.
    pub(crate) fn histogram(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "histogram", help)
    }

    fn family(&mut self, name: &'static str, kind: &str, help: &str) -> Family<'_> {
        let page = &mut self.0;
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        append(
            page,
            format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"),
        );
        Family { page, name }
    }

    pub(crate) fn into_text(self) -> String {
        self.0
    }
}

impl Family<'_> {
    pub(crate) fn series(self, labels: Labels<'_>, value: impl Display) -> Self {
        line(self.page, self.name, "", labels, None, &value);
        self
    }

    pub(crate) fn distribution(self, labels: Labels<'_>, of: &Distribution<'_>) -> Self {
        let mut count = 0;
        let bounds = of.bounds.iter().map(ToString::to_string);
        for (bound, within) in bounds.chain(["+Inf".to_owned()]).zip(of.counts) {
            count += within;
            line(
                self.page,
                self.name,
                "_bucket",
                labels,
                Some(&bound),
                &count,
            );
        }
        line(self.page, self.name, "_sum", labels, None, &of.sum);
        line(self.page, self.name, "_count", labels, None, &count);
        self
    }
}

fn line(
    page: &mut String,
    name: &str,
    suffix: &str,
    labels: Labels<'_>,
    bound: Option<&str>,
    value: &dyn Display,
) {
    append(page, format_args!("{name}{suffix}"));
    let bound = bound.map(|bound| ("le", bound));
    let mut separator = '{';
    for (label, value) in labels.iter().copied().chain(bound) {
        append(
            page,
            format_args!("{separator}{label}=\"{}\"", escaped(value)),
        );
        separator = ',';
    }
    let end = if separator == ',' { "}" } else { "" };
    append(page, format_args!("{end} {value}\n"));
}

fn escaped(value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"");
    value.replace('\n', "\\n")
}

fn append(page: &mut String, what: fmt::Arguments<'_>) {
    page.write_fmt(what)
        .expect("what is written never fails, and a string takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_has_its_help_and_kind_before_its_series() {
        let mut page = Page::default();
        page.gauge("kvs_term", "Term.").series(&[], 7);
        page.counter("kvs_x_total", "Two\nlines, one \\.")
            .series(&[("kind", "read"), ("outcome", "a \"b\"\\\n")], 1)
            .series(&[("kind", "write")], 2.5);
        let expected = r#"# HELP kvs_term Term.
# TYPE kvs_term gauge
kvs_term 7
# HELP kvs_x_total Two\nlines, one \\.
# TYPE kvs_x_total counter
kvs_x_total{kind="read",outcome="a \"b\"\\\n"} 1
kvs_x_total{kind="write"} 2.5
"#;
        assert_eq!(page.into_text(), expected);
    }

    #[test]
    fn the_buckets_of_a_histogram_count_all_below_them() {
        let mut page = Page::default();
        let distribution = Distribution {
            bounds: &[0.0005, 1.0],
            counts: &[3, 0, 2],
            sum: 12.25,
        };
        page.histogram("kvs_s", "Seconds.")
            .distribution(&[("kind", "read")], &distribution);
        let expected = r#"# HELP kvs_s Seconds.
# TYPE kvs_s histogram
kvs_s_bucket{kind="read",le="0.0005"} 3
kvs_s_bucket{kind="read",le="1"} 3
kvs_s_bucket{kind="read",le="+Inf"} 5
kvs_s_sum{kind="read"} 12.25
kvs_s_count{kind="read"} 5
"#;
        assert_eq!(page.into_text(), expected);
    }
}
