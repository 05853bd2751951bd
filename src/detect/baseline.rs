//! What is usual for a host, learnt in bounded memory and hard to move: median and median absolute deviation.
//!
//! P. J. Rousseeuw and C. Croux, "Alternatives to the Median Absolute Deviation" (1993): half of what was seen can be
//! wild without moving either far. After the first windows only every sixteenth is kept, so that what is usual changes over
//! days: who raises the rate slowly is compared with what it was, not with what it was a moment ago.

/// Figures of the windows kept, in the order they came.
#[derive(Clone, Debug)]
pub struct Baseline<const N: usize> {
    kept: Vec<[u64; N]>,
    seen: u64,
}

impl<const N: usize> Default for Baseline<N> {
    fn default() -> Self {
        Self { kept: Vec::new(), seen: 0 }
    }
}

/// What is usual of one figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usual {
    pub median: u64,
    /// An estimate of the standard deviation: 1.4826 times the median absolute deviation, at least a tenth of the
    /// median, and at least 1.
    pub deviation: f64,
    /// Of how many windows.
    pub windows: usize,
}

impl<const N: usize> Baseline<N> {
    /// Takes the figures of a window that has passed; keeps at most `most`.
    pub fn learn(&mut self, figures: [u64; N], learn: usize, most: usize) {
        self.seen = self.seen.saturating_add(1);
        if self.kept.len() >= learn && !self.seen.is_multiple_of(THIN) {
            return;
        }
        if self.kept.len() >= most.max(1) {
            self.kept.remove(0);
        }
        self.kept.push(figures);
    }

    /// What is usual of figure `at`; none before `learn` windows are known.
    pub fn usual(&self, at: usize, learn: usize) -> Option<Usual> {
        if self.kept.len() < learn.max(1) {
            return None;
        }
        let mut values: Vec<u64> = self.kept.iter().filter_map(|figures| figures.get(at).copied()).collect();
        let middle = median(&mut values);
        let mut distances: Vec<u64> = values.iter().map(|value| value.abs_diff(middle)).collect();
        let deviation = (1.4826 * median(&mut distances) as f64).max(middle as f64 / 10.0).max(1.0);
        Some(Usual { median: middle, deviation, windows: self.kept.len() })
    }

    /// Windows kept.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }
}

/// The upper median; 0 of nothing.
fn median(values: &mut [u64]) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Of the windows after the first, one in so many is kept.
const THIN: u64 = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn wild_windows_do_not_move_it() {
        let mut baseline = Baseline::<1>::default();
        for figure in [5, 6, 4, 5, 1_000, 5, 6, 900, 4, 5, 5, 800] {
            baseline.learn([figure], 12, 24);
        }
        // Sorted: 4 4 5 5 5 5 5 6 6 800 900 1000; distances from 5: 0 0 0 0 0 1 1 1 1 795 895 995.
        assert_eq!(baseline.usual(0, 12), Some(Usual { median: 5, deviation: 1.4826, windows: 12 }));
        assert_eq!(baseline.usual(0, 13), None);
        assert_eq!(baseline.usual(7, 12).unwrap().median, 0, "no such figure");
    }

    proptest! {
        #[test]
        fn stays_within_its_bound(figures in prop::collection::vec(any::<u64>(), 0..300), learn in 0_usize..20) {
            let mut baseline = Baseline::<1>::default();
            for figure in figures {
                baseline.learn([figure], learn, 24);
                prop_assert!(baseline.len() <= 24);
            }
            if let Some(usual) = baseline.usual(0, learn) {
                prop_assert!(usual.deviation >= 1.0 && usual.deviation.is_finite());
            }
        }
    }
}
