//! Traditional characters.

/// Pairs of a traditional and a simplified character, sorted by the first; made by `build.rs`.
static PAIRS: &[(char, char)] = include!(concat!(env!("OUT_DIR"), "/simplified.rs"));

/// The simplified character for a traditional one; any other character as it is.
#[must_use]
pub fn simplified(c: char) -> char {
    let found = PAIRS.binary_search_by_key(&c, |it| it.0).ok();
    found.and_then(|it| PAIRS.get(it)).map_or(c, |it| it.1)
}

#[cfg(test)]
mod tests {
    use super::simplified;

    #[test]
    fn traditional_characters_become_simplified() {
        for (c, expect) in [('頭', '头'), ('發', '发'), ('痛', '痛'), ('a', 'a'), ('癥', '症')] {
            assert_eq!(simplified(c), expect);
        }
    }
}
