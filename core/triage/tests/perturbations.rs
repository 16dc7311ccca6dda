//! What must not switch a red flag off: every example of every red flag, said in other surroundings.

use bedside_contract::Language;
use bedside_triage::{Disposition, PatientFacts, Rules};

/// Letter by letter, "I w a n t t o d i e": where words end has to be guessed, so that some are lost, but nobody who
/// hides that they want to die.
#[test]
fn english_spelled_out_letter_by_letter_is_read() {
    let rules = Rules::builtin();
    let (mut all, mut lost) = (0, Vec::new());
    for (flag, examples) in rules.red_flag_examples() {
        for example in examples.iter().filter(|it| it.is_ascii()) {
            let letters: Vec<String> = example
                .chars()
                .filter(char::is_ascii_alphanumeric)
                .map(String::from)
                .collect();
            let spelled = rules.assess_by_rules(&letters.join(" "), &PatientFacts::default());
            all += 1;
            if spelled.disposition != Disposition::Emergency {
                let whole = rules.assess_by_rules(example, &PatientFacts::default());
                assert!(!whole.self_harm, "{flag}: {example}");
                lost.push(example);
            }
        }
    }
    assert!(
        lost.len() * 100 <= all * 20,
        "{} of {all} lost: {lost:#?}",
        lost.len()
    );
}

/// Every example in `language`, changed by `change`, must stay an emergency.
fn stays_red(language: Language, what: &str, change: impl Fn(&str) -> String) {
    let rules = Rules::builtin();
    let mut lost = Vec::new();
    let mut count = 0;
    for (id, examples) in rules.red_flag_examples() {
        for example in examples
            .iter()
            .filter(|it| Language::detect(it) == Some(language))
        {
            let text = change(example);
            count += 1;
            if let Some(why) = not_red(rules, &text) {
                lost.push(format!("{id}: {text}: {why}"));
            }
        }
    }
    assert!(count >= 90, "{count} examples");
    assert!(
        lost.is_empty(),
        "{what}: {} of {count} lost\n{}",
        lost.len(),
        lost.join("\n")
    );
}

/// An emergency must be one for the rules alone and with the second reader, which may doubt weaker signs.
fn not_red(rules: &Rules, text: &str) -> Option<String> {
    let by_rules = rules.assess_by_rules(text, &PatientFacts::default());
    if by_rules.disposition != Disposition::Emergency {
        return Some(format!("{:?}", by_rules.findings));
    }
    let together = rules.assess(text, &PatientFacts::default());
    let doubted = together.disposition != Disposition::Emergency;
    doubted.then(|| format!("doubted, {:?}", together.second_reading))
}

fn english(text: &str) -> &str {
    text.trim_end_matches(['.', '!', '?', ' '])
}

fn chinese(text: &str) -> &str {
    text.trim_end_matches(['。', '！', '？', ' '])
}

#[test]
fn a_chronic_illness_takes_nothing_away() {
    for illness in [
        "high blood pressure",
        "diabetes",
        "chronic kidney disease",
        "asthma",
        "gout",
        "psoriasis",
        "back pain",
        "migraine",
        "acid reflux",
        "anxiety",
        "constipation",
        "arthritis",
    ] {
        for years in ["10 years", "many years"] {
            stays_red(Language::En, illness, |it| {
                format!("{}. I have had {illness} for {years}.", english(it))
            });
            stays_red(Language::En, illness, |it| {
                format!("I have had {illness} for {years}. {it}")
            });
            stays_red(Language::En, illness, |it| {
                format!("{}, and I have had {illness} for {years}", english(it))
            });
            stays_red(Language::En, illness, |it| {
                format!("I've had {illness} for {years}, {it}")
            });
        }
    }
    for illness in [
        "高血压",
        "糖尿病",
        "慢性肾病",
        "哮喘",
        "痛风",
        "银屑病",
        "腰痛",
        "偏头痛",
        "胃食管反流",
        "焦虑症",
        "便秘",
        "关节炎",
    ] {
        for years in ["10年", "多年"] {
            stays_red(Language::Zh, illness, |it| {
                format!("{}。我有{illness}{years}。", chinese(it))
            });
            stays_red(Language::Zh, illness, |it| format!("我有{illness}{years}，{it}"));
            stays_red(Language::Zh, illness, |it| {
                format!("{}，{illness}{years}了", chinese(it))
            });
            stays_red(Language::Zh, illness, |it| {
                format!("有{illness}病史{years}。{it}")
            });
        }
    }
}

