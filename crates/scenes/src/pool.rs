//! A training pool: scenes at the size at which the small model sees them, with everything that can be said of them, in
//! files that a trainer reads in order. It must not know how a model is trained.

use std::fs;
use std::io::{BufWriter, ErrorKind, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use engine::pixels::{RgbImage, resize};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::dice::{Dice, Purpose};
use crate::mark::{Atom, CELL, Mark, cells};
use crate::words::{Language, NO_IMAGE, Question, SYSTEMS, describe, describing, questions};
use crate::{Border, Error, Facts, Split, View, draw};

/// The file that says what the others hold.
pub const HEAD: &str = "pool.json";
/// Version of a pool: it rises when what a shard holds means something else, as when new things are marked.
const VERSION: u32 = 2;
/// How the name of a shard's lines ends.
const LINES: &str = "jsonl";
/// Pictures of a shard.
pub const SHARD: u64 = 4096;
/// Consecutive pictures of one size, so that a trainer takes them together.
const BLOCK: u64 = 32;
/// Limits on the pixels of a picture at the model's size, those of its `preprocessor_config.json`.
const PIXELS_MIN: u64 = 3136;
const PIXELS_MAX: u64 = 40_000;
/// Pixels of a picture as it is drawn, before it is shrunk: enough for its details, and quickly drawn.
const DRAWN_PIXELS: f64 = 448.0 * 336.0;
/// Widths and heights, and how often each is.
const ASPECTS: [(f64, f64); 7] = [(4.0, 3.0), (16.0, 9.0), (3.0, 2.0), (1.0, 1.0), (5.0, 4.0), (2.0, 1.0), (3.0, 4.0)];
const ASPECT_PARTS: [f64; 7] = [0.55, 0.09, 0.09, 0.09, 0.06, 0.06, 0.06];

/// One picture of a pool.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// The seed of its scene.
    pub seed: u64,
    /// Pixels at the model's size.
    pub width: u32,
    /// Pixels at the model's size.
    pub height: u32,
    /// What is on it.
    pub facts: Facts,
    /// For each cell of 28×28 pixels, row by row, the numbers of what it shows.
    pub cells: Vec<Vec<usize>>,
    /// A request for a description and the description, in both languages.
    pub descriptions: Vec<Question>,
    /// Short questions in both languages.
    pub questions: Vec<Question>,
}

/// Writes `pool.json` and then `shards` shards of [`SHARD`] pictures from number `first` on into `folder`, each under a
/// temporary name until it is whole; a shard of these scenes that is there is left as it is. `written` is called with the
/// number of each picture that is done.
///
/// # Errors
/// [`Error::OtherPool`] where the folder is a pool of other scenes, [`Error::Write`] where a file cannot be read or written.
pub fn write(folder: &Path, split: Split, first: u64, shards: u64, written: &mut dyn FnMut(u64)) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(failed(folder))?;
    let asked = Origin { split, first };
    check_folder(folder, asked, shards)?;
    let [chinese, english] = NO_IMAGE;
    let names: Vec<String> = Atom::all().into_iter().map(Atom::name).collect();
    let head = json!({
        "version": VERSION, "split": split, "first": first, "atoms": names, "systems": SYSTEMS,
        "no_image": {"zh": chinese, "en": english}, "shard": SHARD,
    });
    put(&folder.join(HEAD), |file| writeln!(file, "{head}"))?;
    for shard in 0..shards {
        write_shard(folder, shard, split, first + shard * SHARD..first + (shard + 1) * SHARD, written)?;
    }
    Ok(())
}

/// Which scenes a pool is made of: its shards have the same names whatever they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Origin {
    /// Of which kind.
    pub split: Split,
    /// Number of the first one.
    pub first: u64,
}

/// Refuses a folder whose shards are of other scenes, or of scenes that nobody knows.
fn check_folder(folder: &Path, asked: Origin, shards: u64) -> Result<(), Error> {
    let head = folder.join(HEAD);
    let there = match fs::read(&head) {
        Ok(bytes) => {
            let head: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
            (head["version"] == VERSION).then(|| Origin::deserialize(&head).ok()).flatten()
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let is_empty = !(0..shards).any(|shard| shard_file(folder, shard, LINES).exists());
            is_empty.then_some(asked)
        }
        Err(error) => return Err(failed(&head)(error)),
    };
    if there == Some(asked) { Ok(()) } else { Err(Error::OtherPool { path: folder.to_owned(), there, asked }) }
}

