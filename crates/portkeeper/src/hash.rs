//! One number for a text, the same for ever: where a search begins is part of what users rely on.
//! Never a secret, and never proof of anything.

/// FNV-1a (64 bits), finished as in `SplitMix64`.
pub(crate) fn hash<'b>(bytes: impl IntoIterator<Item = &'b u8>) -> u64 {
    let hash = bytes
        .into_iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    let mixed = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Its upper half, which is as good.
pub(crate) fn short<'b>(bytes: impl IntoIterator<Item = &'b u8>) -> u32 {
    (hash(bytes) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_changes() {
        for (text, expect) in [
            ("", 0xf52a_15e9_a9b5_e89b),
            ("a", 0x02c0_bdbf_4814_20f8),
            ("/home/ann/shop", 0xc15d_e72f_e1d2_e7dd),
            ("/home/ann/shop\0web", 0xb7df_2633_cd42_0bb1),
        ] {
            assert_eq!(hash(text.as_bytes()), expect, "{text:?}");
        }
    }
}
