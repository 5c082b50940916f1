//! The two-sample Kolmogorov-Smirnov test: whether two samples may come from one distribution.

/// The largest distance between the empirical distributions, and the probability of one as large by chance (asymptotic
/// series, with Stephens' correction for small samples).
pub fn two_samples(left: &[f64], right: &[f64]) -> (f64, f64) {
    let (left, right) = (sorted(left), sorted(right));
    let (mut i, mut j, mut distance) = (0, 0, 0.0_f64);
    while let (Some(a), Some(b)) = (left.get(i), right.get(j)) {
        let at = a.min(*b);
        while left.get(i).is_some_and(|value| *value <= at) {
            i += 1;
        }
        while right.get(j).is_some_and(|value| *value <= at) {
            j += 1;
        }
        distance = distance.max((share(i, left.len()) - share(j, right.len())).abs());
    }
    (distance, probability(distance, left.len(), right.len()))
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values
}

#[expect(clippy::cast_precision_loss, reason = "samples are few")]
fn share(count: usize, of: usize) -> f64 {
    count as f64 / of as f64
}

#[expect(clippy::cast_precision_loss, reason = "samples are few")]
fn probability(distance: f64, left: usize, right: usize) -> f64 {
    let (left, right) = (left as f64, right as f64);
    let size = (left * right / (left + right)).sqrt();
    let lambda = (size + 0.12 + 0.11 / size) * distance;
    if lambda < 0.2 {
        // The series does not converge there, and the answer is one.
        return 1.0;
    }
    let term = |k: i32| {
        let k = f64::from(k);
        (-2.0 * (k * lambda).powi(2)).exp()
    };
    let sum: f64 = (1..=100).map(|k| if k % 2 == 1 { term(k) } else { -term(k) }).sum();
    (2.0 * sum).clamp(0.0, 1.0)
}

/// The middle value.
pub fn median(values: &[f64]) -> f64 {
    let values = sorted(values);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(count: u32, shift: f64) -> Vec<f64> {
        (0..count).map(|number| f64::from(number) + shift).collect()
    }

    #[test]
    fn samples_of_one_distribution_pass_and_shifted_ones_do_not() {
        let (distance, p) = two_samples(&ramp(200, 0.0), &ramp(200, 0.5));
        assert!(distance < 0.01 && p > 0.99, "{distance} {p}");
        let (distance, p) = two_samples(&ramp(200, 0.0), &ramp(200, 60.0));
        assert!((distance - 0.3).abs() < 0.01 && p < 1e-6, "{distance} {p}");
    }

    #[test]
    fn a_known_value_is_reproduced() {
        // D = 0.136 at n = m = 200 is the critical value of the 5 percent level.
        let p = probability(0.136, 200, 200);
        assert!((0.04..0.055).contains(&p), "{p}");
    }

    #[test]
    fn equal_values_are_no_difference() {
        assert_eq!(two_samples(&[1.0; 50], &[1.0; 70]), (0.0, 1.0));
    }
}
