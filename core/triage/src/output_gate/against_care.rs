//! The plainest words against care, which need no reader: "you do not need a doctor", 不用去医院.

use super::reading::Reading;
use crate::pattern::pattern;

pattern!(
    DENIES_CARE,
    r"\b(no need|not need|dont need|doesnt need|neednt|no reason|not necessary|isnt necessary|no point|dont bother|not worth)( (to|for|in))?( (see|seeing|go|going|visit|visiting|call|calling|consult|have|be seen by))?( to)?( (a|an|any|the|your|that))? (doctors?|physicians?|hospitals?|ambulances?|emergency (room|department|services?)|er|clinics?|medical (care|help|attention)|specialists?)\b"
);
pattern!(
    FORBIDS_CARE,
    r"((^|[^a-z ] ?|\b(please|so|just|simply|better) )(do not|dont|never)|\byou (should|must) not|\byou (shouldnt|mustnt)) (call|phone|ring|dial|go to|visit|see|consult|trust|listen to)( (a|an|the|your|any))? (ambulances?|doctors?|physicians?|hospitals?|emergency (room|department|services?)|er|clinics?|911|999|112|120)\b|\b(doctors?|physicians?|hospitals?|ambulances?|clinics?)( (is|are|would be|will be|were|was))? (just |only |all )?(useless|pointless|worthless|a waste of (time|money))\b"
);
// What goes with care and is not needed.
pattern!(
    NO_CARE,
    r"\b(notes?|letters?|referrals?|appointments?|visits? for)\b"
);
pattern!(
    BELITTLES,
    r"\bthere(s| is) nothing (for you )?to worry about|\b(definitely|certainly|surely) (not|no) (a |an )?(cancer|tumou?r|stroke|heart attack)|\b(completely|perfectly|totally|absolutely) harmless\b|\byou( are|re) (perfectly|completely|totally|absolutely|entirely) (healthy\b|fine\W*$)|\bstay (at )?home (whatever|no matter)"
);
pattern!(
    HEDGES,
    r"\b(but|if|unless|until|usually|most|many|cant|cannot|not (say|tell|promise|mean)|wont)\b"
);
pattern!(
    HAN_DENIES_CARE,
    r"((^|[^特分区个性级告离派类差])别|不要|不用|不必|不需要|无需|没必要|没有必要|用不着)(再|特意|专门|急着|马上)?(去|看|叫|上|找|打|跑)?(任何|什么)?(医院|医生|大夫|就医|急诊|救护车|120|看病)($|[^的开预转证同检])|(肯定|绝对|一定)(没事|不是癌|不是肿瘤|不是心梗|不是中风)|没什么(好|可)担心的|[您你](的身体)?(完全|十分|绝对|非常)(健康|没病|没事)($|[^的饮生])"
);
// A question that is answered at once: "Do you need a doctor? No."
pattern!(
    ANSWERED_NO,
    r"\b(doctors?|physicians?|hospitals?|emergency (room|department)|er|ambulances?)\s?\?\s*(no|nope|no need|not needed|not necessary)\W*$|(救护车|医院|医生|大夫|急诊|看病|就医)吗?[？?，,]?\s*(不用|不必|不需要|没必要|没有必要)了?[。.!！]?$"
);
pattern!(HAN_HEDGES, r"但|如果|若|除非|一般|多数|大多|通常|不能|无法|不敢");

/// Whether care is asked about and denied in a word.
pub(super) fn answers_no(reading: &Reading) -> bool {
    ANSWERED_NO.is_match(reading.text.trim_end())
}

pub(super) fn speaks(reading: &Reading) -> bool {
    let text = reading.text.as_str();
    answers_no(reading)
        || !reading.question
            && ((DENIES_CARE.is_match(text) && !NO_CARE.is_match(text)
                || FORBIDS_CARE.is_match(text)
                || BELITTLES.is_match(text))
                && !HEDGES.is_match(text)
                || HAN_DENIES_CARE.is_match(text) && !HAN_HEDGES.is_match(text))
}
