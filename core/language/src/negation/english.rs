//! English cues.

use std::ops::Range;

use super::{Layout, Polarity, Span, SpanKind, clause_around, reduced};
use crate::pattern;

// Words with a negative in them that deny nothing of what follows.
pattern!(
    PSEUDO,
    r"\b((not|isnt|arent|wasnt|werent|dont|doesnt|didnt) (only|just|merely)|no doubt|no idea|no relief|no better|no improvement|no matter|no one|nobody|no (more|less|fewer|longer) than|no (significant |real |definite |interval |suspicious )?(change|increase|worsening|difference|progression|decrease|let up|effect)|no lack of|no energy|no sleep|no (apparent |obvious |known )?(reason|cause|trigger)|(not|isnt|arent|wasnt|werent|dont|doesnt|didnt|havent|hasnt|wont) (really |been |very |even )?(getting|gotten|going|gone|improv\w*|reliev\w*|help\w*|work\w*|able|better|stopp?\w*|resolv\w*|respond\w*|sleep\w*|eat\w*|drink\w*|well|right|normal|too|as|feeling)|dont (know|understand|want|care|remember|drink|smoke|sleep|eat|feel (well|good|right))|didnt (sleep|eat|help|work|know|go|want|stop|take|drink)|doesnt (go|help|stop|work|know|want|improve|respond|get better|eat|drink|feel right|seem)|hasnt (gone|improved|stopped|helped|eaten|been able|peed|got)|havent (slept|eaten|been|taken|peed|pooped|gone|seen|drunk)|isnt (going|getting|helping|working|better|stopping|responding|well|normal)|wont (stop|go|eat|drink|wake|feed)|never (had|felt|experienced|seen) (such|this|anything|so)|nothing (helps|works|has helped)|not to mention|without (relief|success|warning|improvement|treatment|medication|medicine|help|difficulty|delay)|gram negative|not (necessarily|surprising\w*|certain)|not without|never without|(cant|couldnt|dont|doesnt|didnt|never) (go|goes|get through|spend|pass) (an? |one )?(single )?(day|night|hour|minute|week)( or \w+)? without|not (much|many|a lot)|no denying|cant deny|(not|wasnt|isnt|hasnt been) an? (single )?(day|hour|minute|night) (goes by )?without|(hasnt|havent|hadnt|isnt|arent|wasnt|werent|never|dont|doesnt) (been |go |goes |gone |had )?(an? (day|night|hour|minute|week) )?(without|free (of|from))|(not|never|isnt|arent) free (of|from)|no (day|night|hour) without|(cant|couldnt|wouldnt|dont|not) (say|claim|deny|pretend)( that)?( (i|he|she|it|we|they|there))?( (am|is|are|was|have|has|had))? (dont|doesnt|didnt|isnt|arent|havent|hasnt|not|no|free of|without)|isnt (nothing|free of|without)|(not|isnt|wasnt)( true| right| correct)? that (i|he|she|it|we|they|there|(my|the|his|her) (\w+|M))( (have|has|had|am|is|are))? (no|not|dont|doesnt|didnt|isnt|hasnt|havent|isnt|arent)|no longer (able|capable)|not the first|not for the first)\b"
);
pattern!(
    NEGATION,
    r"\b(dont think (i have|i had|he has|she has|its|it is|there is|i am having)|denies|denied|denying|deny|negative for|free of|free from|absence of|ruled out|rules out|excluded?|excludes|fail(s|ed) to (show|reveal|find)|no longer|no more|not any ?more|hardly (any|ever)|barely any|without|neither|never|nor|no|not|none|dont|doesnt|didnt|havent|hasnt|hadnt|isnt|arent|wasnt|werent|lack of|lacks)\b"
);
// "No one in my family has diabetes."
pattern!(
    NOBODY_HAS,
    r"\bneither (of (us|them|(my|our|his|her) \w+)|(\w+ ){1,3}nor (\w+ ?){1,2}) (has|have|had|gets?|got|suffers?( from)?|is|are)\b|\bwhy (dont|doesnt|didnt|havent|hasnt|isnt) (i|he|she|we|they|you|my \w+)( (have|has|had|feel|get|got))?\b|\b(no ?one|nobody|none)( (in|of|on) (my |the |our |his |her )?\w+( \w+)?| else)? (ever )?(has|have|had|gets?|got|suffers?( from)?|is|was)\b"
);
// "She no longer has dizziness."
pattern!(
    NO_LONGER_HAS,
    r"\bno longer (has|have|had|having|gets?|got|feels?|felt|suffers?( from)?|experiences?)\b"
);
pattern!(
    SCOPE_ENDS,
    r"\b(but|however|except|although|though|yet|because|just|only|now|then|so|instead|which|started|since|until|i|im|ive|he|she|they|it|my|there|also|has|with|after|when|while|apart|besides|today|yesterday|this morning|plus|suddenly|got|getting|developed|presents|presented|presenting|positive|complains|reports|reported|noted|examination|for the (past|last)|[0-9]+ ?(minutes?|mins?|hours?|hrs?|days?|weeks?|months?|years?|yo|yrs?|d|h|w)|[0-9]+ (out of|pounds?|kg))\b|[;:]|[0-9]+(/|\.[0-9])"
);
pattern!(
    FILLER,
    r"\b(any|a|an|the|of|or|and|nor|other|signs?|symptoms?|history|evidence|such as|like|significant|obvious|known|recent|have|had|having|feel|felt|feeling|experienc\w*|notic\w*|complain\w*|associated with|accompanied by|his|her|more|really|been|at all|for|from|is|are|to|currently|either|very|much|particularly|get|seem|see|new|visible|past|previous|personal|family|associated|in|on)\b|[MS,]"
);
pattern!(NOT_PREFIX, r"\bnon ?$");
pattern!(
    LIKE_THIS,
    r"^ ?(like this|this bad|as bad|so bad|this severe|like it)\b"
);
pattern!(
    ABSENT_AFTER,
    r"^( ?(,|and|or|, and|, or) M)* ?(:|-|is|are|was|were|has been|have been)? ?((absent|negative|not present|unremarkable|unlikely|ruled out|excluded|not (raised|elevated|seen|noted|felt|there|found))\b|(none|nil|no|denied|denies) ?($|[,.;)!?\n]))|^( ?(,|and|or|, and|, or) M)* ?(isnt|arent|wasnt|werent) (present|raised|elevated|seen|noted|felt|there|found)\b"
);
pattern!(
    OVER_AFTER,
    r"^ ?,? ?(but|and|which|that)? ?(now )?(its|(it|they|this|that|he|she|those|these|i)( all| both)?)? ?(is|are|was|were|has|have|had|s|all|that)? ?(now |since |already |completely |fully |mostly |just |then |all |quickly )*(been )?(gone|resolved|subsided|cleared|cleared up|settled|went away|disappeared|stopped|vanished|better now|over now|gone away|went down|passed off|wore off)\b"
);
pattern!(
    PAST,
    r"\b(last year|years? ago|as an? (child|kid|baby|teen\w*|infant)|when (i|he|she) was (a |an )?(child|kid|little|young\w*|small|baby|teen\w*|[0-9]+|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen)|childhood|previously|in the past|used to|back in|in (19[0-9]{2}|20[012][0-9])|once had|in (college|high school|school)|formerly|decades? ago|had .{0,30}months? ago|last (summer|winter|spring|autumn|fall))\b"
);
pattern!(
    HISTORY_OF,
    r"\b(history of|hx of)( (a|an|the|mild|severe|recurrent|chronic|previous|prior|M|S|and|or))* ?$"
);
// "I had chest pain yesterday but not today."
pattern!(
    NOT_NOW,
    r"^[^M]*\b(but|and|though) (its |it is )?(not|isnt|none|gone|no more)( \w+)? (today|now|any ?more|this (morning|evening)|at (the moment|present))\b"
);
// "3-week history of headaches": they are there.
pattern!(
    LASTING,
    r"\b(hour|day|week|fortnight|month|year)s? (long )?(history|hx) of\b"
);
pattern!(
    STILL,
    r"\b(since|started|began|begun|ongoing|still|keeps?|again|developed|noticed|first|gradually|getting|now|today|back|returned|recurr\w*|come back|continues)\b"
);
// "I had a heart attack in 2019 and feel great now."
pattern!(
    WELL_NOW,
    r"\b(feel|feels|feeling|am|im|is|are|been|hes|shes|doing|all) (\w+ )?(great|fine|well|ok|okay|good|recovered|healthy|normal|sorted)\b"
);
// Cues that make what follows them a matter of interest: "what are the symptoms of M".
pattern!(
    ASKS_ABOUT,
    r"\b(what|which)( are| is|re|s)( the| some)?( \w+){0,2} (symptoms?|signs?|causes?|treatments?|risk factors?|complications?|differences?)\b|\b(what|which) (symptoms|signs|foods?|vaccines?) |\b(should|can|could|may|shall) (i|we|he|she|you|one|my \w+) (\w+ ){0,2}(take|use|give|try|eat|drink)( \w+){0,3} ?$|\b(can|could|does|do|will|would|is|are)\b[^,.]*\b(cause|causes|lead to|trigger|give you|give someone|result in)\b|\bhow (do|can|could|would|to|does|should)( \w+){0,3} (know|tell|prevent|avoid|recogni[sz]e|spot|differ|look|feel|happen|get diagnosed|spread)\b|\bhow (is|are) \w* ?$|\bhow (common|long does|long do|dangerous|likely)\b|\bwhat (is|are|s|causes|happens|does)( an?| the| during an?| in an?)? ?$|\b(tell me|explain|information|info|learn|reading|article|curious|lecture|essay|exam|research|presentation) (more )?(about|on)\b|\bdifference between\b|\b(vaccine|vaccinated|screening|screened|insurance) (for|against)\b|\b(symptoms?|signs) of\b"
);
// Weaker: among several complaints they are a question about them.
pattern!(
    ASKS_WHEN,
    r"\bwhen should (i|someone|you|people)\b|\brisk (of|factors?|for)\b|\bchances? of\b"
);
pattern!(
    ASKED_BEFORE,
    r"\b(is|are|can|could|does|do|will|would)( an?| the| my| too much| bad)? ?$"
);
pattern!(
    ASKED_AFTER,
    r"^ ?(attacks? |also |really |even )?(be |get |you )?(contagious|hereditary|curable|inherited|preventable|genetic|(an?|the|my) (reason|sign|problem|cause|symptom)|spread|cause|lead to|trigger|give you|make you|bring on|do this|do that)\b"
);
pattern!(
    TOPIC_AFTER,
    r"^( attack| disease)? ?(symptoms?|signs|causes|treatments?|risk factors?|vaccines?|screening|prevention|awareness|runs? in (the )?famil(y|ies))\b"
);
// A topic and a question on it: "Stroke: what are the signs?"
pattern!(
    QUESTION_AFTER,
    r"^ ?[:,-]? ?(what|which|how|when|can|is) .*\b(symptoms?|signs?|causes?|treated|prevent\w*|treatments?|know|tell|recogni[sz]e|go)\b"
);
// Nobody is spoken of, and what is asked holds for all: "Does vomiting blood always mean an ulcer?"
pattern!(
    ASKS_OF_ALL,
    r"^ *(so |but |and |also |hi,? |hello,? )*(is|are|does|do|can|could|will|would|which|how|why|what|whats|where|when|who)\b.*\b(always|ever|usually|typically|means?|painful|contagious|hereditary|covered|costs?|insurance|medicare|medicaid|preventable|curable|treatable|common|rare|cancer|different|difference|called|people|someone|children|adults|toddlers?|dogs?|cats?|humans?|course|charge|charged|refund\w*|reimburs\w*)\b"
);
pattern!(
    SOMEBODY,
    r"\b(i|im|ive|id|my|me|mine|he|hes|his|him|she|shes|her|we|our|us|it|its|this|that|these|those|now|today|tonight|suddenly|just)\b"
);
// Papers, places and services that bear the name of an illness.
pattern!(
    ERRAND_AFTER,
    r"^( (admission|hospital|outpatient|support|discharge))? ?(notes|records?|unit|ward|follow ?up|appointment|letter|form|insurance|cover|claim|certificate|hotline|helpline|charity|awareness|course|workshop|policy|alarm|detector|prevention line|nurse)s?\b"
);
pattern!(
    HAS_IT_NOW,
    r"\b(i|he|she|my \w+) (have|has|got|am having|is having|feel|feels) (it|this|that|them|these|those|both|all)( of (it|them|these|those))?\b|\bim having (it|this|them)\b|\bthis is happening\b|\bhappening (to (me|him|her) )?(right )?now\b|\bi have it now\b|\bthats (what|how) (i|he|she)\b"
);
pattern!(
    OWN_BEFORE,
    r"\b(my|i have|i had|im having|i am having|ive had|ive got|i got|i get|this|these|he has|she has|having|i feel|i was)( (a|an|the|bad|really|very|some|S|M|and|constant|awful|ongoing))* ?$"
);
pattern!(IF_BEFORE, r"\b(if|in case|unless|what if|whether)\b");
pattern!(IS_SO, r"\b(and|but) (now )?(i|im|ive|he|hes|she|shes|my)\b");
pattern!(
    NOT_IF,
    r"\b(as if|even if|only if|see if|worse if|hurts if|like if|better if|know if|sure if|wonder\w* if|whether)\b"
);
// Not imagined: "what if" asks about what was done, "what do I do if my baby is not breathing" is asked over the baby.
pattern!(
    DONE_ALREADY,
    r"\bif (i|we|he|she|my \w+) (just |have |has |had |already )*(took|taken|swallowed|drank|drunk|ate|eaten|overdosed|cut|hit|injected|inhaled|fell|fainted|collapsed)\b|\b(what|how) (do|should|can|could|shall|must|would)( i| we| one)?( \w+){0,4} if (my|our|the) \w+|\bwhat to do if (my|our|the) \w+"
);
pattern!(
    ANYBODY,
    r"\b(if|when|that|whether) (someone|somebody|a person|people|anyone|anybody) (is|has|had|have|gets|might|may)\b"
);
// "Do I have diabetes?"
pattern!(
    ASKS_WHETHER,
    r"\b(do|does|did|could|can|might) (i|he|she|we|they|my \w+) (really |maybe |also )?(have|has|got|suffer from)( an?| some| the)? ?$|\b(are you (saying|telling me|suggesting)|(does|would|could) (this|that|it) mean|did you say)( that)? (i|he|she|we|they|my \w+) (have|has|had|am|is)( an?| some| the)? ?$|^ *(so |but |and )?(isnt|couldnt|wasnt) (this|that|it)( be)?( just)?( an?| the)? ?$"
);
pattern!(
    SUSPICION,
    r"\b(might|may|could be|could have|possibly|possible|maybe|perhaps|any chance( that)? (its|it is|this is|i have)|unlikely to be|suspect\w*|think its|think it is|is it|is this|could it|could this|wonder\w*|not sure if|dont know if|unsure|whether|worried|afraid|scared|fear\w*|probably|likely|rule out|concerned)\b"
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
        &ASKS_ABOUT,
        &ASKS_WHEN,
        &ASKED_BEFORE,
        &TOPIC_AFTER,
        &QUESTION_AFTER,
        &NOT_PREFIX,
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

pub(super) fn polarity(text: &str, layout: &Layout, all: &[Span], target: &Span) -> Polarity {
    let span = &target.bytes;
    let sentence = layout.sentence_of(span);
    let clause = layout.clause_of(span);
    let before = reduced(text, sentence.start..span.start, all, span);
    let after = reduced(text, span.end..sentence.end, all, span);
    let clause_before = reduced(text, clause.start..span.start, all, span);
    let clause_after = reduced(text, span.end..clause.end, all, span);

    if let Some(gap) = target.gap.clone().and_then(|it| text.get(it))
        && !PSEUDO.is_match(gap)
        && NEGATION.is_match(gap)
    {
        return Polarity::Absent;
    }
    let own = OWN_BEFORE.is_match(clause_before.trim_end()) && !ANYBODY.is_match(&before);
    let whole = text.get(sentence.clone()).unwrap_or_default();
    let named_only =
        matches!(target.kind, SpanKind::Complaint | SpanKind::Condition) && ERRAND_AFTER.is_match(&after);
    if named_only || !own && (is_information(text, target.kind, &before, &after) || asks_of_all(whole)) {
        return Polarity::Hypothetical;
    }
    let supposed = IF_BEFORE
        .find_iter(&clause_before)
        .last()
        .and_then(|it| clause_before.get(it.end()..));
    // "Call if I have chest pain and I have it now."
    let imagined = supposed.is_some_and(|it| !(IS_SO.is_match(it) && text.contains("now")))
        && !NOT_IF.is_match(&clause_before);
    if imagined && !DONE_ALREADY.is_match(text.get(sentence.clone()).unwrap_or_default()) {
        return Polarity::Hypothetical;
    }
    if NOT_PREFIX.is_match(&before) {
        return Polarity::Absent;
    }
    if ASKS_WHETHER.is_match(&clause_before) && clause_after.trim_start().starts_with('?') {
        return Polarity::Possible;
    }
    if !LIKE_THIS.is_match(&after) {
        let listed = || is_negated(&list_before(text, layout, all, span, &before, &after)?, &after);
        if let Some(denial) = is_negated(&before, &after).or_else(listed) {
            return denial;
        }
    }
    if ABSENT_AFTER.is_match(&after) {
        return Polarity::Absent;
    }
    if OVER_AFTER.is_match(&clause_after) || NOT_NOW.is_match(&clause_after) {
        return Polarity::Over;
    }
    let near: String = last_words(&clause_before, 5);
    if !own && SUSPICION.is_match(&near) {
        return Polarity::Possible;
    }
    let stays = target.kind == SpanKind::Condition;
    let words = format!("{clause_before}T{clause_after}");
    let past = PAST.is_match(&words)
        || HISTORY_OF.is_match(clause_before.trim_end()) && !LASTING.is_match(&clause_before);
    let goes_on = || {
        let (before, after) = clause_around(text, layout, span);
        (STILL.is_match(before) || STILL.is_match(after)) && !WELL_NOW.is_match(after)
    };
    if !stays && past && !goes_on() {
        return Polarity::Over;
    }
    Polarity::Present
}

/// Asked out of interest. A complaint that stands before the question is there, whatever is asked about it.
fn is_information(text: &str, kind: SpanKind, before: &str, after: &str) -> bool {
    let complaint = kind == SpanKind::Complaint;
    let alone = !before.contains('M') && !after.contains('M');
    let asked = ASKS_ABOUT.is_match(before)
        || ASKS_WHEN.is_match(before) && (!complaint || alone)
        || ASKED_BEFORE.is_match(before) && ASKED_AFTER.is_match(after)
        || TOPIC_AFTER.is_match(after) && (!complaint || alone)
        || !complaint && alone && QUESTION_AFTER.is_match(after);
    asked && !HAS_IT_NOW.is_match(text)
}

/// `sentence` asks what holds for everybody.
fn asks_of_all(sentence: &str) -> bool {
    sentence.contains('?') && ASKS_OF_ALL.is_match(sentence) && !SOMEBODY.is_match(sentence)
}

/// "Denies: fever; cough; rash": what stands before a bare item of such a list, the list included.
fn list_before(
    text: &str,
    layout: &Layout,
    all: &[Span],
    span: &Range<usize>,
    before: &str,
    after: &str,
) -> Option<String> {
    let bare = |it: &str| {
        FILLER
            .replace_all(it, "")
            .trim_matches([' ', '.', ';', ',', '\n'])
            .is_empty()
    };
    if !bare(before) || !bare(after) {
        return None;
    }
    let mut start = layout.sentence_of(span).start;
    for _ in 0..LONGEST_LIST {
        let Some(earlier) = text.get(..start).filter(|it| it.trim_end().ends_with(';')) else {
            break;
        };
        start = layout
            .sentence_of(&(earlier.trim_end().len() - 1..earlier.trim_end().len()))
            .start;
    }
    let list = reduced(text, start..span.start, all, span);
    DENIED_LIST.is_match(&list).then(|| list.replace(';', ","))
}

pattern!(
    DENIED_LIST,
    r"\b(denies|denied|denying|negative( for)?|absent|no) ?[:-][^.!?\n]*;"
);

/// Items of a list with semicolons.
const LONGEST_LIST: usize = 12;

/// What the last cue before the target makes of it, if it reaches it.
fn is_negated(before: &str, after: &str) -> Option<Polarity> {
    let before = NOBODY_HAS.replace_all(before, "no");
    let before = NO_LONGER_HAS.replace_all(&before, "no longer");
    let before = PSEUDO.replace_all(&before, "xx");
    let cue = NEGATION.find_iter(&before).last()?;
    let between = before.get(cue.end()..).unwrap_or_default();
    let between = between
        .trim_start_matches([' ', ':', '-'])
        .replace("associated with", "")
        .replace("accompanied by", "");
    if SCOPE_ENDS.is_match(&between) || !reaches(cue.as_str(), &format!(" {between}"), after) {
        return None;
    }
    let was = matches!(
        cue.as_str(),
        "no longer" | "no more" | "not anymore" | "not any more"
    );
    Some(if was { Polarity::Over } else { Polarity::Absent })
}

fn reaches(cue: &str, between: &str, after: &str) -> bool {
    let leftover = FILLER.replace_all(between, " ").split_whitespace().count();
    let firm = matches!(
        cue,
        "denies" | "denied" | "denying" | "deny" | "without" | "negative for" | "free of" | "neither"
    ) || between.trim_start().starts_with("history of");
    let segments: Vec<&str> = between.split(',').collect();
    if segments.len() == 1 && !between.contains(" and ") {
        return leftover <= 3;
    }
    if leftover > 2 * segments.len() {
        return false;
    }
    // In a list: 'no fever, chills or cough' denies all, 'no fever, severe headache' only the first. Nobody knows all
    // items: 'no warning signs, fever or rash'.
    let list_tail = after.trim_end_matches(['.', '!', '?', '\n', ' ']);
    let alternatives = between.contains(" or ") || between.contains(" nor ") || tail_has_or(list_tail);
    let items = segments.iter().take(segments.len() - 1);
    let mut unknown = items.filter(|it| !it.contains('M'));
    if unknown.any(|it| !(alternatives || firm) || !may_be_an_item(it)) {
        return false;
    }
    let last = between.rsplit([',']).next().unwrap_or_default();
    let newly_stressed = last.contains('S') || last.rsplit(" and ").next().is_some_and(|it| it.contains('S'));
    if firm {
        return true;
    }
    let closes = ends_with_list(list_tail) && (between.contains(" and ") || list_tail.contains(" and "));
    !newly_stressed && (alternatives || closes)
}

/// Up to three words that name something one may have: no "no idea, …", no "no problem, i …".
fn may_be_an_item(words: &str) -> bool {
    pattern!(
        NO_ITEM,
        r"\b(idea|clue|problem|problems|doubt|reason|wonder|worries|thanks|matter|way|luck|joke|one|body|need|point|rush|sleep|food|money|more|longer|answer|help|i|im|ive|my|we|he|she|they|it|its|is|are|was|were|has|have|had|can|cant|will|should|please|sorry|yet|now|today)\b"
    );
    words.split_whitespace().count() <= 3 && !NO_ITEM.is_match(words)
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
