//! A medicine by its name in a sentence that neither describes it, nor warns, nor leaves it to a doctor: that is
//! read as advice to take it. Fails closed.

use super::{reading::Reading, words::NAMED};
use crate::pattern::pattern;
use bedside_language::is_han;

/// Words of a sentence that is an order or a bare name; longer ones tell by their words whether they advise.
const SHORT: usize = 12;
const SHORT_HAN: usize = 20;

pattern!(
    DESCRIBES,
    r"\x{e000}( \x{e001})?( (type|like|such|as|based|containing|medicines?|drugs?|levels?|tests?|use|treatment|therapy|tablets?|creams?|deficiency|resistance|allergy|poisoning|overdose|and|or|from|in|of|at|with|for|to|that|which|the|an?|[a-z]+)){0,7} ?(is|are|was|were|can|could|may|might|belongs?|belonging|lowers?|reduces?|relaxes|thins?|blocks?|slows?|stops?|makes?|increases?|raises?|acts?|works?|prevents?|treats?|relieves?|eases?|kills?|has|have|had|comes?|contains?|does|do|hold|holds|needs?|should be|must|help|helps|interact|interacts|affects?|causes?|lets?|keeps?|protects?|irritates?|damages?|harms?|thicken|weaken|include|includes|appears?|varies|depends?)\b"
);
pattern!(
    SPEAKS_OF_OTHERS,
    r"\b(some|many|most|few) (people|patients|adults|children|women|men)|\b(people|patients|those|anyone|children|teenagers|women|men|infants|babies) (who|with|on|under|over|taking|should|need|can|may|are|have|get|must)|\b(causes?|caused|causing|include|includes|including|triggers?|risk factors?|side effects?|reactions?|allerg\w+|overdose|poison\w*|interact\w*|resistan\w*|after|during|long use|long term use|use of|used for|lack of|too little|too much|rich in|found in|levels?|deficien\w+|contain\w*|called|named|known as|kinds? of|types? of|group of|class of|blood tests?|tests? for|history|stud(y|ies)|research|discovered|because of|due to|comes? from|come from|produc\w+|natural(ly)?|hormones?|is used|are used|used as|used to|relationship|between|stor(e|ed|ing)|keep|fridge|tips|when taking|before taking|while taking|known)\b|\bunder ([a-z]+ ){0,4}[\x{e000}]|\b(before|without) ([a-z]+ ){0,2}[\x{e000}]|\b(swallowed|diabetes|disease|trained helper|pen)\b|\byou (take|are taking|were taking|use|have taken|took|are on|were given|are allergic)|\b(tell|inform|ask|show|bring)( [a-z]+){0,3} (doctor|staff|pharmacist|nurse|team|list|us|me)|\bif you (take|use|have|are|were|took)|\b(doctors?|physicians?|pharmacists?|specialists?|hospitals?|surgeons?|nurses?|clinicians?|providers?|professionals?|team|prescri\w+|leaflet|label|directed|instructions?|as advised|advice)\b"
);
pattern!(
    DENIES,
    r"\b(not|never|avoid|avoiding|without|dont|doesnt|isnt|arent|cant|wont|shouldnt|mustnt|neednt|unless|nor|neither|no|stop|whether|rarely|seldom|dangerous|careful|caution|instead of|only)\b"
);
// These advise, whatever else the sentence says.
pattern!(
    ADVISES,
    r"\b(suitable|right|best|good|ideal|perfect|enough|fine|safe|safest|recommended|indicated|appropriate|advisable|necessary|needed|required|helpful|useful)( (drug|medicine|choice|option|thing|treatment|one|replacement|pick))? (for|in) (you|your|this|that|such|him|her|the)\b|\b(what|all) you (need|require|want)|\b(way to go|does the trick|do the trick|will fix|will cure|will clear|will sort|will help you|should help you|nothing beats|try|go for|go with|start|use it|take it|order some|grab|get|buy|pick up|have some|you need|you want|youll want|youd want|you should|you must|you ought|you could|you can|you may|you might|you would|youd|id|i would|i suggest|i recommend|i advise|i prescribe|we will|well|lets|let us|your (treatment|medicine|drug|prescription))\b|(should|can|could|may|might|must|ought to|needs? to) be (taken|used|tried|given|started|applied|swallowed)|\bwould (help|protect|suit|cure|fix|clear|do|work|ease|relieve|be)\b|\x{e000} it is\b|\b(course|dose|shot|injection|round) of ([a-z]+ )?\x{e000} (is|would be|will be)\b|\x{e000} (is|are) (needed|required|called for|due|in order)[.!]?$|\bfor (your|this|that|the) [a-z]+( [a-z]+)?[:,]"
);

