//! Bytes that mean harm: cut, altered and invented files never stop the program,
//! and what a file claims is checked before memory is taken.

use engine::pixels::{Error, Limits, decode};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use crate::{folder, picture};

/// Small limits, so that an altered size is refused rather than painted.
const LIMITS: Limits = Limits { bytes_max: 1 << 20, pixels_max: 1 << 20, memory_bytes_max: 64 << 20 };

/// All pictures of the golden set, in the order of their names.
fn pictures() -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(folder().join("files")).expect("the folder is there");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("the picture is there")).collect()
}

/// Makes the same cases in every run.
fn runner(cases: u32) -> TestRunner {
    TestRunner::new_with_rng(ProptestConfig::with_cases(cases), TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

/// Whatever comes, a picture is as large as it says.
fn check(bytes: &[u8]) {
    if let Ok(image) = decode(bytes, &LIMITS) {
        assert_eq!(image.pixels.len(), image.width as usize * image.height as usize * 3);
    }
}

#[test]
fn every_picture_may_be_cut_anywhere() {
    for bytes in pictures() {
        for length in (0..bytes.len()).step_by((bytes.len() / 60).max(1)) {
            check(&bytes[..length]);
        }
    }
}

#[test]
fn every_picture_may_be_altered() {
    let pictures = pictures();
    // Near the beginning most often: there the sizes stand.
    let place = prop_oneof![3 => 0..64_usize, 2 => 64..700_usize, 1 => 0..8000_usize];
    let change = (place, prop_oneof![Just(0), Just(0xFF), Just(0x7F), any::<u8>()]);
    let cases = ((0..pictures.len()), prop::collection::vec(change, 1..6));
    let result = runner(12_000).run(&cases, |(index, changes)| {
        let mut bytes = pictures[index].clone();
        for (place, value) in changes {
            if let Some(byte) = bytes.get_mut(place) {
                *byte = value;
            }
        }
        check(&bytes);
        mend_checksums(&mut bytes);
        check(&bytes);
        Ok(())
    });
    result.expect("no altered picture stops the decoder");
}

/// Gives the chunks of a PNG file the checksums of what is in them now.
fn mend_checksums(bytes: &mut [u8]) {
    let mut place = if bytes.starts_with(b"\x89PNG") { 8 } else { bytes.len() };
    while let Some(length) = bytes.get(place..place + 4) {
        let end = place + 8 + u32::from_be_bytes(length.try_into().expect("four bytes")) as usize;
        let Some(chunk) = bytes.get(place + 4..end) else { break };
        let mut sum = flate2::Crc::new();
        sum.update(chunk);
        let Some(stated) = bytes.get_mut(end..end + 4) else { break };
        stated.copy_from_slice(&sum.sum().to_be_bytes());
        place = end + 4;
    }
}

#[test]
fn every_beginning_may_go_on_with_anything() {
    let beginnings: [&[u8]; 8] = [
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        b"\xFF\xD8\xFF",
        b"GIF89a",
        b"BM",
        b"II\x2A\0\x08\0\0\0",
        b"MM\0\x2B\0\x08\0\0\0\0\0\0\0\x10",
        b"RIFF\xFF\0\0\0WEBPVP8X",
        b"RIFF\xFF\0\0\0WEBPVP8 ",
    ];
    let cases = (0..beginnings.len(), prop::collection::vec(any::<u8>(), 0..300));
    let result = runner(8_000).run(&cases, |(index, rest)| {
        check(&[beginnings[index], &rest].concat());
        Ok(())
    });
    result.expect("no invented file stops the decoder");
}

#[test]
fn claims_are_checked_before_memory_is_taken() {
    let bomb = decode(&picture("png_bomb.png"), &Limits::default());
    assert_eq!(bomb, Err(Error::TooManyPixels { width: 60000, height: 60000, pixels_max: 178_956_970 }));
    let small = picture("jpeg_grey.jpg");
    let pixels = Limits { pixels_max: 61 * 43 - 1, ..Limits::default() };
    assert_eq!(decode(&small, &pixels), Err(Error::TooManyPixels { width: 61, height: 43, pixels_max: 61 * 43 - 1 }));
    let bytes = Limits { bytes_max: 10, ..Limits::default() };
    assert_eq!(decode(&small, &bytes), Err(Error::TooManyBytes { bytes: small.len() as u64, bytes_max: 10 }));
    let memory = Limits { memory_bytes_max: 1000, ..Limits::default() };
    for name in
        ["jpeg_grey.jpg", "png_filters.png", "gif_plain.gif", "bmp_24.bmp", "webp_lossy_q75.webp", "tiff_rgb_raw.tif"]
    {
        let found = decode(&picture(name), &memory);
        assert!(matches!(found, Err(Error::TooMuchMemory { bytes_max: 1000, .. })), "{name}: {found:?}");
    }
}

#[test]
fn the_limits_of_a_picture_are_those_of_pillow() {
    let limits = Limits { pixels_max: 61 * 43, ..Limits::default() };
    assert!(decode(&picture("jpeg_grey.jpg"), &limits).is_ok());
}

#[test]
fn refusals_have_words() {
    for (name, words) in [
        ("empty", "not a picture: the bytes are of no known image format; send one of PNG, JPEG, WebP, GIF, BMP, TIFF"),
        ("other.avif", "AVIF pictures are not supported; convert it to one of PNG, JPEG, WebP, GIF, BMP, TIFF"),
        (
            "jpeg_no_eoi.jpg",
            "the JPEG picture is truncated or damaged: it ends too early; check that the file was sent whole",
        ),
        (
            "tiff_rgb_zstd.tif",
            "this TIFF picture uses compression Zstandard, which is not supported; convert it to a common PNG or JPEG",
        ),
    ] {
        let found = decode(&picture(name), &Limits::default()).map_err(|error| error.to_string());
        assert_eq!(found, Err(words.to_owned()), "{name}");
    }
}

/// A TIFF file of `strips` rows of one grey pixel, each with the same PackBits bytes.
fn tiff_of_shared_strips(strips: u32, stored: &[u8]) -> Vec<u8> {
    const ENTRIES: u32 = 8;
    let offsets_at = 8 + 2 + ENTRIES * 12 + 4;
    let lengths_at = offsets_at + strips * 4;
    let stored_at = lengths_at + strips * 4;
    let entries: [(u16, u32, u32); ENTRIES as usize] = [
        (256, 1, 1),
        (257, 1, strips),
        (258, 1, 8),
        (259, 1, 32773),
        (262, 1, 1),
        (273, strips, offsets_at),
        (278, 1, 1),
        (279, strips, lengths_at),
    ];
    let mut file = b"II\x2A\0\x08\0\0\0\x08\0".to_vec();
    for (name, count, value) in entries {
        file.extend(name.to_le_bytes());
        file.extend([4, 0]);
        file.extend([count, value].map(u32::to_le_bytes).concat());
    }
    file.extend([0; 4]);
    file.extend(stored_at.to_le_bytes().repeat(strips as usize));
    file.extend((stored.len() as u32).to_le_bytes().repeat(strips as usize));
    file.extend(stored);
    file
}

#[test]
fn strips_that_share_their_bytes_are_unpacked_within_a_budget() {
    let few = decode(&tiff_of_shared_strips(3, &[128, 0, 77]), &Limits::default()).expect("a fair file");
    assert_eq!((few.width, few.height, few.pixels), (1, 3, vec![77; 9]));
    // 20,000 strips, each a million codes that mean nothing and a pixel: 20 GB to walk through.
    let stored = [vec![128; 1_000_000], vec![0, 77]].concat();
    let many = decode(&tiff_of_shared_strips(20_000, &stored), &Limits::default());
    let words = many.map_err(|error| error.to_string()).expect_err("an unfair file");
    assert!(words.contains("too many strips with the same bytes"), "{words}");
}