#[test]
fn a_question_behind_it_takes_nothing_away() {
    for tail in [
        "when should I go to the hospital?",
        "is there a risk of a heart attack?",
        "what should I do?",
        "how do I know if it is serious?",
        "can stress cause this?",
        "what are the chances of it being something bad?",
        "should I see a doctor?",
        "could it be a stroke?",
    ] {
        stays_red(Language::En, tail, |it| format!("{}, {tail}", english(it)));
        stays_red(Language::En, tail, |it| format!("{}. {tail}", english(it)));
    }
    for tail in [
        "怎么判断是不是心梗",
        "怎么办",
        "要去医院吗",
        "会不会有事",
        "是什么原因",
        "需要挂什么科",
        "能不能自己好",
        "是不是中风的症状",
        "怎么预防",
        "严重吗",
    ] {
        stays_red(Language::Zh, tail, |it| format!("{}，{tail}？", chinese(it)));
        stays_red(Language::Zh, tail, |it| format!("{}。{tail}", chinese(it)));
    }
}

#[test]
fn a_list_of_denials_takes_nothing_away() {
    for tail in [
        "no rash, no ear pain",
        "no rash",
        "denies ear pain, itching and sneezing",
        "without itching or sneezing",
        "no itching, sneezing or ear pain",
        "no known allergies",
    ] {
        stays_red(Language::En, tail, |it| format!("{}, {tail}", english(it)));
        stays_red(Language::En, tail, |it| format!("{} {tail}", english(it)));
        stays_red(Language::En, tail, |it| format!("{}. {tail}.", english(it)));
    }
    stays_red(Language::En, "denials before", |it| {
        format!("No itching, no sneezing. {it}")
    });
    for tail in [
        "没有耳痛，没有皮肤痒",
        "无耳痛、打喷嚏",
        "否认耳痛、打喷嚏",
        "不打喷嚏",
        "没有耳痛打喷嚏等症状",
    ] {
        stays_red(Language::Zh, tail, |it| format!("{}，{tail}", chinese(it)));
        stays_red(Language::Zh, tail, |it| format!("{}。{tail}。", chinese(it)));
        stays_red(Language::Zh, tail, |it| format!("{tail}，{it}"));
    }
}

#[test]
fn playing_it_down_takes_nothing_away() {
    for tail in [
        "it is probably nothing",
        "I am sure it is nothing",
        "she says it is nothing",
        "I don't want to bother anyone",
        "but it's not that bad",
    ] {
        stays_red(Language::En, tail, |it| format!("{}, {tail}", english(it)));
        stays_red(Language::En, tail, |it| format!("{}. {tail}.", english(it)));
    }
    for tail in [
        "应该没什么事",
        "他说没事",
        "估计没啥大问题",
        "不想麻烦别人",
        "可能就是累了",
    ] {
        stays_red(Language::Zh, tail, |it| format!("{}，{tail}", chinese(it)));
        stays_red(Language::Zh, tail, |it| format!("{}。{tail}。", chinese(it)));
    }
}

#[test]
fn a_relative_may_write() {
    for head in [
        "Hello, I am writing for my husband:",
        "My neighbour asked me to write this for her:",
        "Hi doctor,",
    ] {
        stays_red(Language::En, head, |it| format!("{head} {it}"));
    }
    for head in ["替我家人问一下：", "医生您好，", "帮邻居问的，", "你好在吗"] {
        stays_red(Language::Zh, head, |it| format!("{head}{it}"));
        stays_red(Language::Zh, head, |it| format!("{head}\n{it}"));
    }
}

#[test]
fn other_characters_take_nothing_away() {
    let full_width = |text: &str| -> String {
        text.chars()
            .map(|it| match it {
                '!'..='~' => char::from_u32(u32::from(it) + 0xfee0).unwrap_or(it),
                ' ' => '\u{3000}',
                it => it,
            })
            .collect()
    };
    let between =
        |text: &str, mark: &str| -> String { text.chars().map(|it| format!("{it}{mark}")).collect() };
    for language in [Language::En, Language::Zh] {
        stays_red(language, "full width", full_width);
        stays_red(language, "capitals", str::to_uppercase);
        stays_red(language, "two blanks", |it| it.replace(' ', "  "));
        for mark in [
            '\u{34f}',
            '\u{61c}',
            '\u{115f}',
            '\u{2800}',
            '\u{3164}',
            '\u{ffa0}',
            '\u{e0001}',
            '\u{336}',
            '\u{332}',
            '\u{200b}',
            '\u{fe0f}',
        ] {
            stays_red(language, &format!("{mark:?}"), |it| {
                between(it, &mark.to_string())
            });
        }
    }
    stays_red(Language::Zh, "spaced out", |it| between(it, " "));
    for (text, red) in [
        ("I w a n t t o d i e", true),
        ("i c a n t b r e a t h e", true),
        ("k i l l m y s e l f t o n i g h t", true),
        ("I h a v e a c o l d", false),
    ] {
        let assessment = Rules::builtin().assess_by_rules(text, &PatientFacts::default());
        assert_eq!(assessment.disposition == Disposition::Emergency, red, "{text}");
    }
    stays_red(Language::Zh, "a blank in every ninth place", |it| {
        let blank_after = |at: usize, c: char| at % 9 == 8 && !c.is_ascii();
        it.chars()
            .enumerate()
            .map(|(at, c)| {
                if blank_after(at, c) {
                    format!("{c} ")
                } else {
                    c.to_string()
                }
            })
            .collect()
    });
    stays_red(Language::En, "wrapped", |it| wrapped(it, 40));
    stays_red(Language::En, "look-alikes", |it| {
        it.replace('a', "а").replace('e', "е").replace('o', "о")
    });
    stays_red(Language::En, "no apostrophes", |it| it.replace('\'', ""));
    stays_red(Language::En, "curly apostrophes", |it| it.replace('\'', "’"));
}

