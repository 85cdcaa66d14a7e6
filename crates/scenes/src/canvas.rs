//! What things are drawn with: four shapes in the units of a scene, with smooth edges, and the box around what
//! was drawn. A unit is the side of a pixel where a picture has 1080×810 of them; a picture of any other size has
//! about the same area in units. It must not know what is drawn.

use engine::pixels::RgbImage;
use tiny_skia::{FillRule, Paint, Path, PathBuilder, Pixmap, Rect, Transform};

/// Red, green, blue.
pub(crate) type Rgb = [u8; 3];

/// The area of a scene, in square units.
const AREA: f64 = 1080.0 * 810.0;

/// A box in units, or in pixels where it says so: left, top, right, bottom.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// The left edge.
    pub left: f64,
    /// The upper edge.
    pub top: f64,
    /// The right edge.
    pub right: f64,
    /// The lower edge.
    pub bottom: f64,
}

impl Bounds {
    const EMPTY: Self =
        Self { left: f64::INFINITY, top: f64::INFINITY, right: f64::NEG_INFINITY, bottom: f64::NEG_INFINITY };

    fn around(&mut self, [x, y]: [f64; 2]) {
        self.left = self.left.min(x);
        self.right = self.right.max(x);
        self.top = self.top.min(y);
        self.bottom = self.bottom.max(y);
    }

    /// The part that both have; its width or height is not over 0 where there is none.
    pub(crate) fn within(self, other: Self) -> Self {
        Self {
            left: self.left.max(other.left),
            top: self.top.max(other.top),
            right: self.right.min(other.right),
            bottom: self.bottom.min(other.bottom),
        }
    }

    /// Moved, then stretched by a factor of each direction.
    pub(crate) fn moved_and_scaled(self, (dx, dy): (f64, f64), (fx, fy): (f64, f64)) -> Self {
        Self {
            left: (self.left + dx) * fx,
            top: (self.top + dy) * fy,
            right: (self.right + dx) * fx,
            bottom: (self.bottom + dy) * fy,
        }
    }

    /// Width times height, 0 where there is none.
    pub(crate) fn area(self) -> f64 {
        (self.right - self.left).max(0.0) * (self.bottom - self.top).max(0.0)
    }
}

/// A picture that is being drawn.
pub(crate) struct Canvas {
    pixmap: Pixmap,
    /// Pixels of a unit.
    scale: f64,
    /// Width and height in units.
    pub(crate) width: f64,
    pub(crate) height: f64,
    drawn: Bounds,
}

impl Canvas {
    /// A black canvas of this many pixels; `None` where a side is 0 or the whole is beyond what can be addressed.
    pub(crate) fn new(width: u32, height: u32) -> Option<Self> {
        let mut pixmap = Pixmap::new(width, height)?;
        pixmap.fill(tiny_skia::Color::BLACK);
        let scale = (f64::from(width) * f64::from(height) / AREA).sqrt();
        let (width, height) = (f64::from(width) / scale, f64::from(height) / scale);
        Some(Self { pixmap, scale, width, height, drawn: Bounds::EMPTY })
    }

    /// Pixels of a unit.
    pub(crate) fn scale(&self) -> f64 {
        self.scale
    }

    /// The box around everything since the last call, within the picture, in units.
    pub(crate) fn take_bounds(&mut self) -> Bounds {
        let whole = Bounds { left: 0.0, top: 0.0, right: self.width, bottom: self.height };
        std::mem::replace(&mut self.drawn, Bounds::EMPTY).within(whole)
    }

    /// A box between two corners.
    pub(crate) fn rect(&mut self, [x0, y0]: [f64; 2], [x1, y1]: [f64; 2], colour: Rgb) {
        self.polygon(&[[x0, y0], [x1, y0], [x1, y1], [x0, y1]], colour);
    }

    /// The inside of a line through `corners` and back.
    pub(crate) fn polygon(&mut self, corners: &[[f64; 2]], colour: Rgb) {
        let mut path = PathBuilder::new();
        for (place, corner) in corners.iter().enumerate() {
            self.drawn.around(*corner);
            let [x, y] = corner.map(|v| (v * self.scale) as f32);
            if place == 0 { path.move_to(x, y) } else { path.line_to(x, y) }
        }
        path.close();
        self.fill(path.finish(), colour);
    }

    /// An ellipse with half its width and height.
    pub(crate) fn ellipse(&mut self, [x, y]: [f64; 2], [rx, ry]: [f64; 2], colour: Rgb) {
        self.drawn.around([x - rx, y - ry]);
        self.drawn.around([x + rx, y + ry]);
        let side = |v: f64| (v * self.scale) as f32;
        let around = Rect::from_ltrb(side(x - rx), side(y - ry), side(x + rx), side(y + ry));
        self.fill(around.and_then(PathBuilder::from_oval), colour);
    }

    /// A line as thick as `thickness`, with straight ends.
    pub(crate) fn bar(&mut self, from: [f64; 2], to: [f64; 2], thickness: f64, colour: Rgb) {
        let (dx, dy) = (to[0] - from[0], to[1] - from[1]);
        let length = (dx * dx + dy * dy).sqrt().max(1e-6);
        let (px, py) = (-dy / length * thickness / 2.0, dx / length * thickness / 2.0);
        let corners = [
            [from[0] + px, from[1] + py],
            [to[0] + px, to[1] + py],
            [to[0] - px, to[1] - py],
            [from[0] - px, from[1] - py],
        ];
        self.polygon(&corners, colour);
    }

    /// The picture.
    pub(crate) fn into_image(self) -> RgbImage {
        let (width, height) = (self.pixmap.width(), self.pixmap.height());
        let pixels = self.pixmap.data().as_chunks::<4>().0.iter().flat_map(|[r, g, b, _]| [*r, *g, *b]).collect();
        RgbImage { width, height, pixels }
    }

    /// Fills a path; one without an inside is left out.
    fn fill(&mut self, path: Option<Path>, [red, green, blue]: Rgb) {
        let mut paint = Paint::default();
        paint.set_color_rgba8(red, green, blue, 255);
        if let Some(path) = path {
            self.pixmap.fill_path(&path, &paint, FillRule::Winding, Transform::identity(), None);
        }
    }
}

/// A colour made lighter (over 1) or darker.
pub(crate) fn shade(colour: Rgb, factor: f64) -> Rgb {
    // A cast cuts toward 0 and stops at 0 and 255.
    colour.map(|level| (f64::from(level) * factor) as u8)
}
