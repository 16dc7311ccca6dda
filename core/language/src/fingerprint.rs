//! Short names for texts.

/// FNV-1a: tells texts or their versions apart, no more; it is no protection against somebody who wants a collision.
#[must_use]
pub fn fingerprint(bytes: impl IntoIterator<Item = u8>) -> u32 {
    bytes.into_iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}
