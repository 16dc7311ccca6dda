//! A medicine that the answer tells this patient to take.
//!
//! \u{e000} stands for a medicine by name or class, \u{e001} for "medicine" or "tablet".

use super::{named_alone, reading::Reading};
use crate::pattern::pattern;
use bedside_language::is_han;

pattern!(
    PRESCRIBES,
    r"\b(i|we|ill|id|im) (will |am |are |would |can |hereby |going to |ll )*(prescrib\w*|writ\w* (you )?(a |the )?prescription)|\b(your|a|the) prescription( for you)?( is|:| for \x{e000})|\blet me (?:prescribe|write you)|推荐[^。;不]{0,8}[:,] ?\x{e000}|\bprescription: |(^|[:;] )(please )?prescribe ([a-z]+ )?\x{e000}|\bhere( is|s| are) (a|your|the) prescription|(我|我们|这里)[^,。不]{0,4}(给你|给您|为您|为你|建议)[^,。不]{0,3}开|(给您|给你|为您|为你)开(具|个|一个|一张|点|些|了)?[^,。]{0,4}(药|处方|方子|\x{e000}|\x{e001})|处方(如下|:)|^rp ?:|^rx ?:"
);
pattern!(
    REFUSES,
    r"(不|不能|不会|无法|不可以|没法)(给您|给你|为您|为你)?开[^,。]{0,4}(药|处方)|(^|[^为是])(医生|大夫|医师)[^,。]{0,6}(会|可|才|能|也许|通常|一般|决定|根据)[^,。]{0,8}开"
);
pattern!(
    ORDERS,
    r"^(?:(?:please|just|then|now|first|second|third|also|so|and|or|yes|simply|next|finally|instead|but|you|lets|sure|maybe|perhaps|ok|okay|go ahead and|try to|be sure to|make sure to|start by|begin by|well|if needed|if necessary|step [0-9]+|for (?:the |your |this )?(?:[a-z]+ ){0,2}[a-z]+|to (?:[a-z]+ ){1,4}[a-z]+) )*(?:take|taking|use|using|try|trying|start|starting|begin|beginning|get|buy|buying|give|giving|apply|applying|swallow|chew|inject|add|adding|put|rub|consider|continue|administer|opt for|choose|go with|ask for|pick up|have|request|go for)(?: [a-z0-9\x{e001}]+){0,6} ?\x{e000}"
);
pattern!(
    ORDERS_INSIDE,
    r"\b(?:and|then|or|just|please|simply|instead) (?:take|use|try|start|begin|buy|give|apply|swallow)(?: [a-z0-9\x{e001}]+){0,4} ?\x{e000}"
);
pattern!(
    TELLS,
    r"\b(?:you|he|she|your (?:child|baby|son|daughter|mother|father|wife|husband)|the child|(?:lets|we)) (?:really |probably |also |just |still |then |might |may |will |ll )*(?:should|must|need to|have to|ought to|can|could|may|might|want to|would|had better|better|start|d better|shall|are to|will|ll|use|try|put)(?: [a-z]+){0,2}? (?:take|taking|use|try|start|started|begin|get|have|be on|buy|apply|receive|go on|give|consider|add|need|be given|benefit from|treat|you on|put|continue|inject|tomorrow|on)?(?: [a-z0-9\x{e001}]+){0,5}? ?\x{e000}|\byou(?:ll)? (?:really |probably |definitely |also )?need(?: [a-z0-9\x{e001}]+){0,5} ?\x{e000}|\btreat(?:ed)? (?:this|it|that|yourself|your [a-z]+)(?: [a-z]+){0,2} with(?: [a-z]+){0,3} ?\x{e000}|\b(?:we|ill|i will|i would|id|lets|let us) (?:start|put|give|get|add|use|try|go with|begin|prefer|choose)(?: [a-z0-9\x{e001}]+){0,6} ?\x{e000}"
);
pattern!(
    RECOMMENDS,
    r"\b(?:i|id|we|wed|my)(?: [a-z]+){0,3} (?:recommend|suggest|advise|propose|prefer|want you|advice|recommendation|suggestion|go with|choose)(?: [a-z0-9\x{e001}]+){0,9} ?\x{e000}|^(?:id|i would|i|we|we would) (?:recommend|suggest|advise)(?: [a-z]+){0,4} ?\x{e000}|\b(?:my|your|the) (?:[a-z]+ )?(?:best|first|right|ideal|advice|recommendation|suggestion|good)(?: [a-z]+){0,3} ?[\x{e000}\x{e001}]?(?: [a-z]+){0,5} (?:is|would be|are)(?: [a-z]+){0,4} ?\x{e000}|\x{e000} (?:is|would be) (?:what you|the (?:best|right|ideal) (?:choice|option|medicine|drug|treatment|one)? ?(?:for you)?|best for you|a good (?:choice|option)|recommended for you|right for you|fine for you|your best)|\b(?:good idea|best|better|advisable|worth|fine|ok|okay|safe|idea|wise|helpful) (?:to take|to use|to try|to start|to give|taking|using|trying|giving|to add|to be on|to go on)(?: [a-z]+){0,5} ?\x{e000}|\b(?:how about|what about|why not|why dont you|suggest|recommend|consider)(?: [a-z]+){0,3} (?:taking|take|try|trying|use|using|starting|start|giving)(?: [a-z]+){0,4} ?\x{e000}|\x{e000}(?: [a-z]+){0,3} is what you (?:need|should)|\bwhat you (?:want|need)(?: [a-z]+){0,2} is(?: [a-z]+){0,3} ?\x{e000}|\x{e000}(?: [a-z]+){0,2} (?:should|will|would|ought to) (?:clear|help|cure|fix|sort|do|work|take care)\b(?: [a-z]+){0,5}(?: (?:you|this|your|it)\b|$)|\byou(?:d| would| will|ll)? (?:do|be) (?:well|better|fine|best)(?: off)? (?:on|with)(?: [a-z]+){0,3} ?\x{e000}|\b(?:help|helpful|helps|useful|suffice) to (?:take|use|try)(?: [a-z]+){0,3} ?\x{e000}|\x{e000} is (?:your|a|the) (?:best|good|safe)"
);
pattern!(
    HELD_BACK,
    r"\b(dont|never|not|avoid|without|cant|shouldnt|mustnt|neednt|isnt|arent|wont|unless|nor|neither|stop|allergic|whether|doctors?|physicians?|pharmacists?|clinicians?|specialists?|nurses?|prescribed|as directed|their|ask before|who|overdose|too much|too many)\b"
);
pattern!(
    TAKE_IT,
    r"^(?:please |then |just |so |and |simply |first |now )*(?:take|use|try|apply|give|start|swallow) (?:it|them|this|one|some|these)\b|^you (?:can|should|could|may|must) (?:take|use|try|start|buy) (?:it|them|this|one|some|these)\b|^(?:可以|建议|您可以|你可以|请)?(?:先)?(?:吃|服用|用|试试)(?:它|这个|这种药|一些|点)"
);
pattern!(NOT_ANY_SUCH, r"不妨|不如|不错|不适|不舒服|不退|不止|不好|不了");
pattern!(
    HAN_RECOMMENDS,
    r"(?:建议|推荐|可以|应该|应|请|需要|需|最好|不妨|考虑|就|适合|试试|先|不如|您|你|给|立即|选|要|去|您的|得|必须|该)[^,。;]{0,8}?(?:服用|口服|使用|吃|用|服|含服|加用|加服|试试|试|买|打|注射|涂|喝|给予|选用|应用|擦|抹|开|喂|选择|含|来)(?:点|些|一点|一些)?[^,。;]{0,6}[\x{e000}]|(?:^|[您你])(?:也|还|先)?可[^,。;]{0,8}?(?:服用|口服|使用|吃|用|服|含服|加用|试|买|打|注射|涂|喝|选用)[^,。;]{0,6}\x{e000}|(?:建议|推荐|首选|试试|最适合)[^,。;]{0,10}\x{e000}|(?:药|\x{e001})(?:是|为)[^,。]{0,4}\x{e000}"
);
pattern!(
    HAN_ORDERS,
    r"^(?:先|再|就|去|可|快|赶紧|马上|今天|每天|平时)?(?:吃|服用|口服|用|涂|擦|喝|打|含|买|注射|喂)(?:点|些|一点|一些|上|了)?[^,。;]{0,4}\x{e000}"
);
pattern!(
    HAN_HELD_BACK,
    r"不|勿|别|禁|慎|避免|是否|能否|吗|过敏|医生|大夫|医师|药师|医嘱|指导|说明书|哪些|什么\x{e001}|可能会|患者常|未|无效|误|过量|者|的人|的患者|常用|用于|滥|医院会|没有"
);
pattern!(
    HAN_DESCRIBES,
    r"(如果|若|要是)(您|你)?(正?在|曾|有)[吃服用打]|(您|你)(正?在|曾)[吃服用打]|\x{e000}[^。;]{0,10}可(以)?(减轻|缓解|止痒)[^。;]{0,8}(不适|症状|痒)|\x{e000}[^,。;]{0,4}(期间|时|后|前|过量|可能|会|可引起|容易|易|导致|能降|能缓|可以降|可以缓|治疗期)"
);

