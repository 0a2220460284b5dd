//! The plots: grouped bars, and latencies by percentile.

use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

use super::error::{Error, Result};

const SIZE: (u32, u32) = (900, 420);
/// Colours that people with any kind of colour vision can tell apart (Okabe and Ito, 2008).
const COLOURS: [RGBColor; 4] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(130, 130, 130),
];

/// Bars in groups.
pub(crate) struct Bars<'a> {
    pub(crate) title: &'a str,
    /// What the height means.
    pub(crate) unit: &'a str,
    pub(crate) groups: Vec<String>,
    /// A name, and a value for each group.
    pub(crate) series: Vec<(String, Vec<Option<f64>>)>,
    /// Level lines.
    pub(crate) levels: Vec<f64>,
    pub(crate) decimals: usize,
}

/// Room above the highest bar, for the legend.
const HEADROOM: f64 = 1.4;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn area(path: &Path) -> Area<'_> {
    SVGBackend::new(path, SIZE).into_drawing_area()
}

fn failed<E: std::fmt::Display>(path: &Path) -> impl Fn(E) -> Error {
    let path = path.to_owned();
    move |error| Error::Plot {
        path: path.clone(),
        reason: error.to_string(),
    }
}

/// Draws `bars` into an SVG file.
pub(crate) fn bars(path: &Path, bars: &Bars<'_>) -> Result<()> {
    let root = area(path);
    draw_bars(&root, bars).map_err(failed(path))?;
    root.present().map_err(failed(path))
}

type Drawn = std::result::Result<(), DrawingAreaErrorKind<std::io::Error>>;

fn draw_bars(root: &Area<'_>, bars: &Bars<'_>) -> Drawn {
    root.fill(&WHITE)?;
    let values = bars
        .series
        .iter()
        .flat_map(|(_, values)| values.iter().flatten());
    let highest = values.chain(&bars.levels).copied().fold(0.0, f64::max);
    let count = bars.groups.len();
    let mut chart = ChartBuilder::on(root)
        .caption(bars.title, ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(72)
        .build_cartesian_2d(0.0..count as f64, 0.0..(highest * HEADROOM).max(1e-9))?;
    // Ticks at every half: those in the middle of a group carry its name.
    let name = |x: &f64| -> String {
        let is_middle = (x.fract() - 0.5).abs() < 0.01;
        let name = bars.groups.get(*x as usize).filter(|_| is_middle);
        name.cloned().unwrap_or_default()
    };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .x_labels(2 * count + 1)
        .x_label_formatter(&name)
        .y_desc(bars.unit)
        .label_style(("sans-serif", 13))
        .draw()?;
    let width = 0.8 / bars.series.len().max(1) as f64;
    for (at, (name, values)) in bars.series.iter().enumerate() {
        let colour = COLOURS[at % COLOURS.len()];
        let left = |group: usize| group as f64 + 0.1 + at as f64 * width;
        let there = || {
            let values = values.iter().enumerate();
            values.filter_map(|(group, value)| Some((group, (*value)?)))
        };
        chart
            .draw_series(there().map(|(group, value)| {
                let (from, to) = (left(group), left(group) + width * 0.94);
                Rectangle::new([(from, 0.0), (to, value)], colour.filled())
            }))?
            .label(name)
            .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 12, y + 5)], colour.filled()));
        let decimals = bars.decimals;
        chart.draw_series(there().map(|(group, value)| {
            let place = (left(group) + width * 0.05, value + highest * 0.045);
            Text::new(format!("{value:.decimals$}"), place, ("sans-serif", 11))
        }))?;
    }
    for &level in &bars.levels {
        let line = [(0.0, level), (count as f64, level)];
        chart.draw_series(LineSeries::new(line, BLACK.stroke_width(1)))?;
    }
    legend(&mut chart, SeriesLabelPosition::UpperRight)
}