pattern!(
    HAN_DESCRIBES,
    r"\x{e000}[^,。;]{0,8}(是|属于|会|可能|能|可以?(降|缓|减|预|治|抑|控|使|引|导|刺|帮|改|退|止|镇|消|用于|分)|可(退|止|镇|消|降|缓|减|预|治|抑|控|使|引|导|刺|帮|改|致|诱|引)|引起|导致|影响|刺激|损|伤|含|降低|抑制|作用|水平|缺乏|不足|中毒|过敏|过量|期间|时|后|前|等?(很|较|更|最)?(容易|常见)|不|无|无效|没|的|使|变|分泌|来自|有助|治疗(的|期|效|后|可|常|通常)|对|分为|有|帮助|预防|缓解|减轻|常|主要|通过|适用|用于|检测|检查|测)"
);
pattern!(
    HAN_SPEAKS_OF_OTHERS,
    r"医生|大夫|医师|药师|医嘱|指导|说明书|医院|处方药|过敏|副作用|不良反应|患者|病人|的人|有些人|有的人|哪些|什么|服\x{e000}时|保存|冷藏|储存|存放|常用|药物有|可选|家族|治疗(包括|方法|手段)|局部|放射性|手术|激素(使|变|波|分|紊|失)|变化|分泌|(使|可使|都可|也会|会)[^,。]{0,12}(降|升|加重|刺激|引|导|伤|损)|是否|能否|引起|导致|诱发|原因|风险|缺乏|缺|富含|含有|含|来自|过量|滥用|长期用?|正在|服用者|使用者|一种|属于|名叫|叫做|检查|化验|查|抽血|研究|告诉|告知|如果(您|你)?(在|正|对|曾|有|吃了|用过)|曾|之后|以后|后,|前,|期间|时,|当中|吃过|用过|分泌|人体|体内|都会|会(使|让|引|导|加|伤|影|升|降)"
);
pattern!(
    HAN_DENIES,
    r"不|勿|别|禁|慎|避免|未|没|无效|误|才能|只能|只有|除非|也有非|很少|少数|非激素"
);
pattern!(
    HAN_ADVISES,
    r"(可选(用|择)?\x{e000}|建议|推荐|应该|应当|最好|首选|试试|可以(先|用[^于]|吃|服|选|考虑|试|喝|买|打|贴|涂|抹|来)|(您|你)(可以|可|应|要|需|得|用|吃|服|就|必须)|请(您|你)?(用|吃|服|先|使|口)|(吃|服|用|喝|打|涂|抹|买|拿|喂|补|来|选)(点|些|一点|一些)|(就|直接|马上|赶紧|立即|快)(吃|服|用|喝|打|涂|抹|买|拿|喂|补)|(给|为)(您|你|孩子|宝宝)(开|用|吃|喂|服))|(即可|就行|就好|就可以|就能好|就不错|不错|管用|最有效|最好用|对症)"
);

// "You can use a gout medication": what it is called does not matter.
pattern!(
    ADVISES_SOME,
    r"\b(you|he|she|your (child|baby|son|daughter|mother|father))( [a-z]+)? (should|can|could|may|might|must|need to|have to|ought to|want to)( [a-z]+)? (take|use|try|buy|get|start|have|be given|give|apply|need)( [a-z]+){0,4} ?\x{e001}|\b(i|we)( [a-z]+)? (recommend|suggest|advise|prescribe|propose)( [a-z]+){0,5} ?\x{e001}|^(please |just |then |so )*(take|try|buy|get|start|order) (some|a|an|any)( [a-z]+){0,3} ?\x{e001}|(建议|推荐|应该|可以|需要|要|请|最好|得)(您|你)?(先|马上|立即|及时)?(口服|服用|使用|吃|服|用|买|涂|抹|打)(点|些|一点|一些)?[^,。;不]{0,6}\x{e001}"
);
pattern!(
    TAKEN_ALREADY,
    r"\b(your (own )?(usual |regular |prescribed |rescue |current )?\x{e001}|list|photo|box|package|doctor|pharmacist|prescri\w+|directed|leaflet|label|instructions?|if you|safely|carefully|properly|correctly|dont|not|never|avoid|stop)\b|医生|医嘱|药师|说明书|不|勿|避免|才"
);

pattern!(
    FOR_THIS_PATIENT,
    r"\x{e000}( [a-z\x{e000}\x{e001}]+){0,5} (can|could|should|may|might|must) be (taken|used|tried|given|applied) (for|against|on|to treat) (your|this|that)\b"
);

pub(super) fn prescribes(reading: &Reading) -> bool {
    if reading.question {
        return false;
    }
    if ADVISES_SOME.is_match(&reading.marked) && !TAKEN_ALREADY.is_match(&reading.marked) {
        return true;
    }
    if !reading.names_medicine() {
        return false;
    }
    reading
        .marked
        .split(['。', ';', '!', '?', '\n'])
        .filter(|it| it.contains(NAMED))
        .any(|sentence| {
            if sentence.contains(is_han) {
                let held = HAN_DENIES.is_match(sentence) && !HAN_ADVISES.is_match(sentence)
                    || leaves_to_others(sentence);
                return !held
                    && (HAN_ADVISES.is_match(sentence)
                        || sentence.chars().count() <= SHORT_HAN && !HAN_DESCRIBES.is_match(sentence));
            }
            if FOR_THIS_PATIENT.is_match(sentence) && !DENIES.is_match(sentence) {
                return true;
            }
            if DENIES.is_match(sentence) || SPEAKS_OF_OTHERS.is_match(sentence) {
                return false;
            }
            ADVISES.is_match(sentence)
                || sentence.split_whitespace().count() <= SHORT && !DESCRIBES.is_match(sentence)
        })
}

fn leaves_to_others(sentence: &str) -> bool {
    HAN_SPEAKS_OF_OTHERS.is_match(sentence)
}
