//! The drawn collection: every kind of file that is read, as its index says.

use std::path::PathBuf;

use super::*;

/// One line of the drawn collection's index.
#[derive(serde::Deserialize)]
struct Entry {
    name: String,
    width: Option<u32>,
    height: Option<u32>,
    mode: Option<String>,
    mime: Option<String>,
    orientation: Option<u8>,
    valid: bool,
}

type Loaded = (Entry, Result<Picture, ImageError>);

fn collection() -> Result<Vec<Loaded>, Box<dyn Error>> {
    let dir = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/pictures/formats"));
    let entries: Vec<Entry> = serde_json::from_slice(&fs::read(dir.join("index.json"))?)?;
    assert!(entries.len() > 10);
    let read = |entry: Entry| {
        let picture = load(&dir.join(&entry.name), 1 << 24);
        (entry, picture)
    };
    Ok(entries.into_iter().map(read).collect())
}

#[test]
fn the_collection_is_read_as_its_index_says() -> Checked {
    for (entry, read) in collection()? {
        match read {
            Ok(picture) => {
                // Pixels cut off: it has a size and can be sent, and is known to be cut.
                assert_eq!(picture.looks_truncated(), !entry.valid, "{}", entry.name);
                let facts = picture.facts;
                let said = (Some(facts.width), Some(facts.height), Some(facts.mode), Some(facts.mime));
                assert_eq!(said, (entry.width, entry.height, entry.mode, entry.mime), "{}", entry.name);
                assert_eq!(facts.exif_orientation, entry.orientation, "{}", entry.name);
            }
            Err(error) => assert!(!entry.valid && entry.width.is_none(), "{}: {error}", entry.name),
        }
    }
    Ok(())
}

#[test]
fn the_collection_can_be_altered_and_resized() -> Checked {
    for (entry, read) in collection()?.into_iter().filter(|(entry, _)| entry.valid) {
        let picture = read?;
        let variants = [cold_variant(&picture, 1)?, cold_variant(&picture, 2)?, inverted(&picture)?];
        for variant in &variants {
            let facts = &variant.facts;
            assert_eq!((Some(facts.width), Some(facts.height)), (entry.width, entry.height), "{}", entry.name);
            assert_eq!(facts.exif_orientation, entry.orientation, "{}", entry.name);
        }
        let different: std::collections::HashSet<_> = variants.iter().map(|variant| &variant.facts.sha256).collect();
        assert_eq!(different.len(), 3, "{}", entry.name);
        let resized = resize(&picture, 28, 56)?.facts;
        assert_eq!((resized.width, resized.height), (28, 56), "{}", entry.name);
    }
    Ok(())
}
