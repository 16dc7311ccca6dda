//! Sentences that are neither Chinese nor English: no rule of the gate reads them.

use std::{collections::HashSet, sync::LazyLock};

use unicode_normalization::UnicodeNormalization;

use crate::pattern::pattern;
use bedside_language::is_han;

static ENGLISH: LazyLock<HashSet<&str>> = LazyLock::new(|| ENGLISH_WORDS.split(' ').collect());
static FOREIGN: LazyLock<HashSet<&str>> = LazyLock::new(|| FOREIGN_WORDS.split(' ').collect());

/// Words that hardly any English sentence of some length does without.
const ENGLISH_WORDS: &str = "per times minute minutes hour hours beats the of and to a in is that it for on are as with be by this from or have an not can may at your you if when which their more also other than but was has will such one who been these do about there should some how what where we i he she they them most often usually into up out so no only any its all after before between because while during through over under very need needs use used take see call ask tell keep avoid drink eat rest help helps cause causes make makes get gets go goes stay feel feels blood pain doctor pressure heart fever cough disease symptoms signs treatment medicine care high low common severe chest shortness breath breathing infection health medical hospital emergency now today day days week water food test tests cold pressure sugar risk people patients adults children women men new first many much well good back home left right side skin lung liver kidney stomach throat headache nausea vomiting dizziness type acute chronic please yes hello thank thanks sorry warning general advice important overview causes diagnosis prevention definition";

/// Frequent words of other languages in Latin letters which are no English words. Two of them tell a
/// language.
const FOREIGN_WORDS: &str = "puoi prendere procure imediatamente hastaneye gidin lütfen szpitala idź rumah sakit sekarang ziekenhuis krankenhaus gehen hôpital hospitalet sykehus sjukhus nemocnice kórház spital ospedale bệnh viện buvez beaucoup d'eau trop appelez tout suite consulter maladie nehmen sollten einen aufsuchen el los las una unos del por para con sin pero como más mas muy que su sus usted debe puede tome beba llame si está esta este es y al médico medico dolor agua cada días dias horas no_ le les des une du et est sont dans avec pour pas vous votre votres nous il elle ne ou où que qui sur par plus très jours heures douleur médecin il_ au aux ce cette comprimé comprimés matin soir prenez der das den dem ein eine einen einer und ist sind nicht mit für fur auf von zu zum zur bei sie ihr ihre wenn oder auch nach alle täglich taglich arzt schmerzen tabletten nehmen trinken wasser stunden tage rufen sofort il lo gli della delle degli che è non per con una sono di da più deve può prenda beva subito medico giorno ore dolore acqua o os as um uma não nao com para você voce seu sua dor água agua remédio remedio dias horas tome beba em ao na no_ se het een van en niet met voor op aan als ook bij naar uw pijn arts dag dagen uur neem drink_ veel goed och att det är på av för inte som till om_ två tre ta du din ditt läkare vatten timme mycket og å på af ikke med til der_ har_ meget vand lege læge bør i_ się nie na_ z_ w_ jest do_ lub oraz proszę lekarz lekarzem dwie co godzin dużo wody pij si_ je_ dva dvě denně lékaře nebo při v_ ve iki ve_ bir bu için çok günde su_ doktora tablet_ ile uống viên thuốc mỗi hãy đi nếu và của bác sĩ nước dan atau yang untuk dengan tidak anda jika setiap dua minum minumlah silakan air_ segera dokter ke di_ și sau este nu_ cu_ pe_ mult multă apă és nem_ vagy egy_ vizet sok az kell ja_ tai paljon vettä juo ota päivässä kaksi maji mengi kwa ya_ na__ kunywa daktari est_ et_ sunt cum morbus ni yao chi liang pian tian san ci xiong tong yi yuan qu ma_ shang bu shi de nin hai wo men zai ang ng sa mga hindi ay si kung maraming uminom araw gamot parece también tambien caso entre desde hasta sobre porque cuando donde quien hay ser estar tiene hacer nada bien ayuda ayudar siento puedo quindi cosa dovrebbe fare questo quello anche molto sempre senza fra alles wegen noch schon nur aber doch kein keine ich wir haben wird werden wurde kann muss soll viel mehr gegen über unter zwischen bin ihnen mir uns diese dieser dieses faire peut doit être avoir fait cela très mais comme aussi sans sous chez voici traduction quoi toujours jamais rien merci bonjour obrigado também isso fazer pode deve muito sem até quando onde quem cotidie atque sed tabulas cape bibe jeg deg din eller hvis når jag bara utan deze dit dat wat wel geen maar moet kunt wordt heeft zijn hij zij ons worden czy jak tak ale jego jej tylko bardzo może można być dla przez jako ako ili sve samo može treba vode pijte odmor odihna bea dimineata luați pihenjen igyon legyen minden nap napi tabletti illalla adalah ini itu saya kamu akan bisa sudah belum obat sehari hari gute gut besserung magpahinga muna huwag kailangan mo nic poważnego farligt ihned thuis rusten helpen slapen naar huis riposo riposi dormi bevi subito grave_ calma tranquilo tranquila vida salud saludos suerte gracias grazie danke bitte schön obrigada santé repos dormez reposez ruhe schlafen trinken geduld";