fn legend<'a, X, Y>(
    chart: &mut ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, Y>>,
    position: SeriesLabelPosition,
) -> Drawn
where
    X: plotters::coord::ranged1d::Ranged<ValueType = f64>,
    Y: plotters::coord::ranged1d::Ranged<ValueType = f64>,
{
    chart
        .configure_series_labels()
        .position(position)
        .background_style(WHITE.mix(0.85))
        .border_style(RGBColor(200, 200, 200))
        .label_font(("sans-serif", 13))
        .draw()
}

/// Latencies at some percentiles, on a logarithmic scale.
pub(crate) struct Latencies<'a> {
    pub(crate) title: &'a str,
    pub(crate) percentiles: Vec<&'a str>,
    /// A name, and milliseconds for each percentile.
    pub(crate) series: Vec<(String, Vec<f64>)>,
}

/// Draws `latencies` into an SVG file.
pub(crate) fn latencies(path: &Path, latencies: &Latencies<'_>) -> Result<()> {
    let root = area(path);
    draw_latencies(&root, latencies).map_err(failed(path))?;
    root.present().map_err(failed(path))
}

fn draw_latencies(root: &Area<'_>, latencies: &Latencies<'_>) -> Drawn {
    root.fill(&WHITE)?;
    let values = || {
        latencies
            .series
            .iter()
            .flat_map(|(_, values)| values)
            .copied()
    };
    let lowest = values().fold(f64::INFINITY, f64::min).clamp(0.001, 1.0);
    let highest = values().fold(0.0, f64::max).max(lowest * 10.0);
    let count = latencies.percentiles.len();
    let right = count as f64 - 0.5;
    let mut chart = ChartBuilder::on(root)
        .caption(latencies.title, ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(72)
        .build_cartesian_2d(-0.5..right, (lowest / 2.0..highest * 8.0).log_scale())?;
    let name = |x: &f64| -> String {
        let is_whole = (x - x.round()).abs() < 0.01 && *x > -0.01;
        let name = latencies.percentiles.get(x.round() as usize);
        name.filter(|_| is_whole)
            .map_or_else(String::new, |name| (*name).to_owned())
    };
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_labels(2 * count + 1)
        .x_label_formatter(&name)
        .y_label_formatter(&|y| format!("{y}"))
        .y_desc("milliseconds")
        .label_style(("sans-serif", 13))
        .draw()?;
    for (at, (name, values)) in latencies.series.iter().enumerate() {
        let colour = COLOURS[at % COLOURS.len()];
        let points = || values.iter().enumerate().map(|(x, y)| (x as f64, *y));
        chart
            .draw_series(LineSeries::new(points(), colour.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], colour.stroke_width(2)));
        chart.draw_series(points().map(|point| Circle::new(point, 4, colour.filled())))?;
    }
    legend(&mut chart, SeriesLabelPosition::UpperLeft)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_name_their_groups_series_and_values() {
        let dir = tempfile::tempdir().unwrap();
        for groups in 1..=8 {
            let path = dir.path().join("bars.svg");
            let plot = Bars {
                title: "A title",
                unit: "things",
                groups: (0..groups).map(|group| format!("group{group}")).collect(),
                series: vec![
                    ("one".into(), vec![Some(1.25); groups]),
                    ("two".into(), vec![None; groups]),
                ],
                levels: vec![1.0],
                decimals: 2,
            };
            bars(&path, &plot).unwrap();
            let svg = std::fs::read_to_string(&path).unwrap();
            for group in 0..groups {
                assert!(svg.contains(&format!("group{group}")), "{groups} groups");
            }
            for text in ["A title", "things", "one", "two", "1.25"] {
                assert!(svg.contains(text), "{text} is missing");
            }
        }
    }

    #[test]
    fn latencies_name_their_percentiles() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("latencies.svg");
        let plot = Latencies {
            title: "A title",
            percentiles: vec!["p50", "p90", "p99", "p99.9", "longest"],
            series: vec![("writers".into(), vec![0.2, 0.5, 2.0, 8.0, 30.0])],
        };
        latencies(&path, &plot).unwrap();
        let svg = std::fs::read_to_string(&path).unwrap();
        for text in ["p50", "p90", "p99", "p99.9", "longest", "writers"] {
            assert!(svg.contains(text), "{text} is missing");
        }
    }
}
