//! Takes the marks of Markdown, HTML and TeX out of a sentence, which would stand between a number and its
//! unit.

use std::{borrow::Cow, sync::LazyLock};

use regex::Regex;

/// In order. The texts that stay are the first group's.
static MARKS: LazyLock<Vec<(Regex, &'static str)>> = LazyLock::new(|| {
    [
        (r"!?\[([^\]\n]*)\]\([^)\n]*\)", "$1"),
        (r"</?[A-Za-z][^<>\n]{0,80}>", ""),
        (r"&nbsp;|&#160;|&#xa0;|&ensp;|&emsp;|&thinsp;", " "),
        (r"&amp;|&#38;", "&"),
        (r"&[lg]t;", " "),
        (
            r"\\(?:text|mathrm|mathbf|textbf|textit|mathit|rm|bf|operatorname)\s*\{([^{}]*)\}",
            "$1",
        ),
        (r"\\(?:times|cdot)", " x "),
        (r"\\[,;:! ]|\\quad", " "),
        (
            r"(?m)^\s*(?:[-*+•·▪◦‣–—>#]+\s+|\(?[0-9]{1,2}[.)]\s+|[0-9]{1,2}[、）]\s*)+",
            "",
        ),
        (r"\s*\|\s*", " , "),
        (r"[*`~$\\^]|\{|\}", ""),
        (r"_+([^_\n]*)_+", "$1"),
        (r"#", ""),
    ]
    .into_iter()
    .map(|(mark, stays)| {
        (
            Regex::new(mark).expect("every pattern is compiled by a test"),
            stays,
        )
    })
    .collect()
});

pub(super) fn plain(sentence: &str) -> Cow<'_, str> {
    if !sentence.contains(|it: char| it.is_ascii_punctuation() && !matches!(it, '.' | ',' | '\'' | '"' | '?'))
        && !sentence.trim_start().starts_with(|it: char| it.is_ascii_digit())
        && !sentence.contains(['•', '·', '▪', '◦', '‣', '–', '—', '、', '）'])
    {
        return Cow::Borrowed(sentence);
    }
    let mut text = Cow::Borrowed(sentence);
    for (mark, stays) in MARKS.iter() {
        if let Cow::Owned(changed) = mark.replace_all(&text, *stays) {
            text = Cow::Owned(changed);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn marks_go_and_words_stay() {
        for (text, expect) in [
            ("Take **500** mg", "Take 500 mg"),
            ("Take 500 `mg`", "Take 500 mg"),
            ("Take 500 _mg_", "Take 500 mg"),
            ("<b>500</b>&nbsp;mg", "500 mg"),
            (r"$500\,\text{mg}$", "500 mg"),
            ("- rest", "rest"),
            ("1. rest", "rest"),
            ("[500](http://x) mg", "500 mg"),
            ("| a | 5 |", " , a , 5 , "),
            ("38.5 °C", "38.5 °C"),
        ] {
            assert_eq!(plain(text), expect, "{text}");
        }
    }
}
