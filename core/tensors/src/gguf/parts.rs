//! A model in several files, as llama-gguf-split writes them: `m-00001-of-00003.gguf` holds the metadata and some
//! tensors, the others the rest.

use std::path::{Path, PathBuf};

use super::{GgufError, GgufFile, Part, Value};

/// More of them are a broken file.
const MAX_PARTS: usize = 1000;

/// What the name of a part says: `m-00002-of-00003.gguf` is the second of three.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartName<'a> {
    /// Of the whole model: `m`.
    pub stem: &'a str,
    /// From 1.
    pub number: usize,
    pub count: usize,
}

impl<'a> PartName<'a> {
    /// Nothing for the name of a file that is whole.
    #[must_use]
    pub fn of(path: &'a Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let (rest, count) = name.strip_suffix(".gguf")?.rsplit_once("-of-")?;
        let (stem, number) = rest.rsplit_once('-')?;
        let (number, count) = (five_digits(number)?, five_digits(count)?);
        let fits = (2..=MAX_PARTS).contains(&count) && (1..=count).contains(&number);
        fits.then_some(Self { stem, number, count })
    }

    /// That of another part.
    #[must_use]
    pub fn file_name(self, number: usize) -> String {
        format!("{}-{number:05}-of-{:05}.gguf", self.stem, self.count)
    }
}

/// Where all parts of a model belong, by the name of one of them; only the file itself where it is whole.
#[must_use]
pub fn part_paths(path: &Path) -> Vec<PathBuf> {
    let Some(name) = PartName::of(path) else {
        return vec![path.to_owned()];
    };
    let numbers = 1..=name.count;
    numbers
        .map(|number| path.with_file_name(name.file_name(number)))
        .collect()
}

impl GgufFile {
    /// Opens the parts beside the first.
    pub(super) fn open_other_parts(&mut self) -> Result<(), GgufError> {
        const COUNT: &str = "split.count";
        let count = self.optional_unsigned(COUNT)?.unwrap_or(1);
        if count <= 1 {
            return Ok(());
        }
        let place = self.optional_unsigned("split.no")?.unwrap_or(0);
        if count > MAX_PARTS || place >= count {
            return Err(self.bad_value(COUNT, format!("part {} of {count}", place.saturating_add(1))));
        }
        let path = self.path.clone();
        let number = place + 1;
        let Some(name) = PartName::of(&path).filter(|it| (it.number, it.count) == (number, count)) else {
            return Err(GgufError::PartName { path, number, count });
        };
        if number > 1 {
            let first = name.file_name(1);
            return Err(GgufError::NotFirstPart {
                path,
                number,
                count,
                first,
            });
        }
        let others: Vec<PathBuf> = part_paths(&path).into_iter().skip(1).collect();
        let missing: Vec<String> = (2..)
            .zip(&others)
            .filter(|(_, it)| !it.is_file())
            .map(|(number, _)| name.file_name(number))
            .collect();
        if !missing.is_empty() {
            let missing = missing.join(", ");
            return Err(GgufError::MissingParts { path, count, missing });
        }
        for other in &others {
            self.add_part(other, count)?;
        }
        let (wanted, found) = (self.optional_unsigned("split.tensors.count")?, self.tensors.len());
        match wanted {
            Some(wanted) if wanted != found => {
                let problem =
                    format!("the {count} parts hold {found} tensors, not {wanted}; fetch them again");
                Err(self.bad_value("split.tensors.count", problem))
            }
            _ => Ok(()),
        }
    }

    fn add_part(&mut self, path: &Path, count: usize) -> Result<(), GgufError> {
        let (part, header) = Part::open(path)?;
        let place = self.parts.len();
        let says = |key: &str, number: usize| match header.metadata.get(key) {
            Some(Value::Unsigned(it)) => *it == number as u64,
            Some(Value::Signed(it)) => usize::try_from(*it) == Ok(number),
            _ => false,
        };
        if !says("split.no", place) || !says("split.count", count) {
            return Err(GgufError::OtherPart {
                path: path.to_owned(),
                number: place + 1,
                count,
            });
        }
        for (name, mut info) in header.tensors {
            if self.tensors.contains_key(&name) {
                return Err(GgufError::Tensor {
                    path: path.to_owned(),
                    tensor: name,
                    offset: info.offset,
                    problem: "an earlier part has it, too".to_owned(),
                });
            }
            info.part = place;
            self.tensors.insert(name, info);
        }
        self.parts.push(part);
        Ok(())
    }
}

