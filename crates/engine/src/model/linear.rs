//! A matrix of weights, packed once for the kernels, and its product with rows of activations.
//! It must not know which layer it belongs to.

use std::ops::Range;

use super::kernel::{Bf16Line, COLUMNS, F32Line, Isa, Line, Rows, Tile, Weights, ZERO_TILE, row_tiles};
use super::threads::Threads;

/// Steps of the sum taken for all rows before the next: so much of a panel and of a few rows fits the first cache.
const STEPS_AT_ONCE: usize = 512;
/// Rows of one task: their activations of [`STEPS_AT_ONCE`] steps stay in the second cache.
const ROWS_AT_ONCE: usize = 96;
/// Multiplications that are not worth waking another thread for.
const ALONE_MAX: usize = 128 * 1024;

/// Where the weights of a matrix come from, by output row and input column.
pub(crate) trait Source: Sync {
    /// The weights of one output, one for each input.
    fn copy_row(&self, output: usize, row: &mut [f32]);
}

/// `y = x Wᵀ + b`, `W` being `[outputs, inputs]`.
#[derive(Debug)]
pub(crate) struct Linear {
    panels: Panels,
    bias: Option<Vec<f32>>,
    inputs: usize,
    outputs: usize,
}

/// Weights in panels of 16 outputs, one panel after the other. The last one is filled up with zeros.
#[derive(Debug)]
enum Panels {
    F32(Vec<F32Line>),
    Bf16(Vec<Bf16Line>),
}

impl Linear {
    /// Packs the weights of `source`; as bf16 if `narrow`, which is exact if they were bf16 before.
    ///
    /// `inputs` must be even.
    pub(crate) fn pack(
        threads: &Threads,
        source: &impl Source,
        (outputs, inputs): (usize, usize),
        narrow: bool,
        bias: Option<Vec<f32>>,
    ) -> Self {
        let panels = if narrow {
            Panels::Bf16(pack(threads, source, outputs, inputs))
        } else {
            Panels::F32(pack(threads, source, outputs, inputs))
        };
        Self { panels, bias, inputs, outputs }
    }

    /// Values of a row of `x`.
    pub(crate) fn inputs(&self) -> usize {
        self.inputs
    }

    /// Values of a row of `y`.
    pub(crate) fn outputs(&self) -> usize {
        self.outputs
    }

    /// Bytes of memory that the weights take.
    pub(crate) fn bytes(&self) -> u64 {
        let lines = match &self.panels {
            Panels::F32(lines) => lines.len(),
            Panels::Bf16(lines) => lines.len(),
        };
        lines as u64 * 64
    }

    /// The weights of one output: what an embedding is. `row` takes [`Linear::inputs`] values.
    pub(crate) fn row(&self, output: usize, row: &mut [f32]) {
        match &self.panels {
            Panels::F32(lines) => copy_row(lines, self.inputs, output, row),
            Panels::Bf16(lines) => copy_row(lines, self.inputs, output, row),
        }
    }

    /// The product of `x`, `[rows, inputs]`, into `y`, `[rows, outputs]`.
    ///
    /// # Panics
    /// If the two have not the same number of whole rows.
    pub(crate) fn forward(&self, isa: Isa, threads: &Threads, x: &[f32], y: &mut [f32]) {
        let rows = x.len() / self.inputs;
        assert_eq!((x.len(), y.len()), (rows * self.inputs, rows * self.outputs), "rows of a product");
        match &self.panels {
            Panels::F32(lines) => self.product(isa, threads, lines, x, y),
            Panels::Bf16(lines) => self.product(isa, threads, lines, x, y),
        }
    }

    /// [`Linear::forward`] into a new buffer.
    pub(crate) fn apply(&self, isa: Isa, threads: &Threads, x: &[f32]) -> Vec<f32> {
        let mut y = vec![0.0; x.len() / self.inputs * self.outputs];
        self.forward(isa, threads, x, &mut y);
        y
    }

