//! Short names for texts.

/// FNV-1a: tells versions of a text apart, no more; it is no protection against somebody who wants a collision.
#[must_use]
pub fn fingerprint(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}