fn five_digits(text: &str) -> Option<usize> {
    let five = text.len() == 5 && text.bytes().all(|it| it.is_ascii_digit());
    text.parse().ok().filter(|_| five)
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        path::{Path, PathBuf},
    };

    use bedside_model::testing::{TinyModel, split};

    use super::{PartName, part_paths};
    use crate::gguf::GgufFile;

    fn parts(folder: &Path, seed: u64, count: usize) -> (PathBuf, Vec<PathBuf>) {
        let whole = folder.join("tiny.gguf");
        let model = TinyModel {
            seed,
            ..TinyModel::default()
        };
        model.write(&whole);
        let parts = split(&whole, count);
        (whole, parts)
    }

    #[test]
    fn names_tell_parts() {
        let check = |name: &str, expect: Option<(&str, usize, usize)>| {
            let found = PartName::of(Path::new(name)).map(|it| (it.stem, it.number, it.count));
            assert_eq!(found, expect, "{name}");
        };
        check("/m/qwen-q4_k_m-00002-of-00003.gguf", Some(("qwen-q4_k_m", 2, 3)));
        for whole in [
            "qwen.gguf",
            "qwen-00001-of-00001.gguf",
            "qwen-00004-of-00003.gguf",
            "qwen-00000-of-00003.gguf",
            "qwen-1-of-3.gguf",
            "qwen-00001-of-99999.gguf",
            "qwen-+0001-of-00003.gguf",
            "qwen-00001-of-00003.bin",
        ] {
            check(whole, None);
        }
        let paths = part_paths(Path::new("/m/a-00002-of-00002.gguf"));
        let expect = ["/m/a-00001-of-00002.gguf", "/m/a-00002-of-00002.gguf"];
        assert_eq!(paths, expect.map(PathBuf::from));
        assert_eq!(part_paths(Path::new("/m/a.gguf")), [PathBuf::from("/m/a.gguf")]);
    }

    #[test]
    fn parts_are_one_model() {
        for count in [2, 3] {
            let folder = tempfile::tempdir().unwrap();
            let (whole, parts) = parts(folder.path(), 1, count);
            assert_eq!(parts.len(), count);
            let (whole, joined) = (
                GgufFile::open(&whole).unwrap(),
                GgufFile::open(&parts[0]).unwrap(),
            );
            assert_eq!(joined.parts(), count);
            assert_eq!(joined.parameters(), whole.parameters());
            assert!(joined.tensors().keys().eq(whole.tensors().keys()));
            for (name, info) in whole.tensors() {
                assert_eq!(
                    joined.tensor_data(name, &info.shape).unwrap(),
                    whole.tensor_data(name, &info.shape).unwrap(),
                    "{name}"
                );
                joined.release(name);
            }
            for key in whole.keys() {
                assert_eq!(joined.entry(key), whole.entry(key), "{key}");
            }
            let bytes: u64 = parts.iter().map(|it| fs::metadata(it).unwrap().len()).sum();
            assert_eq!(joined.length(), bytes);
        }
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let (_, parts) = parts(folder.path(), 1, 3);
        let error = |path: &Path| GgufFile::open(path).unwrap_err().to_string();
        let check = |path: &Path, expected: &[&str]| {
            let error = error(path);
            assert!(expected.iter().all(|it| error.contains(it)), "{error}");
        };
        check(&parts[1], &["part 2 of 3", "tiny-00001-of-00003.gguf"]);
        let renamed = folder.path().join("renamed.gguf");
        fs::copy(&parts[0], &renamed).unwrap();
        check(&renamed, &["renamed.gguf", "part 1 of 3", "-00001-of-00003.gguf"]);

        let third = fs::read(&parts[2]).unwrap();
        fs::copy(&parts[1], &parts[2]).unwrap();
        check(&parts[0], &["tiny-00003-of-00003.gguf", "not part 3 of 3"]);
        fs::write(&parts[2], &third[..third.len() / 2]).unwrap();
        check(&parts[0], &["tiny-00003-of-00003.gguf", "fetch the file again"]);

        fs::remove_file(&parts[2]).unwrap();
        fs::remove_file(&parts[1]).unwrap();
        check(
            &parts[0],
            &["tiny-00002-of-00003.gguf, tiny-00003-of-00003.gguf", "merge"],
        );
    }
}
