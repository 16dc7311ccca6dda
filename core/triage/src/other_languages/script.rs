//! Languages that their script tells.

use super::words::is_word_character;
use bedside_language::is_han;

/// The language of a text in another script than Han and Latin letters.
pub(super) fn recognise(normal: &str) -> Option<&'static str> {
    let mut counts = Counts::default();
    let mut run = (None, 0);
    for c in normal.chars().chain(std::iter::once('\n')) {
        let script = script_of(c).filter(|_| is_word_character(c));
        if script == run.0 {
            run.1 += 1;
            continue;
        }
        counts.add(run.0, run.1);
        run = (script, 1);
    }
    let (script, letters) = counts.others.iter().copied().max_by_key(|it| it.1)?;
    // A word of Chinese and a Latin name of a medicine beside it change nothing.
    let own = if script == "ja" {
        letters + counts.han
    } else {
        letters
    };
    let han = if script == "ja" { 0 } else { counts.han };
    (own * 2 >= han * 2 + counts.latin && is_japanese_or_other(script, letters, counts.han))
        .then(|| by_letters(script, normal))
}

/// Whether a text has Chinese words that other languages with Han characters do not have.
pub(super) fn has_chinese_sentence(normal: &str) -> bool {
    let han = normal.chars().filter(|it| is_han(*it)).count();
    if han == 0 {
        return false;
    }
    let mut characters = normal.chars().peekable();
    let (mut only_chinese, mut mostly_chinese) = (0, 0);
    while let Some(c) = characters.next() {
        let next = characters.peek().copied().unwrap_or(' ');
        match c {
            // 我慢, 他に, 没頭: the Japanese words with them are few.
            '我' if !matches!(next, '慢' | '々' | 'が' | '輩' | '流') => only_chinese += 1,
            _ if ONLY_CHINESE.contains(c) => only_chinese += 1,
            _ if MOSTLY_CHINESE.contains(c) && !is_kana(next) => mostly_chinese += 1,
            _ => {}
        }
    }
    let kana = normal.chars().filter(|it| is_kana(*it)).count();
    only_chinese >= 1 && (only_chinese * 8 >= kana || han > kana) || mostly_chinese >= 2 && han > kana
}

const ONLY_CHINESE: &str = "你您她它们这吗呢吧么怎啥很咋让哪爸妈孩烧药";
const MOSTLY_CHINESE: &str = "的了是不有在他好个说会能要就都也和到";

#[derive(Default)]
struct Counts {
    han: usize,
    latin: usize,
    others: Vec<(&'static str, usize)>,
}

impl Counts {
    /// Single letters are units, marks or the faces that people draw with them.
    fn add(&mut self, script: Option<&'static str>, length: usize) {
        match script {
            Some("han") => self.han += length,
            Some("latin") => self.latin += length,
            Some(script) => {
                let least = match script {
                    "ja" => 1,
                    "el" => 3,
                    _ => 2,
                };
                if length < least {
                    return;
                }
                match self.others.iter_mut().find(|it| it.0 == script) {
                    Some(known) => known.1 += length,
                    None => self.others.push((script, length)),
                }
            }
            None => {}
        }
    }
}

/// One kana is Japanese beside Han characters only; in Chinese の is a fashion.
fn is_japanese_or_other(script: &str, letters: usize, han: usize) -> bool {
    script != "ja" || letters >= 2 && letters * 5 >= han || letters == 1 && (1..=4).contains(&han)
}

/// Languages that share a script are distinguished by letters that only one of them uses.
fn by_letters(script: &'static str, text: &str) -> &'static str {
    let has = |letters: &str| text.contains(|c| letters.contains(c));
    match script {
        "ar" if has("ٹڈڑںے") => "ur",
        "ar" if has("پچژگکی") => "fa",
        "ru" if has("іїєґ") => "uk",
        _ => script,
    }
}

fn is_kana(c: char) -> bool {
    matches!(c, '\u{3041}'..='\u{3096}' | '\u{30a1}'..='\u{30fa}')
}

/// `han`, `latin`, or the language that the script is mostly used for.
fn script_of(c: char) -> Option<&'static str> {
    Some(match c {
        'a'..='z' | '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' => "latin",
        _ if is_han(c) => "han",
        // Smiles in Chinese chats.
        'の' | 'ツ' | 'シ' | 'ノ' | 'ヘ' => return None,
        _ if is_kana(c) => "ja",
        '\u{370}'..='\u{3ff}' | '\u{1f00}'..='\u{1fff}' => "el",
        '\u{400}'..='\u{52f}' => "ru",
        '\u{530}'..='\u{58f}' => "hy",
        '\u{590}'..='\u{5ff}' => "he",
        '\u{600}'..='\u{6ff}' | '\u{750}'..='\u{77f}' => "ar",
        '\u{900}'..='\u{97f}' => "hi",
        '\u{980}'..='\u{9ff}' => "bn",
        '\u{a00}'..='\u{a7f}' => "pa",
        '\u{a80}'..='\u{aff}' => "gu",
        '\u{b00}'..='\u{b7f}' => "or",
        '\u{b80}'..='\u{bff}' => "ta",
        '\u{c00}'..='\u{c7f}' => "te",
        '\u{c80}'..='\u{cff}' => "kn",
        '\u{d00}'..='\u{d7f}' => "ml",
        '\u{d80}'..='\u{dff}' => "si",
        '\u{e00}'..='\u{e7f}' => "th",
        '\u{e80}'..='\u{eff}' => "lo",
        '\u{f00}'..='\u{fff}' => "bo",
        '\u{1000}'..='\u{109f}' => "my",
        '\u{10a0}'..='\u{10ff}' => "ka",
        '\u{1200}'..='\u{139f}' => "am",
        '\u{1780}'..='\u{17ff}' => "km",
        '\u{1800}'..='\u{18af}' => "mn",
        '\u{ac00}'..='\u{d7a3}' => "ko",
        _ => return None,
    })
}
