//! What a text denies or forbids where nobody knows which of its words matter: advice and articles.

use std::ops::Range;

use crate::{characters::is_han, pattern};

/// A piece of a sentence that says one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// In the normal text.
    pub bytes: Range<usize>,
    pub claim: Claim,
}

/// What a statement does with what it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Claim {
    Affirmed,
    /// Denied or forbidden.
    Denied,
    /// A condition: it says neither.
    Supposed,
}

/// The statements of a normal text, in its order.
#[must_use]
pub fn statements(text: &str) -> Vec<Statement> {
    let mut starts = vec![0];
    starts.extend(BORDER.find_iter(text).map(|it| {
        // A mark belongs to what stands before it, a word to what it begins.
        let mark = it
            .as_str()
            .starts_with(|c: char| !is_han(c) && !c.is_ascii_alphabetic() && c != ' ');
        if mark { it.end() } else { it.start() }
    }));
    starts.push(text.len());
    let mut statements: Vec<Statement> = Vec::new();
    for pair in starts.windows(2) {
        let &[start, end] = pair else { continue };
        let Some(own) = text.get(start..end).filter(|it| !it.trim().is_empty()) else {
            continue;
        };
        let before = text.get(..start).unwrap_or_default();
        let claim = match statements.last() {
            // no fever, chills or cough
            Some(last) if last.claim == Claim::Denied && runs_on(before, own) => Claim::Denied,
            _ => claim_of(own),
        };
        statements.push(Statement {
            bytes: start..end,
            claim,
        });
    }
    statements
}

pattern!(
    BORDER,
    r"[,;:.!?()\n。]|\b(but|because|although|though|while|whereas|however|since|so|if|when|unless|until|and (do|dont|never|avoid|should|shouldnt|can|cant|is|isnt|are|arent|must|mustnt|need|not))\b|但|不过|然而|因为|所以|如果|若|除非|而且|并且"
);
pattern!(
    SUPPOSES,
    r"^\s*(if|when|unless|until|in case|where)\b|^(如果|如有|如出现|若|除非|一旦|万一|要是|假如|当|出现)|(的时候|时,?)$"
);
pattern!(
    DENIES,
    r"\b(not|no|none|never|without|cant|dont|doesnt|didnt|isnt|arent|wasnt|werent|wont|wouldnt|shouldnt|mustnt|neednt|havent|hasnt|unnecessary|unlikely|avoid|avoids|avoiding|neither|nor|free of|lack of|instead of|rather than)\b|[不没无勿未非禁忌]|别|避免|否认|排除|阴性"
);
// Words with a negative in them that deny nothing, and two negatives that cancel each other.
pattern!(
    AFFIRMS,
    r"\b((not|isnt|arent|wasnt|werent|dont|doesnt|didnt|cant) (only|just|merely|without)|no (doubt|matter)|never without|cant (rule out|be ruled out)|dont hesitate)\b|不适|不舒服|不久|不同|不良|不足|不少[^于]|不仅|不但|不光|不只|不断|不停|不管|无论|不论|差别|别人|特别|分别|类别|个别|区别|级别|性别|别名|鉴别|识别|辨别|未来|未成年|不明|无力|不到|不得不|不能不|不可不|(不是|没有)不[^适舒良足同明]|不要犹豫|非常|除非|不妨"
);
// What only goes on with a list begins so and has no verb of its own.
pattern!(
    GOES_ON,
    r"^ ?(\w+ ){0,2}\w+[,.]? ?$|^ ?(or|nor|and) (\w+ ){0,2}\w+[.]? ?$|^ ?(\w+ ){1,3}(or|nor) (\w+ ?){1,3}[.]? ?$"
);

fn runs_on(before: &str, own: &str) -> bool {
    before.ends_with(',') && GOES_ON.is_match(own) && !DENIES.is_match(own)
}

fn claim_of(own: &str) -> Claim {
    if SUPPOSES.is_match(own) {
        return Claim::Supposed;
    }
    let plain = AFFIRMS.replace_all(own, "口");
    if DENIES.is_match(&plain) {
        Claim::Denied
    } else {
        Claim::Affirmed
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Claim::{self, Affirmed, Denied, Supposed},
        statements,
    };
    use crate::normalized;

    #[test]
    fn each_statement_is_read_by_itself() {
        let check = |text: &str, expect: &[Claim]| {
            let text = normalized(text);
            let found = statements(&text);
            let claims: Vec<Claim> = found.iter().map(|it| it.claim).collect();
            let pieces: Vec<_> = found.iter().filter_map(|it| text.get(it.bytes.clone())).collect();
            assert_eq!(claims, expect, "{pieces:?}");
            assert_eq!(pieces.concat().replace(' ', ""), text.replace(' ', ""));
        };
        check(
            "Antibiotics do not help, because a virus causes the illness.",
            &[Denied, Affirmed],
        );
        check("Do not take aspirin if you have an ulcer.", &[Denied, Supposed]);
        check("It is not only painful but also itchy.", &[Affirmed, Affirmed]);
        check("There is no fever, rash or cough.", &[Denied, Denied]);
        check("Rest and avoid alcohol.", &[Affirmed, Denied]);
        check("不要喝酒，多休息。", &[Denied, Affirmed]);
        check(
            "如果胸痛，立即就医，特别是老人。",
            &[Supposed, Affirmed, Affirmed],
        );
        check("不得不停药。", &[Affirmed]);
        check("没有不适，没有不痒的。", &[Denied, Affirmed]);
        check("每天不超过5克。", &[Denied]);
        check("无发热、咳嗽，但有皮疹。", &[Denied, Affirmed]);
    }
}
