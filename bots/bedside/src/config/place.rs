//! Where in a configuration a key stands.

use toml::de::DeTable;

/// The line of a key, or of what stands around it where it is missing itself. Elements of lists go by their number,
/// from 0.
pub(super) fn line_of(path: &[String], text: &str) -> Option<usize> {
    let document = DeTable::parse(text).ok()?;
    let (first, rest) = path.split_first()?;
    let (key, mut value) = document.get_ref().get_key_value(first.as_str())?;
    let mut place = key.span().start;
    for name in rest {
        let (start, inner) = if let Some(table) = value.get_ref().as_table() {
            let Some((key, inner)) = table.get_key_value(name.as_str()) else {
                break;
            };
            (key.span().start, inner)
        } else {
            let element = name.parse::<usize>().ok();
            let Some(inner) = element.and_then(|it| value.get_ref().get(it)) else {
                break;
            };
            (inner.span().start, inner)
        };
        place = start;
        value = inner;
    }
    let before = text.bytes().take(place);
    Some(before.filter(|it| *it == b'\n').count() + 1)
}

#[cfg(test)]
mod tests {
    use super::line_of;

    #[test]
    fn keys_are_found_however_they_are_written() {
        let text = "data_dir = \"/x\"\n[web]\n# listen = 1\nlisten = \"a\"\n\n[web.api]\nkey = \"k\"\n[[triage.levels]]\n\
                    id = \"A\"\n\n[[triage.levels]]\nid = \"B\"\nname = { en = \"b\",\n  zh = \"乙\" }\ndispositions = [\n\
                    \"emergency\",\n\"sameday\"]\n[model]\nsampling.top_k = 3\n";
        let check = |path: &str, expect: Option<usize>| {
            let path: Vec<_> = path.split('.').map(str::to_owned).collect();
            assert_eq!(line_of(&path, text), expect, "{path:?}");
        };
        check("data_dir", Some(1));
        check("web.listen", Some(4));
        check("web.api.key", Some(7));
        check("web.api.missing", Some(6));
        check("triage.levels", Some(8));
        check("triage.levels.1", Some(11));
        check("triage.levels.1.id", Some(12));
        check("triage.levels.1.name.zh", Some(14));
        check("triage.levels.1.dispositions.1", Some(17));
        check("triage.levels.1.colour", Some(11));
        check("model.sampling.top_k", Some(19));
        check("nothing", None);
        assert_eq!(line_of(&["web".to_owned()], "[web"), None);
    }
}