    fn product<L: Line>(&self, isa: Isa, threads: &Threads, lines: &[L], x: &[f32], y: &mut [f32]) {
        let rows = x.len() / self.inputs;
        if rows == 0 {
            return;
        }
        let blocks = rows.div_ceil(ROWS_AT_ONCE);
        let panels = self.outputs.div_ceil(COLUMNS);
        let alone = threads.count() == 1 || x.len() * self.outputs <= ALONE_MAX;
        let bands = if alone { 1 } else { (4 * threads.count()).div_ceil(blocks) };
        let band = panels.div_ceil(bands).next_multiple_of(4);
        let bands = panels.div_ceil(band);
        let mut tasks: Vec<Task<'_>> = (0..blocks * bands)
            .map(|number| Task {
                first_row: number / bands * ROWS_AT_ONCE,
                first_panel: number % bands * band,
                out: Vec::new(),
            })
            .collect();
        for (row, values) in y.chunks_mut(self.outputs).enumerate() {
            for (number, values) in values.chunks_mut(band * COLUMNS).enumerate() {
                if let Some(task) = tasks.get_mut(row / ROWS_AT_ONCE * bands + number) {
                    task.out.push(values);
                }
            }
        }
        threads.each(tasks, |task| self.task(isa, lines, x, task));
    }

    /// All sums of a task: the steps in parts, then panel by panel, then a few rows at a time.
    fn task<L: Line>(&self, isa: Isa, lines: &[L], x: &[f32], mut task: Task<'_>) {
        let rows = task.out.len();
        let columns = task.out.first().map_or(0, |row| row.len());
        let panels = columns.div_ceil(COLUMNS);
        let at_once = Isa::panels_at_once(rows);
        let steps = if row_tiles(rows).count() == 1 { self.inputs } else { STEPS_AT_ONCE };
        for first_step in (0..self.inputs).step_by(steps) {
            let end_step = (first_step + steps).min(self.inputs);
            let mut panel = 0;
            while panel < panels {
                let wide = if panel + at_once <= panels { at_once } else { 1 };
                let span = panel * COLUMNS..((panel + wide) * COLUMNS).min(columns);
                self.some_panels(isa, lines, x, &mut task, &Part { first_step, end_step, panel, wide, span });
                panel += wide;
            }
        }
    }

    /// The sums of all rows of a task for one part.
    fn some_panels<L: Line>(&self, isa: Isa, lines: &[L], x: &[f32], task: &mut Task<'_>, part: &Part) {
        let panel_lines = self.inputs / L::STEPS;
        let weights = Weights {
            segments: &[&lines[(task.first_panel + part.panel) * panel_lines..]],
            offset: part.first_step / L::STEPS,
            lines: (part.end_step - part.first_step) / L::STEPS,
            stride: 1,
            panel_stride: panel_lines,
        };
        for (row, count) in row_tiles(task.out.len()) {
            let from = (task.first_row + row) * self.inputs + part.first_step;
            let x = Rows { data: &x[from..], stride: self.inputs };
            let out = &mut task.out[row..row + count];
            let mut tile = ZERO_TILE;
            if part.first_step > 0 {
                take(&mut tile, out, part.span.clone());
            }
            isa.multiply(count, part.wide, &mut tile, x, &weights);
            put(&tile, out, part.span.clone());
            if part.end_step == self.inputs {
                self.add_bias(out, task.first_panel * COLUMNS, part.span.clone());
            }
        }
    }

    fn add_bias(&self, out: &mut [&mut [f32]], first_column: usize, span: Range<usize>) {
        let Some(bias) = &self.bias else { return };
        let bias = &bias[first_column + span.start..first_column + span.end];
        for row in out {
            for (value, bias) in row[span.clone()].iter_mut().zip(bias) {
                *value += bias;
            }
        }
    }
}

/// A block of rows and a band of panels, with the part of each row of `y` that it fills.
struct Task<'a> {
    first_row: usize,
    first_panel: usize,
    out: Vec<&'a mut [f32]>,
}

/// Some steps of the sums of some panels of a task.
struct Part {
    first_step: usize,
    end_step: usize,
    /// The first panel, counted within the task.
    panel: usize,
    /// How many panels.
    wide: usize,
    /// The columns of these panels, counted within the task.
    span: Range<usize>,
}

fn take(tile: &mut Tile, out: &[&mut [f32]], span: Range<usize>) {
    for (sums, row) in tile.iter_mut().zip(out) {
        sums[..span.len()].copy_from_slice(&row[span.clone()]);
    }
}

fn put(tile: &Tile, out: &mut [&mut [f32]], span: Range<usize>) {
    for (sums, row) in tile.iter().zip(out) {
        row[span.clone()].copy_from_slice(&sums[..span.len()]);
    }
}

