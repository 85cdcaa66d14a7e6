//! The kernels against sums in f64, and against each other to the bit.

use super::*;

/// A fixed scatter in [-1, 1).
fn scatter(seed: usize, count: usize) -> Vec<f32> {
    let mut state = seed as u64 * 2_654_435_761 + 12345;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn bf16(value: f32) -> f32 {
    half::bf16::from_f32(value).to_f32()
}

/// `panels` panels of `steps` steps, one after the other.
fn pack<L: Line>(weights: &[f32], panels: usize, steps: usize) -> Vec<L> {
    let lines = steps / L::STEPS;
    let mut packed = vec![L::default(); panels * lines];
    for panel in 0..panels {
        for column in 0..COLUMNS {
            for step in 0..steps {
                let value = weights[(panel * COLUMNS + column) * steps + step];
                packed[panel * lines + step / L::STEPS].set(column, step % L::STEPS, value);
            }
        }
    }
    packed
}

fn paths() -> Vec<Isa> {
    let mut paths = vec![Isa::PORTABLE];
    if Isa::detect() != Isa::PORTABLE {
        paths.push(Isa::detect());
    }
    paths
}

fn product<L: Line>(isa: Isa, rows: usize, panels: usize, steps: usize, x: &[f32], w: &[L]) -> Tile {
    let mut tile = ZERO_TILE;
    let weights =
        Weights { segments: &[w], offset: 0, lines: steps / L::STEPS, stride: 1, panel_stride: steps / L::STEPS };
    isa.multiply(rows, panels, &mut tile, Rows { data: x, stride: steps }, &weights);
    tile
}

#[test]
fn sums_are_right_and_do_not_depend_on_what_else_is_computed() {
    let steps = 46;
    let x = scatter(1, ROWS_MAX * steps);
    let w: Vec<f32> = scatter(2, PANELS_MAX * COLUMNS * steps).into_iter().map(bf16).collect();
    let (wide, narrow) = (pack::<F32Line>(&w, PANELS_MAX, steps), pack::<Bf16Line>(&w, PANELS_MAX, steps));
    for isa in paths() {
        for row in 0..ROWS_MAX {
            let alone = product(isa, 1, 4, steps, &x[row * steps..], &narrow);
            for column in 0..PANELS_MAX * COLUMNS {
                let pairs = x[row * steps..].iter().zip(&w[column * steps..(column + 1) * steps]);
                let exact: f64 = pairs.map(|(x, w)| f64::from(*x) * f64::from(*w)).sum();
                assert!((f64::from(alone[0][column]) - exact).abs() < 1e-5, "{}", isa.name());
            }
            for rows in row + 1..=ROWS_MAX {
                let shapes = if Isa::panels_at_once(rows) == 1 { vec![1] } else { vec![1, Isa::panels_at_once(rows)] };
                for panels in shapes {
                    for tile in
                        [product(isa, rows, panels, steps, &x, &narrow), product(isa, rows, panels, steps, &x, &wide)]
                    {
                        let bits = |values: &[f32]| values[..panels * COLUMNS].iter().map(|v| v.to_bits()).collect();
                        let (found, expected): (Vec<u32>, Vec<u32>) = (bits(&tile[row]), bits(&alone[0]));
                        assert_eq!(found, expected, "{} {rows} rows, {panels} panels", isa.name());
                    }
                }
            }
        }
    }
}

#[test]
fn a_sum_can_be_cut_anywhere() {
    let steps = 64;
    let x = scatter(3, 2 * steps);
    let w = pack::<Bf16Line>(&scatter(4, COLUMNS * steps), 1, steps);
    for isa in paths() {
        let whole = product(isa, 2, 1, steps, &x, &w);
        for cut in [2, 20, 62] {
            let mut tile = ZERO_TILE;
            for (from, to) in [(0, cut), (cut, steps)] {
                let segments = [&w[from / 2..to / 2]];
                let part =
                    Weights { segments: &segments, offset: 0, lines: (to - from) / 2, stride: 1, panel_stride: 0 };
                isa.multiply(2, 1, &mut tile, Rows { data: &x[from..], stride: steps }, &part);
            }
            assert_eq!(tile, whole);
        }
        // The same sum from two segments in one call.
        let mut tile = ZERO_TILE;
        let segments = [&w[..16], &w[16..]];
        let both = Weights { segments: &segments, offset: 0, lines: 16, stride: 1, panel_stride: 0 };
        isa.multiply(2, 1, &mut tile, Rows { data: &x, stride: steps }, &both);
        assert_eq!(tile, whole);
    }
}

#[test]
fn a_softmax_by_groups_is_the_softmax() {
    let scores = scatter(5, 80);
    for isa in paths() {
        for valid in [1usize, 15, 16, 17, 40, 79] {
            let mut state = RowState::EMPTY;
            let mut weights = Vec::new();
            for (number, group) in scores.chunks(32).enumerate() {
                let mut group = group.to_vec();
                let factor = isa.weigh(&mut state, &mut group, valid.saturating_sub(number * 32), 3.0);
                weights.iter_mut().for_each(|weight| *weight *= factor);
                weights.extend(group);
            }
            let exact: Vec<f64> = scores[..valid].iter().map(|score| (f64::from(*score) * 3.0).exp()).collect();
            let total: f64 = exact.iter().sum();
            for (key, weight) in weights.iter().enumerate() {
                let expected = exact.get(key).map_or(0.0, |weight| weight / total);
                let found = f64::from(*weight / state.total());
                assert!((found - expected).abs() < 1e-6, "{valid} {key} {found} {expected}");
                assert!(key < valid || *weight == 0.0);
            }
        }
    }
}

#[test]
fn rows_are_shared_out_evenly() {
    let check = |rows, expected: &[(usize, usize)]| assert_eq!(row_tiles(rows).collect::<Vec<_>>(), expected);
    check(0, &[]);
    check(1, &[(0, 1)]);
    check(6, &[(0, 6)]);
    check(7, &[(0, 3), (3, 4)]);
    check(21, &[(0, 5), (5, 5), (10, 5), (15, 6)]);
}