fn shard_file(folder: &Path, shard: u64, ending: &str) -> PathBuf {
    folder.join(format!("shard-{shard:05}.{ending}"))
}

/// The pictures first, then their lines: where those are, the shard is whole.
fn write_shard(
    folder: &Path,
    shard: u64,
    split: Split,
    numbers: Range<u64>,
    written: &mut dyn FnMut(u64),
) -> Result<(), Error> {
    let name = |ending: &str| shard_file(folder, shard, ending);
    if name(LINES).exists() {
        return Ok(());
    }
    let mut lines = Vec::new();
    let mut drawn = Ok(());
    put(&name("rgb"), |file| {
        for number in numbers {
            let (image, entry) = match entry(split, number) {
                Ok(made) => made,
                Err(error) => {
                    drawn = Err(error);
                    return Err(ErrorKind::InvalidInput.into());
                }
            };
            file.write_all(&image.pixels)?;
            serde_json::to_writer(&mut lines, &entry)?;
            lines.push(b'\n');
            written(number);
        }
        Ok(())
    })
    .or_else(|error| drawn.and(Err(error)))?;
    put(&name(LINES), |file| file.write_all(&lines))
}

/// Picture number `number` of a pool.
///
/// # Errors
/// None is known; see [`draw`].
pub fn entry(split: Split, number: u64) -> Result<(RgbImage, Entry), Error> {
    let seed = split.seed(number);
    let facts = Facts::of(seed);
    let dice = &mut Dice::new(seed, Purpose::Pool);
    let drawing = draw(&facts, seed, &view(dice, aspect(split, number)))?;
    let drawn = &drawing.image;
    let (height, width) = geometry::smart_resize(drawn.height, drawn.width, CELL, PIXELS_MIN, PIXELS_MAX)?;
    let factors = (f64::from(width) / f64::from(drawn.width), f64::from(height) / f64::from(drawn.height));
    let scaled = |mark: Mark| Mark { bounds: mark.bounds.moved_and_scaled((0.0, 0.0), factors), ..mark };
    let marks: Vec<Mark> = drawing.marks.into_iter().map(scaled).collect();
    let description = |language| {
        let prompt = describing(dice, language);
        // Always the same first sentence: of several that are equally likely, each implementation would say its own.
        Question { language, prompt, answer: describe(&facts, language, None) }
    };
    let descriptions = Language::ALL.map(description).to_vec();
    let entry = Entry {
        seed,
        width,
        height,
        cells: cells(&marks, width, height),
        descriptions,
        questions: questions(&facts, seed),
        facts,
    };
    Ok((resize(&drawing.image, width, height), entry))
}

/// Width and height to each other, the same in all pictures of a block.
fn aspect(split: Split, number: u64) -> (f64, f64) {
    let block = number - number % BLOCK;
    ASPECTS[Dice::new(split.seed(block), Purpose::Block).weighted(ASPECT_PARTS)]
}

/// How a picture is seen: two thirds in other light, a third shifted.
fn view(dice: &mut Dice, (wide, high): (f64, f64)) -> View {
    let width = (DRAWN_PIXELS * wide / high).sqrt().round();
    let brightness = if dice.chance(2.0 / 3.0) { dice.between(0.72, 1.28) } else { 1.0 };
    let mut reach = || dice.between(-60.0, 60.0);
    let shift = (reach(), reach());
    let shift = if dice.chance(1.0 / 3.0) { shift } else { (0.0, 0.0) };
    let border = if dice.chance(0.75) { Border::Black } else { Border::Edge };
    View { width: width as u32, height: (width * high / wide).round() as u32, brightness, shift, border, grainy: true }
}

