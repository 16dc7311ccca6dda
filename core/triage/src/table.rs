//! Arrays that are read where they lie: in the program itself for the rules that Bedside brings (made by
//! `build.rs`), or in memory for a hospital's additions.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize};

/// Bytes.
#[derive(Debug, Default, Clone, Serialize)]
pub(crate) struct Bytes(#[serde(serialize_with = "as_bytes")] Cow<'static, [u8]>);

impl Bytes {
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Cow::Owned(bytes))
    }
}

impl<'de: 'static> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&'de [u8]>::deserialize(deserializer).map(|it| Self(Cow::Borrowed(it)))
    }
}

fn as_bytes<S: serde::Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

/// Whole numbers of 32 bits, little-endian.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(bound(deserialize = "'de: 'static"))]
pub(crate) struct Numbers(Bytes);

const NUMBER: usize = size_of::<u32>();

impl Numbers {
    pub(crate) fn len(&self) -> usize {
        self.0.as_slice().len() / NUMBER
    }

    /// Zero where there is none.
    pub(crate) fn get(&self, index: usize) -> usize {
        let bytes = self.0.as_slice().get(index * NUMBER..(index + 1) * NUMBER);
        let number = bytes.and_then(|it| it.try_into().ok()).map(u32::from_le_bytes);
        number.unwrap_or_default() as usize
    }

    /// The first index in `low..high` whose number is not `before`, if all that are stand in front.
    pub(crate) fn partition_point(&self, low: usize, high: usize, before: impl Fn(usize) -> bool) -> usize {
        first_not(low, high, |it| before(self.get(it)))
    }
}

impl FromIterator<usize> for Numbers {
    /// A number above 32 bits becomes the largest; tables are far from having so many entries.
    fn from_iter<I: IntoIterator<Item = usize>>(numbers: I) -> Self {
        let bytes = numbers
            .into_iter()
            .flat_map(|it| u32::try_from(it).unwrap_or(u32::MAX).to_le_bytes());
        Self(bytes.collect::<Vec<u8>>().into())
    }
}

/// A list of numbers for each index.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(bound(deserialize = "'de: 'static"))]
pub(crate) struct Lists {
    /// Where each list ends in `items`; it begins where the one before ends.
    ends: Numbers,
    items: Numbers,
}

impl Lists {
    pub(crate) fn get(&self, index: usize) -> impl Iterator<Item = usize> + '_ {
        self.range(index).map(|it| self.items.get(it))
    }

    /// Whether a list in ascending order has a number.
    pub(crate) fn sorted_contains(&self, index: usize, number: usize) -> bool {
        let range = self.range(index);
        let at = self
            .items
            .partition_point(range.start, range.end, |it| it < number);
        at < range.end && self.items.get(at) == number
    }

    fn range(&self, index: usize) -> std::ops::Range<usize> {
        let start = index.checked_sub(1).map_or(0, |it| self.ends.get(it));
        start..self.ends.get(index)
    }
}

impl FromIterator<Vec<usize>> for Lists {
    fn from_iter<I: IntoIterator<Item = Vec<usize>>>(lists: I) -> Self {
        let (mut ends, mut items) = (Vec::new(), Vec::new());
        for list in lists {
            items.extend(list);
            ends.push(items.len());
        }
        Self {
            ends: ends.into_iter().collect(),
            items: items.into_iter().collect(),
        }
    }
}

/// Texts in the order of their bytes.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(bound(deserialize = "'de: 'static"))]
pub(crate) struct SortedTexts {
    texts: Bytes,
    ends: Numbers,
}

impl SortedTexts {
    /// `texts` in ascending order.
    pub(crate) fn new<'a>(texts: impl Iterator<Item = &'a str>) -> Self {
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for text in texts {
            bytes.extend_from_slice(text.as_bytes());
            ends.push(bytes.len());
        }
        Self {
            texts: bytes.into(),
            ends: ends.into_iter().collect(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn get(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(0, |it| self.ends.get(it));
        let range = start..self.ends.get(index);
        self.texts.as_slice().get(range).unwrap_or_default()
    }

    pub(crate) fn get_str(&self, index: usize) -> &str {
        std::str::from_utf8(self.get(index)).unwrap_or_default()
    }

    /// The first index in `low..high` whose text is not `before`, if all that are stand in front.
    pub(crate) fn partition_point(&self, low: usize, high: usize, before: impl Fn(&[u8]) -> bool) -> usize {
        first_not(low, high, |it| before(self.get(it)))
    }

    pub(crate) fn index_of(&self, text: &str) -> Option<usize> {
        let at = self.partition_point(0, self.len(), |it| it < text.as_bytes());
        (at < self.len() && self.get(at) == text.as_bytes()).then_some(at)
    }
}

/// The first place in `low..high` that is not `before`, if all that are stand in front.
fn first_not(mut low: usize, mut high: usize, before: impl Fn(usize) -> bool) -> usize {
    while low < high {
        let middle = low + (high - low) / 2;
        if before(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::{Lists, Numbers, SortedTexts};

    #[test]
    fn numbers_and_lists_come_back() {
        let numbers: Numbers = [3, 5, 8].into_iter().collect();
        assert_eq!((numbers.len(), numbers.get(1), numbers.get(7)), (3, 5, 0));
        assert_eq!(numbers.partition_point(0, 3, |it| it < 6), 2);
        let lists: Lists = [vec![1, 4], vec![], vec![2]].into_iter().collect();
        let all: Vec<Vec<usize>> = (0..4).map(|it| lists.get(it).collect()).collect();
        assert_eq!(all, [vec![1, 4], vec![], vec![2], vec![]]);
        assert!(lists.sorted_contains(0, 4) && !lists.sorted_contains(0, 2) && !lists.sorted_contains(1, 2));
    }

    #[test]
    fn texts_are_found() {
        let texts = SortedTexts::new(["a", "ab", "痛"].into_iter());
        assert_eq!(texts.index_of("ab"), Some(1));
        assert_eq!(texts.index_of("b"), None);
        assert_eq!(texts.get_str(2), "痛");
    }
}
