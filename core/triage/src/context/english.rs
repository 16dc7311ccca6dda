//! English cues.

use super::{Layout, Placed, Polarity, reduced};
use crate::{data::FindingKind, pattern::pattern};

// Words with a negative in them that deny nothing of what follows.
pattern!(
    PSEUDO,
    r"\b(not only|not just|no doubt|no idea|no relief|no better|no improvement|no change|no matter|no one|no energy|no sleep|no (apparent |obvious |known )?(reason|cause|trigger)|(not|isnt|arent|wasnt|werent|dont|doesnt|didnt|havent|hasnt|wont) (really |been |very |even )?(getting|gotten|going|gone|improv\w*|reliev\w*|help\w*|work\w*|able|better|stopp?\w*|resolv\w*|respond\w*|sleep\w*|eat\w*|drink\w*|well|right|normal|too|as|feeling)|dont (know|understand|want|care|remember|drink|smoke|sleep|eat|feel (well|good|right))|didnt (sleep|eat|help|work|know|go|want|stop|take|drink)|doesnt (go|help|stop|work|know|want|improve|respond|get better|eat|drink|feel right|seem)|hasnt (gone|improved|stopped|helped|eaten|been able|peed|got)|havent (slept|eaten|been|taken|peed|pooped|gone|seen|drunk)|isnt (going|getting|helping|working|better|stopping|responding|well|normal)|wont (stop|go|eat|drink|wake|feed)|never (had|felt|experienced|seen) (such|this|anything|so)|nothing (helps|works|has helped)|not to mention|without (relief|success|warning|improvement))\b"
);
pattern!(
    NEGATION,
    r"\b(dont think (i have|i had|he has|she has|its|it is|there is|i am having)|no longer|denies|denied|denying|deny|negative for|free of|free from|absence of|ruled out|rules out|without|neither|never|nor|no|not|none|dont|doesnt|didnt|havent|hasnt|hadnt|isnt|arent|wasnt|werent|lack of|lacks)\b"
);
pattern!(
    SCOPE_ENDS,
    r"\b(but|however|except|although|though|yet|because|just|only|now|then|so|instead|which|started|since|until|i|im|ive|he|she|they|it|my|there|also|has|with|after|when|while|apart|besides|today|yesterday|this morning|plus|suddenly|got|getting|developed)\b|[;:]"
);
pattern!(
    FILLER,
    r"\b(any|a|an|the|of|or|and|nor|other|signs?|symptoms?|history|evidence|such as|like|significant|obvious|known|recent|have|had|having|feel|felt|feeling|experienc\w*|notic\w*|complain\w*|associated with|accompanied by|his|her|more|really|been|at all|for|from|is|are|to|currently|either|very|much|particularly|get|seem|see|new|visible|past|previous|personal|family|associated|in|on)\b|[MS,]"
);
pattern!(
    LIKE_THIS,
    r"^ ?(like this|this bad|as bad|so bad|this severe|like it)\b"
);
pattern!(
    ABSENT_AFTER,
    r"^ ?(:|-|is|are|was|were)? ?(absent|negative|none|nil|no|denied|not present|denies)\b"
);
pattern!(
    OVER_AFTER,
    r"^ ?(is|are|was|were|has|have|had|all|that)? ?(now |since |already |completely |just )?(been )?(gone|resolved|subsided|cleared|went away|disappeared|stopped|vanished|better now|over now|gone away)\b"
);
pattern!(
    PAST,
    r"\b(last year|years? ago|as an? (child|kid|baby|teen\w*|infant)|when (i|he|she) was (a |an )?(child|kid|little|young\w*|small|baby|teen\w*|[0-9]+)|childhood|previously|in the past|used to|back in|in (19[0-9]{2}|20[012][0-9])|once had|in (college|high school|school)|formerly|decades? ago|had .{0,30}months? ago|last (summer|winter|spring|autumn|fall))\b"
);
pattern!(
    HISTORY_OF,
    r"\b(history of|hx of)( (a|an|the|mild|severe|recurrent|chronic|previous|prior|M|S|and|or))* ?$"
);
pattern!(
    STILL,
    r"\b(since|started|began|begun|ongoing|still|keeps?|again|developed|noticed|first|gradually|getting|now|today|back|returned|recurr\w*|come back|continues)\b"
);
pattern!(
    INFORMATION,
    r"\b(what|which)( are| is|re|s)( the| some)?( \w+){0,2} (symptoms?|signs?|causes?|treatments?|risk factors?|complications?|differences?)\b|\b(what|which) (symptoms|signs|foods?|vaccines?) |\b(can|could|does|do|will|would|is|are)\b[^,.]*\b(cause|causes|lead to|trigger|give you|give someone|result in|contagious|hereditary|curable|inherited|preventable|genetic|spread)\b|\bhow (do|can|could|would|to|does|should)( \w+){0,3} (know|tell|prevent|avoid|recogni[sz]e|spot|differ|look|feel|happen|get diagnosed|spread)\b|\bhow (is|are) \w* ?T (treated|diagnosed|prevented|spread|tested)|\bhow (common|long does|long do|dangerous|likely)\b|\bwhat (is|are|s|causes|happens|does)( an?| the| during an?| in an?)? T\b|\b(tell me|explain|information|info|learn|reading|article|curious|lecture|essay|exam|research|presentation) (more )?(about|on)\b|\bdifference between\b|\bwhen should (i|someone|you|people)\b|\b(vaccine|vaccinated|screening|screened|insurance) (for|against)\b|\brisk (of|factors?|for)\b|\bchances? of\b"
);
pattern!(
    OWN_BEFORE,
    r"\b(my|i have|i had|im having|i am having|ive had|ive got|i got|i get|this|these|he has|she has|having|i feel|i was)( (a|an|the|bad|really|very|some|S|M|and|constant|awful|ongoing))* ?$"
);
pattern!(IF_BEFORE, r"\b(if|in case|unless|what if|whether)\b");
pattern!(
    NOT_IF,
    r"\b(as if|even if|only if|see if|worse if|hurts if|like if|better if|know if|sure if|wonder\w* if|whether)\b"
);
pattern!(
    ANYBODY,
    r"\b(if|when|that|whether) (someone|somebody|a person|people|anyone|anybody) (is|has|had|have|gets|might|may)\b"
);
pattern!(
    SUSPICION,
    r"\b(might|may|could be|could have|possibly|possible|maybe|perhaps|suspect\w*|think its|think it is|is it|is this|could it|could this|wonder\w*|not sure if|dont know if|unsure|whether|worried|afraid|scared|fear\w*|probably|likely|rule out|concerned)\b"
);