/// Writes a file under a temporary name, then gives it its own.
fn put(path: &Path, content: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<(), Error> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".part");
    let temporary = PathBuf::from(temporary);
    let file = fs::File::create(&temporary).map_err(failed(&temporary))?;
    let mut file = BufWriter::new(file);
    content(&mut file).and_then(|()| file.flush()).map_err(failed(&temporary))?;
    drop(file);
    fs::rename(&temporary, path).map_err(failed(path))
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |error| Error::Write { path, error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_of_a_block_have_one_size_within_the_limits() {
        let mut sizes = Vec::new();
        for block in 0..40 {
            let (image, first) = entry(Split::Training, block * BLOCK).unwrap();
            let (_, last) = entry(Split::Training, block * BLOCK + BLOCK - 1).unwrap();
            assert_eq!((first.width, first.height), (last.width, last.height));
            assert_eq!((image.width, image.height), (first.width, first.height));
            assert_eq!(first.cells.len() as u32, first.width / CELL * (first.height / CELL));
            assert!(first.width % CELL == 0 && first.height % CELL == 0);
            assert!(u64::from(first.width) * u64::from(first.height) <= PIXELS_MAX);
            sizes.push((first.width, first.height));
        }
        let usual = sizes.iter().filter(|size| **size == (224, 168)).count();
        assert!((12..34).contains(&usual), "{sizes:?}");
        sizes.sort_unstable();
        sizes.dedup();
        assert!(sizes.len() >= 4, "{sizes:?}");
    }

    #[test]
    fn training_and_held_out_scenes_are_never_the_same() {
        let seeds = |split: Split| (0..100).map(move |number| split.seed(number));
        assert!(seeds(Split::Training).all(|seed| seed % 2 == 1) && seeds(Split::HeldOut).all(|seed| seed % 2 == 0));
    }

    #[test]
    fn a_shard_holds_pictures_and_their_lines_in_one_order_and_is_written_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut numbers = Vec::new();
        write_shard(folder.path(), 3, Split::HeldOut, 64..70, &mut |number| numbers.push(number)).unwrap();
        assert_eq!(numbers, [64, 65, 66, 67, 68, 69]);
        let lines = fs::read_to_string(folder.path().join("shard-00003.jsonl")).unwrap();
        let mut pixels = fs::read(folder.path().join("shard-00003.rgb")).unwrap();
        for (line, number) in lines.lines().zip(64..) {
            let (image, wanted) = entry(Split::HeldOut, number).unwrap();
            assert_eq!(line, serde_json::to_string(&wanted).unwrap());
            assert!(pixels.drain(..image.pixels.len()).eq(image.pixels), "{number}");
        }
        assert_eq!((lines.lines().count(), pixels.len()), (6, 0));
        write_shard(folder.path(), 3, Split::HeldOut, 64..70, &mut |_| panic!("written again")).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_pool_is_of_one_split_and_one_first_number() {
        let folder = tempfile::tempdir().unwrap();
        let shards = |split, first| write(folder.path(), split, first, 0, &mut |_| ());
        shards(Split::Training, 5).unwrap();
        shards(Split::Training, 5).unwrap();
        for (split, first, said) in [
            (
                Split::HeldOut,
                5,
                "a pool of training scenes from number 5 on is there, and held-out scenes from number 5",
            ),
            (Split::Training, 0, "and training scenes from number 0 on were asked for"),
        ] {
            let error = shards(split, first).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        let older =
            fs::read_to_string(folder.path().join("pool.json")).unwrap().replace("\"version\":2", "\"version\":1");
        fs::write(folder.path().join("pool.json"), older).unwrap();
        let error = shards(Split::Training, 5).unwrap_err().to_string();
        assert!(error.contains("scenes that no pool.json of this version names"), "{error}");
    }

    #[test]
    fn the_size_of_its_pictures_is_that_of_the_models_settings() {
        let model = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/road-works"));
        let text = fs::read_to_string(model.join("preprocessor_config.json")).unwrap();
        let settings = geometry::Preprocessor::from_json(&text, None).unwrap();
        assert_eq!((settings.min_pixels(), settings.max_pixels()), (PIXELS_MIN, PIXELS_MAX));
        assert_eq!(settings.factor(), CELL);
    }

    #[test]
    fn a_pool_that_cannot_be_written_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = write(&file.join("pool"), Split::Training, 0, 1, &mut |_| ()).unwrap_err();
        assert!(error.to_string().contains("file/pool"), "{error}");
    }
}
