/// What a message says, without what is its platform's own: hints, frames, Markdown, line breaks.
#[must_use]
pub fn words(text: &str) -> String {
    const OWN: [&str; 7] = [
        "【未完待续，回复任意文字以继续】",
        "(write anything to see the rest)",
        "正在思考中，回复任意文字获取回复",
        "Still thinking. Write anything to get the answer.",
        "┏",
        "┗",
        "┃",
    ];
    let mut text = text.to_owned();
    for own in OWN {
        text = text.replace(own, "");
    }
    let framed = |line: &&str| !line.trim_start().starts_with('━') && !line.contains("━━━━━━━━");
    let lines: Vec<&str> = text.lines().filter(framed).collect();
    let plain: String = lines
        .join("\n")
        .chars()
        .filter(|it| !matches!(it, '*' | '\\' | '`'))
        .collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a reply says that another message brings more.
#[must_use]
pub(super) fn asks_to_go_on(text: &str) -> bool {
    let hints = ["回复任意文字", "rite anything to "];
    hints.iter().any(|it| text.contains(it))
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn frames_are_left_out() {
        let check = |text: &str, expect: &str| assert_eq!(words(text), expect);
        check(
            "Drink **water**.\n\n\\- rest\n(write anything to see the rest)",
            "Drink water. - rest",
        );
        check("┏━━ EMERGENCY ━━━━━━━━\n┃ Call 120\n┗━━━━━━━━━━", "Call 120");
        check("正在思考中，回复任意文字获取回复", "");
    }
}
