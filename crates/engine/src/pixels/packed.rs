//! Rows of samples of fewer than eight bits, one after the other, and rows that are
//! stored from the bottom. It must not know file formats.

/// The first `count` samples of `depth` bits (1, 2, 4 or 8), most significant first.
pub(super) fn samples(row: &[u8], depth: u32, count: usize) -> impl Iterator<Item = u8> {
    let per_byte = (8 / depth.max(1)) as usize;
    let mask = (0xFF_u16 >> (8 - depth.min(8))) as u8;
    let of_byte = move |byte: &u8| {
        let byte = *byte;
        (0..per_byte).rev().map(move |place| byte >> (place as u32 * depth) & mask)
    };
    row.iter().flat_map(of_byte).take(count)
}

/// Bytes that `count` samples of `depth` bits take.
pub(super) fn row_bytes(count: usize, depth: u32) -> usize {
    (count * depth as usize).div_ceil(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_stand_from_the_high_bits() {
        for (depth, count, expected) in
            [(1, 3, vec![1, 0, 1]), (2, 5, vec![2, 2, 3, 1, 0]), (4, 4, vec![10, 13, 0, 15]), (8, 2, vec![0xAD, 0x0F])]
        {
            assert_eq!(samples(&[0xAD, 0x0F], depth, count).collect::<Vec<_>>(), expected, "{depth}");
        }
    }
}
