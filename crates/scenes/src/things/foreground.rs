//! Workers and cones. It must not know where they stand.

use crate::canvas::{Canvas, Rgb, shade};

/// A worker whose feet are `at`, `height` units tall.
pub(crate) fn worker(canvas: &mut Canvas, at: [f64; 2], height: f64, helmet: Rgb, overalls: Rgb) {
    let unit = height / 100.0;
    let place = |x: f64, y: f64| [at[0] + x * unit, at[1] - y * unit];
    for [left, right] in [[-13.0, -2.0], [2.0, 13.0]] {
        canvas.rect(place(left, 40.0), place(right, 0.0), shade(overalls, 0.8));
    }
    canvas.rect(place(-16.0, 72.0), place(16.0, 38.0), overalls);
    for side in [-1.0, 1.0] {
        canvas.bar(place(side * 16.0, 68.0), place(side * 26.0, 42.0), 8.0 * unit, overalls);
    }
    // The band that reflects, then the head.
    canvas.rect(place(-16.0, 58.0), place(16.0, 53.0), [226, 226, 190]);
    canvas.ellipse(place(0.0, 80.0), [10.0 * unit, 11.0 * unit], [222, 180, 146]);
    let shell = [[-15.0, 84.0], [-13.0, 94.0], [-6.0, 101.0], [6.0, 101.0], [13.0, 94.0], [15.0, 84.0]];
    canvas.polygon(&shell.map(|[x, y]| place(x, y)), helmet);
    canvas.rect(place(-18.0, 87.0), place(18.0, 83.0), shade(helmet, 0.9));
}

/// A cone whose foot is `at`, `height` units tall.
pub(crate) fn cone(canvas: &mut Canvas, at: [f64; 2], height: f64) {
    let unit = height / 100.0;
    let place = |x: f64, y: f64| [at[0] + x * unit, at[1] - y * unit];
    canvas.rect(place(-36.0, 12.0), place(36.0, 0.0), [200, 80, 20]);
    let body = [[-28.0, 12.0], [-6.0, 100.0], [6.0, 100.0], [28.0, 12.0]];
    canvas.polygon(&body.map(|[x, y]| place(x, y)), [244, 104, 24]);
    let band = [[-20.0, 42.0], [-14.0, 68.0], [14.0, 68.0], [20.0, 42.0]];
    canvas.polygon(&band.map(|[x, y]| place(x, y)), [245, 245, 245]);
}