/// Words with these letters are not English, Latin or names that English texts often hold.
const TELLING_LETTERS: &str =
    "ąćęłńśźżčďěňřšťůžőűğışțșăđơưạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹãõñßåæøìòù¿¡";

pub(super) fn is_foreign(sentence: &str) -> bool {
    let folded: String = sentence
        .nfkc()
        .filter(|it| !matches!(it, '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{ad}'))
        .collect();
    if has_word_of_other_script(&folded) {
        return true;
    }
    if folded.contains("://") || folded.contains("et al") {
        return false;
    }
    let words: Vec<String> = folded
        .split(|it: char| !it.is_alphabetic() && !matches!(it, '\'' | '’'))
        .filter(|it| !it.is_empty() && !it.contains(is_han))
        .map(str::to_lowercase)
        .collect();
    if words.len() == 2 {
        let foreign = |it: &String| FOREIGN.contains(it.as_str());
        return words.iter().any(foreign) && !words.iter().any(|it| ENGLISH.contains(it.as_str()));
    }
    if words.len() < 3 {
        return false;
    }
    if is_pinyin(&words) {
        return true;
    }
    let english = words.iter().filter(|it| ENGLISH.contains(it.as_str())).count();
    let foreign = words
        .iter()
        .filter(|it| FOREIGN.contains(it.as_str()) && !ENGLISH.contains(it.as_str()))
        .count();
    let telling = words
        .iter()
        .filter(|it| it.chars().any(|c| TELLING_LETTERS.contains(c)))
        .count();
    let named = folded
        .split_whitespace()
        .skip(1)
        .filter(|it| it.chars().next().is_some_and(char::is_uppercase))
        .count();
    let small = words.len().saturating_sub(named);
    let accented = words.iter().filter(|it| !it.is_ascii()).count();
    let accented_small = folded
        .split_whitespace()
        .filter(|it| it.chars().all(|c| !c.is_uppercase() && !is_han(c)))
        .filter(|it| {
            it.chars()
                .any(|c| c.is_alphabetic() && !c.is_ascii() && !matches!(c, 'μ' | 'µ'))
        })
        .count();
    // "Hospital" and "normal" are words of many languages.
    let common = words
        .iter()
        .filter(|it| {
            ENGLISH.contains(it.as_str())
                && !matches!(
                    it.as_str(),
                    "hospital"
                        | "doctor"
                        | "normal"
                        | "general"
                        | "type"
                        | "test"
                        | "no"
                        | "do"
                        | "a"
                        | "in"
                        | "on"
                        | "as"
                        | "is"
                        | "over"
                        | "day"
                        | "me"
                        | "so"
                        | "i"
                        | "he"
                )
        })
        .count();
    common == 0 && foreign + telling >= 1
        || english == 0 && small >= 5
        || foreign >= 3
        || foreign >= 2 && foreign > english
        || telling >= 1 && foreign + telling >= 2 && english < 2
        || english == 0 && small >= 3 && (foreign + telling >= 1 || accented >= 2)
        || english == 0 && foreign >= 1 && words.len() >= 3 && small >= 2
        || common == 0 && accented_small >= 1 && small >= 2
        || small >= 6 && english * 6 <= small && common == 0
}

/// Chinese in Latin letters: no word but syllables of it, and none that English texts are full of.
fn is_pinyin(words: &[String]) -> bool {
    const LOOKS_ENGLISH: [&str; 14] = [
        "a", "an", "he", "me", "can", "men", "run", "ran", "pan", "pain", "chest", "hen", "fan", "gang",
    ];
    words.len() >= 4
        && words.iter().all(|it| PINYIN.is_match(it))
        && words
            .iter()
            .filter(|it| !LOOKS_ENGLISH.contains(&it.as_str()))
            .count()
            >= 3
}

pattern!(
    PINYIN,
    r"^(b|p|m|f|d|t|n|l|g|k|h|j|q|x|zh|ch|sh|r|z|c|s|y|w)?(a|o|e|i|u|v|ai|ei|ao|ou|an|en|ang|eng|ong|er|ia|ie|iao|iu|iou|ian|in|iang|ing|iong|ua|uo|uai|ui|uei|uan|un|uen|uang|ue|ve|van)$"
);

/// Two letters in a row that are neither Latin nor Han; Greek needs four, as α-blockers and μg have some.
fn has_word_of_other_script(text: &str) -> bool {
    let (mut others, mut greek) = (0, 0);
    for c in text.chars() {
        if matches!(c, '\u{370}'..='\u{3ff}' | '\u{1f00}'..='\u{1fff}') {
            greek += 1;
        } else if is_other_script(c) {
            others += 1;
        } else if !is_mark(c) {
            (others, greek) = (0, 0);
        }
        if others >= 2 || greek >= 4 {
            return true;
        }
    }
    false
}

fn is_other_script(c: char) -> bool {
    c.is_alphabetic()
        && !is_han(c)
        && !c.is_ascii()
        && !matches!(c, '\u{a0}'..='\u{24f}' | '\u{250}'..='\u{2ff}' | '\u{1e00}'..='\u{1eff}' | '\u{2000}'..='\u{2bff}' | '\u{3000}'..='\u{303f}')
}

fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{93c}' | '\u{94d}' | '\u{e31}' | '\u{e34}'..='\u{e4e}')
}