/// Compiles what every English text needs.
pub(super) fn prepare() {
    let needed = [
        &PSEUDO,
        &NEGATION,
        &SCOPE_ENDS,
        &FILLER,
        &LIKE_THIS,
        &ABSENT_AFTER,
        &OVER_AFTER,
        &PAST,
        &STILL,
        &INFORMATION,
        &ANYBODY,
        &OWN_BEFORE,
        &IF_BEFORE,
        &NOT_IF,
        &SUSPICION,
    ];
    for pattern in needed {
        std::sync::LazyLock::force(pattern);
    }
}

pub(super) fn polarity(text: &str, layout: &Layout, all: &[Placed<'_>], placed: &Placed<'_>) -> Polarity {
    let span = &placed.mention.span;
    let sentence = layout.sentence_of(span);
    let clause = layout.clause_of(span);
    let before = reduced(text, sentence.start..span.start, all, span);
    let after = reduced(text, span.end..sentence.end, all, span);
    let clause_before = reduced(text, clause.start..span.start, all, span);
    let clause_after = reduced(text, span.end..clause.end, all, span);

    if let Some(gap) = placed.mention.gap.clone().and_then(|it| text.get(it))
        && !PSEUDO.is_match(gap)
        && NEGATION.is_match(gap)
    {
        return Polarity::Absent;
    }
    let own = OWN_BEFORE.is_match(clause_before.trim_end()) && !ANYBODY.is_match(&before);
    if !own && INFORMATION.is_match(&format!("{before}T{after}")) {
        return Polarity::Hypothetical;
    }
    if IF_BEFORE.is_match(&clause_before) && !NOT_IF.is_match(&clause_before) {
        return Polarity::Hypothetical;
    }
    if is_negated(&before, &after) && !LIKE_THIS.is_match(&after) {
        return Polarity::Absent;
    }
    if ABSENT_AFTER.is_match(&after) {
        return Polarity::Absent;
    }
    if OVER_AFTER.is_match(&clause_after) {
        return Polarity::Over;
    }
    let near: String = last_words(&clause_before, 5);
    if !own && SUSPICION.is_match(&near) {
        return Polarity::Possible;
    }
    let stays = placed.kind == FindingKind::Condition;
    let words = format!("{clause_before}T{clause_after}");
    let past = PAST.is_match(&words) || HISTORY_OF.is_match(clause_before.trim_end());
    if !stays && past && !STILL.is_match(&words) {
        return Polarity::Over;
    }
    Polarity::Present
}

fn is_negated(before: &str, after: &str) -> bool {
    let before = PSEUDO.replace_all(before, "xx");
    let Some(cue) = NEGATION.find_iter(&before).last() else {
        return false;
    };
    let between = before.get(cue.end()..).unwrap_or_default();
    let between = between
        .replace("associated with", "")
        .replace("accompanied by", "");
    if SCOPE_ENDS.is_match(&between) {
        return false;
    }
    let leftover = FILLER.replace_all(&between, " ").split_whitespace().count();
    let firm = matches!(
        cue.as_str(),
        "denies" | "denied" | "denying" | "deny" | "without" | "negative for" | "free of" | "neither"
    ) || between.trim_start().starts_with("history of");
    let segments: Vec<&str> = between.split(',').collect();
    if segments.len() == 1 && !between.contains(" and ") {
        return leftover <= 3;
    }
    if leftover > 2 * segments.len() {
        return false;
    }
    // In a list: 'no fever, chills or cough' denies all, 'no fever, severe headache' only the first.
    if segments
        .iter()
        .take(segments.len() - 1)
        .any(|it| !it.contains('M'))
    {
        return false;
    }
    let last = between.rsplit([',']).next().unwrap_or_default();
    let newly_stressed = last.contains('S') || last.rsplit(" and ").next().is_some_and(|it| it.contains('S'));
    if firm {
        return true;
    }
    let list_tail = after.trim_end_matches(['.', '!', '?', '\n', ' ']);
    let alternatives = between.contains(" or ") || between.contains(" nor ") || tail_has_or(list_tail);
    let closes = ends_with_list(list_tail) && (between.contains(" and ") || list_tail.contains(" and "));
    !newly_stressed && (alternatives || closes)
}

fn tail_has_or(tail: &str) -> bool {
    pattern!(OR_TAIL, r"^(, ?(S |\w+ )?M)*,? (or|nor) ");
    OR_TAIL.is_match(tail)
}

fn ends_with_list(tail: &str) -> bool {
    pattern!(LIST_TAIL, r"^(, ?M)*(,? and (\w+ )?M)?$");
    LIST_TAIL.is_match(tail)
}

fn last_words(text: &str, count: usize) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words
        .get(words.len().saturating_sub(count)..)
        .unwrap_or_default()
        .join(" ")
}