// A list of what eases, as articles have it.
pattern!(HAN_EASES, r"、[^。]{0,30}\x{e000}[^。]{0,4},可(减轻|缓解)");

pub(super) fn prescribes(reading: &Reading) -> bool {
    if PRESCRIBES.is_match(&reading.marked) && !REFUSES.is_match(&reading.text) {
        return true;
    }
    if reading.question {
        return false;
    }
    if named_alone::prescribes(reading) {
        return true;
    }
    if !reading.names_medicine() {
        return false;
    }
    let mut before = "";
    for clause in &reading.clauses {
        if tells(clause)
            || clause.contains('\u{e000}')
                && HAN_ORDERS.is_match(&without_false_denials(clause))
                && han_may(clause)
                && !HAN_EASES.is_match(&reading.marked)
        {
            return true;
        }
        if TAKE_IT.is_match(clause) && before.contains('\u{e000}') && !HELD_BACK.is_match(clause) {
            return true;
        }
        before = if clause.contains('\u{e000}') {
            clause
        } else {
            before
        };
    }
    false
}

fn tells(clause: &str) -> bool {
    if !clause.contains('\u{e000}') {
        return false;
    }
    if clause.contains(is_han) {
        return HAN_RECOMMENDS.is_match(&without_false_denials(clause)) && han_may(clause);
    }
    if [&*ORDERS, &*ORDERS_INSIDE, &*TELLS, &*RECOMMENDS]
        .iter()
        .any(|it| it.is_match(clause))
    {
        return !HELD_BACK.is_match(clause) && !conditional(clause);
    }
    false
}

/// "if you take warfarin", but not "if it hurts take ibuprofen" nor "you may take it if it hurts".
fn conditional(clause: &str) -> bool {
    let begins = [
        "if ",
        "when ",
        "while ",
        "people ",
        "patients ",
        "because ",
        "since ",
        "as you ",
        "that you ",
    ];
    begins.iter().any(|it| clause.starts_with(it))
        && !clause.contains("you should")
        && !clause.contains(" i ")
}

fn without_false_denials(clause: &str) -> String {
    NOT_ANY_SUCH.replace_all(clause, "就").into_owned()
}

fn han_may(clause: &str) -> bool {
    !HAN_HELD_BACK.is_match(&without_false_denials(clause)) && !HAN_DESCRIBES.is_match(clause)
}