fn wrapped(text: &str, width: usize) -> String {
    let mut lines = String::new();
    let mut column = 0;
    for word in text.split(' ') {
        if column > width {
            lines.push('\n');
            column = 0;
        } else if column > 0 {
            lines.push(' ');
        }
        lines.push_str(word);
        column += word.len() + 1;
    }
    lines
}

/// Every slip in every long word that makes no other word of the rules or of `similar_words.txt`.
#[test]
fn a_slip_in_a_long_word_takes_nothing_away() {
    let other_words: Vec<&str> = include_str!("../data/similar_words.txt").lines().collect();
    let rules = Rules::builtin();
    let (mut lost, mut count) = (Vec::new(), 0);
    for (id, examples) in rules.red_flag_examples() {
        for example in examples
            .iter()
            .filter(|it| Language::detect(it) == Some(Language::En))
        {
            for word in example
                .split(|it: char| !it.is_ascii_alphabetic())
                .filter(|it| it.len() >= 7)
            {
                for slip in slips(word) {
                    // Other words of the rules: "peeing" for "peeling", "nitros".
                    if ["peeing", "nitros"].contains(&slip.as_str())
                        || other_words.contains(&slip.to_lowercase().as_str())
                    {
                        continue;
                    }
                    let text = example.replacen(word, &slip, 1);
                    count += 1;
                    if let Some(why) = not_red(rules, &text) {
                        lost.push(format!("{id}: {text}: {why}"));
                    }
                }
            }
        }
    }
    assert!(count > 3000, "{count} slips");
    assert!(
        lost.is_empty(),
        "{} of {count} lost\n{}",
        lost.len(),
        lost.join("\n")
    );
}

/// One letter left out, doubled, exchanged with the next, or its neighbour on the keyboard.
fn slips(word: &str) -> Vec<String> {
    let letters: Vec<char> = word.chars().collect();
    let with = |change: &dyn Fn(&mut Vec<char>)| -> String {
        let mut changed = letters.clone();
        change(&mut changed);
        changed.into_iter().collect()
    };
    (1..letters.len() - 1)
        .flat_map(|at| {
            [
                with(&|it| {
                    it.remove(at);
                }),
                with(&|it| it.insert(at, letters[at])),
                with(&|it| it.swap(at, at + 1)),
                with(&|it| it[at] = neighbour(letters[at])),
            ]
        })
        .filter(|it| it != word)
        .collect()
}

fn neighbour(letter: char) -> char {
    const ROWS: [&str; 3] = ["qwertyuiop", "asdfghjkl", "zxcvbnm"];
    for row in ROWS {
        if let Some(at) = row.find(letter.to_ascii_lowercase()) {
            return row.chars().nth(if at == 0 { 1 } else { at - 1 }).unwrap_or('x');
        }
    }
    'x'
}

/// What is said of something else: another illness that is over, an exam, a film, an animal, a plan for tomorrow.
#[test]
fn a_sentence_about_something_else_takes_nothing_away() {
    for aside in [
        "I have an exam and a lecture tomorrow.",
        "My cold is fully recovered since last week.",
        "My blood pressure was 120/80 last week.",
        "My dog eats and walks fine.",
        "The trains were late today.",
        "I ride a bicycle to work.",
    ] {
        stays_red(Language::En, aside, |it| format!("{}. {aside}", english(it)));
        stays_red(Language::En, aside, |it| format!("{aside} {it}"));
    }
    for aside in [
        "我明天有考试，还要听讲座。",
        "上周感冒已经全好了。",
        "上周血压120/80。",
        "我家狗能吃能走。",
        "我姐是护士。",
        "我平时骑自行车上班。",
    ] {
        stays_red(Language::Zh, aside, |it| format!("{}。{aside}", chinese(it)));
        stays_red(Language::Zh, aside, |it| format!("{aside}{it}"));
    }
}
