//! The raw results, kept in `docs/benchmarks.json`, and what is computed from them: medians and ratios.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::{Error, Result, doing};
use super::job::Figures;
use super::machine::Machine;

/// Everything measured, by section.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) sections: BTreeMap<String, Section>,
}

/// What one command measured.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Section {
    pub(crate) machine: Machine,
    /// The command that measured it.
    pub(crate) command: String,
    /// Measured with tiny sizes, to see that everything works: the figures mean nothing.
    pub(crate) quick: bool,
    pub(crate) runs: usize,
    /// Number of pairs and the like.
    pub(crate) sizes: BTreeMap<String, f64>,
    /// What a reader must know, such as what was skipped and why.
    pub(crate) notes: Vec<String>,
    pub(crate) samples: Vec<Sample>,
}

/// Figures of one subject in one run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Sample {
    pub(crate) run: usize,
    pub(crate) subject: String,
    pub(crate) figures: Figures,
}

impl Sample {
    pub(crate) fn new(run: usize, subject: &str, figures: Figures) -> Self {
        Self {
            run,
            subject: subject.to_owned(),
            figures,
        }
    }
}

/// The median of some runs, and how far apart they were.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Spread {
    /// `None` without values.
    pub(crate) fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (&least, &most) = (values.first()?, values.last()?);
        let middle = values.len() / 2;
        let median = match values.len().is_multiple_of(2) {
            true => f64::midpoint(values[middle - 1], values[middle]),
            false => values[middle],
        };
        Some(Self {
            median,
            least,
            most,
        })
    }

    /// All three through `f`.
    pub(crate) fn map(self, f: impl Fn(f64) -> f64) -> Self {
        Self {
            median: f(self.median),
            least: f(self.least),
            most: f(self.most),
        }
    }
}

/// The smallest of the sorted values that `share` of them do not exceed.
pub(crate) fn percentile(sorted: &[f64], share: f64) -> Option<f64> {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

impl Section {
    /// Records a size.
    pub(crate) fn set(&mut self, name: &str, value: f64) {
        self.sizes.insert(name.to_owned(), value);
    }

    /// A size; 0 if it was not recorded.
    pub(crate) fn size(&self, name: &str) -> f64 {
        self.sizes.get(name).copied().unwrap_or_default()
    }

    /// Records something that a reader must know.
    pub(crate) fn note(&mut self, text: &str) {
        eprintln!("bench: {text}");
        self.notes.push(text.to_owned());
    }

    /// The values of a figure by run.
    fn values(&self, subject: &str, figure: &str) -> BTreeMap<usize, f64> {
        self.samples
            .iter()
            .filter(|sample| sample.subject == subject)
            .filter_map(|sample| Some((sample.run, *sample.figures.get(figure)?)))
            .collect()
    }

    /// A figure over all runs.
    pub(crate) fn spread(&self, subject: &str, figure: &str) -> Option<Spread> {
        Spread::of(self.values(subject, figure).into_values().collect())
    }

    /// `ours` divided by the largest of `others`, run by run: what disturbed both sides of a run does not count.
    pub(crate) fn ratio(&self, ours: (&str, &str), others: &[(&str, &str)]) -> Option<Spread> {
        let others: Vec<_> = others
            .iter()
            .map(|(subject, figure)| self.values(subject, figure))
            .collect();
        let ratios = self
            .values(ours.0, ours.1)
            .into_iter()
            .filter_map(|(run, ours)| {
                let best = others
                    .iter()
                    .filter_map(|values| values.get(&run))
                    .copied()
                    .reduce(f64::max)?;
                Some(ours / best)
            });
        Spread::of(ratios.collect())
    }
}

impl Report {
    /// Reads what was measured before; nothing if the file is not there.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        if !path.exists() {
            return Ok(Self::default());
        }
        let text = std::fs::read(path).map_err(doing("read the results"))?;
        serde_json::from_slice(&text).map_err(|source| Error::Json {
            what: "the results measured before".into(),
            source,
        })
    }

    /// The results of before in the file `name` of `folder`, and where they are.
    pub(crate) fn beside(folder: &Path, name: &str) -> Result<(Self, PathBuf)> {
        let path = folder.join(name);
        Ok((Self::read(&path)?, path))
    }

    /// Writes everything measured.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self).map_err(|source| Error::Json {
            what: "the results".into(),
            source,
        })?;
        text.push('\n');
        std::fs::write(path, text).map_err(doing("write the results"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle_of_odd_and_even_counts() {
        let median = |values: &[f64]| Spread::of(values.to_vec()).map(|spread| spread.median);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        let values: Vec<_> = (1..=100).map(f64::from).collect();
        assert_eq!(percentile(&values, 0.99), Some(99.0));
        assert_eq!(percentile(&values, 0.5), Some(50.0));
        assert_eq!(percentile(&[7.0], 0.001), Some(7.0));
        assert_eq!(percentile(&[], 0.5), None);
    }

    #[test]
    fn a_ratio_pairs_runs_and_takes_the_best_of_the_others() {
        let mut section = Section::default();
        let mut add = |run, subject, value| {
            let figures = Figures::from([("x".to_owned(), value)]);
            section.samples.push(Sample::new(run, subject, figures));
        };
        // The second run was disturbed: everything took twice as long, which no ratio may show.
        for (run, scale) in [(0, 1.0), (1, 0.5), (2, 1.0)] {
            add(run, "ours", 300.0 * scale);
            add(run, "a", 100.0 * scale);
            add(run, "b", 150.0 * scale);
        }
        // A run without its other half does not count.
        add(3, "ours", 1.0);
        let ratio = section.ratio(("ours", "x"), &[("a", "x"), ("b", "x")]);
        let two = Spread {
            median: 2.0,
            least: 2.0,
            most: 2.0,
        };
        assert_eq!(ratio, Some(two));
        assert_eq!(section.ratio(("ours", "x"), &[("c", "x")]), None);
    }
}
