//! WeChat's signatures: SHA-1 over the sorted fields, in hex.

use sha1::{Digest, Sha1};
use subtle::ConstantTimeEq;

/// `signature` of `[token, timestamp, nonce]`, `msg_signature` of `[token, timestamp, nonce, Encrypt]`.
#[must_use]
pub fn sign(fields: &[&str]) -> String {
    let mut sorted = fields.to_vec();
    sorted.sort_unstable();
    let digest = Sha1::digest(sorted.concat());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether `given` is the signature of `fields`, in constant time.
#[must_use]
pub fn is_signed(given: &str, fields: &[&str]) -> bool {
    sign(fields).as_bytes().ct_eq(given.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::{is_signed, sign};

    #[test]
    fn official_vectors() {
        assert_eq!(
            sign(&["AAAAA", "1714037059", "486452656"]),
            "899cf89e464efb63f54ddac96b0a0a235f53aa78"
        );
        assert!(is_signed(
            "f464b24fc39322e44b38aa78f5edd27bd1441696",
            &["AAAAA", "1714036504", "1514711492"]
        ));
    }

    #[test]
    fn anything_else_is_not_the_signature() {
        let fields = ["AAAAA", "1714036504", "1514711492"];
        for given in [
            "",
            "f464b24fc39322e44b38aa78f5edd27bd144169",
            "F464B24FC39322E44B38AA78F5EDD27BD1441696",
        ] {
            assert!(!is_signed(given, &fields), "{given}");
        }
    }
}