fn pack<L: Line>(threads: &Threads, source: &impl Source, outputs: usize, inputs: usize) -> Vec<L> {
    let lines = inputs / L::STEPS;
    let mut packed = vec![L::default(); outputs.div_ceil(COLUMNS) * lines];
    threads.rows(&mut packed, lines, |panel, lines| {
        let mut row = vec![0.0; inputs];
        for column in 0..COLUMNS.min(outputs - panel * COLUMNS) {
            source.copy_row(panel * COLUMNS + column, &mut row);
            for (line, weights) in lines.iter_mut().zip(row.chunks_exact(L::STEPS)) {
                for (step, weight) in weights.iter().enumerate() {
                    line.set(column, step, *weight);
                }
            }
        }
    });
    packed
}

fn copy_row<L: Line>(lines: &[L], inputs: usize, output: usize, row: &mut [f32]) {
    let lines_per_panel = inputs / L::STEPS;
    let first = output / COLUMNS * lines_per_panel;
    for (line, values) in lines[first..first + lines_per_panel].iter().zip(row.chunks_mut(L::STEPS)) {
        for (step, value) in values.iter_mut().enumerate() {
            *value = line.get(output % COLUMNS, step);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;

    struct Waves;

    impl Waves {
        fn weight(&self, output: usize, input: usize) -> f32 {
            half::bf16::from_f32(((output * 31 + input * 17) % 101) as f32 / 50.0 - 1.0).to_f32()
        }
    }

    impl Source for Waves {
        fn copy_row(&self, output: usize, row: &mut [f32]) {
            row.iter_mut().enumerate().for_each(|(input, weight)| *weight = self.weight(output, input));
        }
    }

    fn pool(threads: usize) -> Threads {
        Threads::new(NonZeroUsize::new(threads)).unwrap()
    }

    fn activations(rows: usize, inputs: usize) -> Vec<f32> {
        (0..rows * inputs).map(|at| ((at * 7 + at / 13) % 23) as f32 / 11.0 - 1.0).collect()
    }

    #[test]
    fn products_are_right_for_every_shape() {
        for (outputs, inputs) in [(16, 2), (40, 30), (7, 600), (200, 1034)] {
            let bias: Vec<f32> = (0..outputs).map(|output| output as f32).collect();
            for rows in [1, 2, 3, 7, 97] {
                let x = activations(rows, inputs);
                let linear = Linear::pack(&pool(2), &Waves, (outputs, inputs), true, Some(bias.clone()));
                let y = linear.apply(Isa::detect(), &pool(2), &x);
                for (row, output) in (0..rows).flat_map(|row| (0..outputs).map(move |output| (row, output))) {
                    let x = &x[row * inputs..(row + 1) * inputs];
                    let products =
                        x.iter().enumerate().map(|(i, x)| f64::from(*x) * f64::from(Waves.weight(output, i)));
                    let expected = products.sum::<f64>() + f64::from(bias[output]);
                    let found = f64::from(y[row * outputs + output]);
                    assert!((found - expected).abs() < 2e-4, "{outputs}x{inputs} {row} {output}: {found} {expected}");
                }
            }
        }
    }

    /// The promise of the engine: a row's bits depend on nothing but the row.
    #[test]
    fn a_row_has_the_same_bits_in_any_company() {
        let (outputs, inputs, rows) = (216, 1100, 200);
        let x = activations(rows, inputs);
        for isa in [Isa::PORTABLE, Isa::detect()] {
            let wide = Linear::pack(&pool(1), &Waves, (outputs, inputs), false, None);
            let narrow = Linear::pack(&pool(3), &Waves, (outputs, inputs), true, None);
            let all = narrow.apply(isa, &pool(1), &x);
            assert_eq!(all, narrow.apply(isa, &pool(3), &x));
            assert_eq!(all, wide.apply(isa, &pool(2), &x));
            for (first, count) in [(0, 1), (199, 1), (5, 2), (60, 3), (90, 13), (40, 120)] {
                let part = narrow.apply(isa, &pool(2), &x[first * inputs..(first + count) * inputs]);
                assert_eq!(part, all[first * outputs..(first + count) * outputs], "{first} {count}");
            }
        }
    }

    #[test]
    fn a_row_of_weights_comes_back() {
        for narrow in [true, false] {
            let linear = Linear::pack(&pool(1), &Waves, (40, 30), narrow, None);
            for output in [0, 15, 16, 39] {
                let mut row = vec![0.0; 30];
                linear.row(output, &mut row);
                assert!(row.iter().enumerate().all(|(input, value)| *value == Waves.weight(output, input)));
            }
        }
    }
}
