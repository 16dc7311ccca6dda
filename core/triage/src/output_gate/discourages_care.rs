//! "No need to see a doctor", "it is nothing", "wait until Monday".

use std::sync::LazyLock;

use regex::Regex;

use super::{belittles, reading::Reading};
use crate::pattern::compile;
use bedside_language::is_han;

const CARE: &str = r"(?:doctors?|physicians?|hospitals?|emergency (?:room|department|services?|care|help|number)|emergency|er|ed|a&e|medical (?:help|care|attention|advice|treatment|professional|assistance|evaluation|visit)|medical|ambulances?|120|911|999|112|professional (?:help|care|advice)|specialists?|clinics?|cardiologists?|neurologists?|check ?ups?|check up|appointments?|gp|surgeons?|nurses?|paramedics?|health ?care|care)";

struct Patterns {
    no_need: Regex,
    needless: Regex,
    deters: Regex,
    useless: Regex,
    waits: Regex,
    reassures: Regex,
    asserts: Regex,
    not_that: Regex,
    at_home: Regex,
    hedges: Regex,
    turns: Regex,
    negated_wait: Regex,
    care: Regex,
    short_no: Regex,
    han_deters: Regex,
    han_useless: Regex,
    han_waits: Regex,
    han_reassures: Regex,
    han_untreated: Regex,
    han_hedges: Regex,
    han_turns: Regex,
    han_care: Regex,
}

static PATTERNS: LazyLock<Patterns> = LazyLock::new(|| Patterns {
    no_need: compile(&format!(
        r"\bwasting (?:[a-z]+ ){{0,3}}{CARE}\b|\b(?:leave|keep)(?: [a-z]+){{0,2}} {CARE}(?: [a-z]+){{0,2}} out\b|\b{CARE} (?:[a-z]+ )?(?:is|are) only for\b|\b(?:no|nobody|no one|nothing) (?:[a-z]+ )?needs? (?:to (?:look|see|check|be)|looking|checking)|\b(?:no need|no reason|no point|no sense|no use|not necessary|not needed|not required|isnt necessary|isnt needed|isnt required|unnecessary|unneeded|(?:dont|neednt|wont|not|doesnt|wouldnt|never|cant see why you)(?: (?:really|even|actually|usually|normally|necessarily|absolutely))? (?:need|have to|require|needed|got to)|neednt|not worth|isnt worth|pointless|useless|overkill|waste(?: of| your| any)?(?: time| money)?|not urgent|no urgency)(?: [a-z0-9&]+){{0,6}} {CARE}\b|\b(?:dont|neednt)(?: [a-z]+)? (?:need|have)? ?(?:to )?(?:be seen|see any(?:one|body)|call any(?:one|body)|be examined|get (?:it|this|that) (?:checked|looked at))|\bno need to (?:see|call|tell|consult|visit) any|\bneednt (?:go|see|visit|call)"
    )),
    needless: compile(&format!(
        r"\b{CARE}(?: [a-z]+){{0,3}} (?:isnt|arent|is not|not|wont be|wouldnt be|never|hardly)(?: [a-z]+){{0,2}} ?(?:necessary|needed|required|worth|useful|helpful|any use|warranted|called for)|\b{CARE}(?: [a-z]+){{0,3}} (?:is|are|would be|will be|seems?)(?: [a-z]+)? (?:unnecessary|pointless|useless|a waste|unneeded|overkill|too much|optional|not)\b|\b(?:going|visiting|seeing|calling|a trip)(?: [a-z&]+){{0,4}} {CARE}(?: [a-z]+){{0,3}} (?:pointless|useless|unnecessary|a waste|waste|not needed|isnt needed|isnt necessary|optional)|\b(?:no|without(?: a| any)?) {CARE}(?: [a-z]+){{0,2}} (?:is |are )?(?:needed|necessary|required)|\b(?:tests?|scans?|check ?ups?|examinations?)(?: [a-z]+){{0,2}} (?:are|is|isnt|arent) (?:unnecessary|pointless|not needed|needed$)|\b(?:check ?up|examination|check up) isnt (?:needed|necessary|required)"
    )),
    deters: compile(&format!(
        r"\b(?:dont|do not|never|wouldnt|would not|not to|shouldnt|no)(?: (?:ever|even|bother|go|going|see|seeing|visit|visiting|call|calling|seek|seeking|contact|contacting|consult|consulting|rush|run|waste|trouble|disturb|bother with|ask|phone)(?: (?:any|your|time|money|to|on|with|for|seeing|going|calling|visiting))*)+ (?:to |on |with |for )?(?:a |an |the |any |your |another |that )?(?:[a-z]+ )?{CARE}\b|\b(?:skip|cancel|avoid|stay away from|keep away from|ignore|forget|postpone|delay|put off)(?: going to| visiting| seeing| calling)?(?: a| an| the| your| any)?(?: [a-z]+)? {CARE}\b|\binstead of (?:going to |seeing |calling |visiting )?(?:a |an |the |your )?{CARE}\b|\b(?:better|safer) (?:at home )?than(?: the| a| any| going to the)? {CARE}\b"
    )),
    useless: compile(&format!(
        r"\b{CARE}(?: [a-z]+)? (?:wouldnt|wont|will not|would not|couldnt|(?:is|are) not going to|isnt going to|arent going to|can wait|could wait|can safely wait)\b|\b{CARE} (?:[a-z]+ )?(?:cant|wont|will only|only|dont|doesnt|couldnt)(?: (?:really|even|possibly))? (?:help|do (?:anything|much)|tell|know|make|want|care)|\b(?:replace|instead of|better than) (?:your|a|the|any) (?:doctor|physician)\b|\byou (?:dont|do not) have to see any"
    )),
    waits: compile(
        r"\b(?:wait|waits|waited|hold off|stay home|delay|leave it)(?: [a-z]+){0,3} (?:until|till|for|before|to)(?: [a-z0-9]+){0,4} (?:monday|tomorrow|morning|weekend|next week|next month|after|you call|calling|call|going|seeing|ambulance|120|911|appointment)\b|\bwait (?:a few|some|several|two|three|another|one|a|a couple of) (?:[a-z]+ )?(?:days?|weeks?|hours?) (?:before|and see|to see)|\b(?:pain|numbness|weakness|symptoms?|this|it|that|bleeding|breathlessness) can (?:safely |easily )?wait\b|\bno (?:hurry|rush)\b",
    ),
    reassures: compile(
        r"\b(?:its|it is|this is|that is|thats|they are|symptoms are)(?: [a-z]+){0,2} (?:nothing|harmless|no big deal|all in your head|only stress|just stress|just anxiety|only anxiety)\b|\b(?:is|are|isnt|arent|sounds|seems) (?:absolutely |completely |perfectly |totally |quite )?(?:harmless|not serious|not dangerous|not an emergency)\b|\b(?:isnt|arent|not|nothing) (?:anything )?(?:serious|dangerous)\b|\bnothing (?:to worry|to be (?:worried|concerned)|to fear|wrong with)|\b(?:no need|no reason|no cause|dont need|neednt|dont have) (?:to (?:worry|be (?:worried|concerned|alarmed|afraid)|panic about)|for (?:concern|alarm|worry))|\bneednt worry|\bdont worry(?:,| about it| at all)|^(?:no worries|dont worry)(?:$|[,.!:]| it| you| this| there)|\b(?:you are|youre|your heart is|everything is|everythings|you will be|youll be) (?:perfectly |completely |absolutely |totally |just )?(?:fine|healthy|ok|okay|all right)\b|\b(?:definitely|certainly|surely|absolutely|clearly|undoubtedly|obviously) (?:not|isnt|just|only|harmless|fine|nothing|no)\b|\byou (?:definitely |certainly |surely )?(?:dont|do not) have (?:a |an |any )?(?:cancer|stroke|heart attack|disease|problem|tumou?r|anything serious|serious)|\bnothing (?:bad|serious|terrible|dangerous) (?:is|will|can|could|has)\b|\banything to (?:be )?(?:afraid|fear|worry|worried|concerned)\b|\byou can relax\b|\bno chance\b|\brest assured\b|\bsleep it off\b|\b(?:safe|okay|ok|fine) to ignore|\bsafely ignore|\b100 ?% (?:safe|harmless|sure)|\bguaranteed\b|\bnot worth worrying",
    ),
    asserts: compile(
        r"\bim (?:quite |very |pretty |absolutely )?(?:sure|certain|confident|positive) (?:that )?(?:it|its|this|that|you|youre|there|nothing)\b|^(?:its|it is|this is) (?:just |only |probably |surely )?benign$",
    ),
    not_that: compile(
        r"\b(?:it|its|this|they|pain|symptoms?|headache|lump)(?: [a-z]+){0,3} (?:isnt|arent|not|cant be|never)(?: [a-z]+)? (?:a |an |any )?(?:heart attack|stroke|cancer|tumou?r|emergency|meningitis|pneumonia|appendicitis|blood clot|heart problem|heart disease|serious)\b",
    ),
    at_home: compile(
        r"\b(?:treat|handle|manage|cure|fix|deal with)(?: [a-z]+){0,3} (?:heart attack|stroke|chest pain|seizure|poisoning|this|it|that)(?: [a-z]+){0,2} (?:at home|yourself|alone|without)|\b(?:just |simply |can |safely |and |^)ignore (?:the|this|it|these|your|that|them)\b|^ignore\b|\b(?:heals?|goes away|go away|gets? better|cured?|passe?s?|recovers?)(?: [a-z]+){0,5} without (?:a |any |the )?(?:doctor|hospital|treatment)\b|\bwithout (?:seeing |going to |calling |visiting )(?:a |the )?(?:doctor|hospital|ambulance)\b",
    ),
    hedges: compile(
        r"\b(?:may|might|usually|often|most|mostly|many|some|sometimes|always|if|whether|but|unless|could|generally|even|possibly|perhaps|likely|sure|certain|certainly that|rule out|every|necessarily|normally|typically|because|think|tell|feel|until|though|although|almost)\b",
    ),
    turns: compile(
        r"\b(?:dont|do not|never|not) (?:hesitate|delay|wait|put off|ignore|postpone|cancel|skip|avoid|miss|be afraid)|\b(?:unless|until|except|only if|but if|however|but (?:do )?(?:see|call|go|get|seek|contact)|if (?:it|they|you|your|the|this|symptoms?|pain)[a-z ]{1,50}(?:see|call|go to|contact|seek|consult))\b",
    ),
    negated_wait: compile(
        r"\b(?:dont|do not|never|not|cant|shouldnt|mustnt|without|rather than|no)(?: [a-z]+){0,2} (?:wait|waiting|delay|ignore|hold off|stay)|\bwait(?:ing)? (?:room|list|times?)",
    ),
    care: compile(&format!(r"\b{CARE}\b")),
    short_no: compile(
        r"^(?:no,? )?(?:there is )?(?:no need|not necessary|unnecessary|not needed|no reason to|dont bother|thats not needed|you dont need (?:to|that|one)|its not needed)\b|^(?:这|那|完全)?(?:不用|不必|没必要|没有必要|不需要|没用)",
    ),
    han_deters: compile(
        r"(?:不(?:用|必|需要|需|要|应该|应|急着|着急|急于|急|值得)|没(?:有)?必要|无[需须]|用不着|犯不着|何必|甭|别|可以不|没有理由|不建议|省得|犯不上)(?:再|急着|着急|特意|专门|马上|立即|跑|浪费时间|麻烦|先|现在|您|你|急|总|老)*(?:去|看|就|叫|打|拨打|上|找|到|做|跑|进|请|联系|挂|来|惊动)*(?:大|什么|那|任何)?(?:医院|医生|大夫|就医|就诊|急诊|120|救护车|门诊|看病|体检|挂号|专科|医疗)|取消(?:预约|挂号|就诊|门诊)|不(?:去医院|看医生|就医|叫救护车)(?:也|就|没)|(?:代替|替代|取代)(?:您的|你的)?医生",
    ),
    han_useless: compile(
        r"(?:医院|120|医生|大夫|救护车|急诊)(?:也|都|就)?(?:不用|别|不必|甭|没必要|不需要)(?:[去看叫打找]|了|再)|(?:看不看|去不去)[^,。]{0,4}(?:都|也|无所谓)|(?:医院|医生|大夫|看病|就医|急诊|120|救护车|检查)[^,。;不]{0,5}(?:没用|没什么用|没有用|没啥用|帮不|没意义|没有意义|没什么意义|没必要|没有必要|白花|白跑|浪费|不值|骗|无济于事|多余|没有帮助|也治不|不管用|不顶用)|(?:医院|医生|大夫|看病|就医)(?:也|都)?(?:帮不|没什么|治不|只会|不会|救不)|(?:看医生|去医院|就医|看病)(?:也)?是(?:浪费|多余|白)",
    ),
    han_waits: compile(
        r"(?:等|拖|过|观察)[^,。;]{0,4}(?:到|几天|周一|下周|明天|明早|后天|天亮|上班|周末)[^,。;]{0,6}(?:再|也不迟|看|说|去|叫|吧)|(?:等|拖)(?:到)?(?:周一|下周|明天|后天|上班|天亮)|明天再说|以后再说|不着急$|^不急|再叫救护车|过几天再",
    ),
    han_reassures: compile(
        r"没(?:什么)?(?:大)?事|没(?:什么|啥)(?:大不了|问题|关系|好担心|可担心)|没啥|这没什么|小毛病|小问题|不是(?:什么)?(?:很|太|特别)?(?:严重|大)(?:的)?(?:病|问题|事|疾病)?|不严重(?:[^的]|$)|不要紧|无大碍|不碍事|不打紧|不会有事|很健康|没有任何问题|没有问题|没问题|放(?:一百个|宽)?心|不是癌|不算(?:什么|个)?病|无所谓|(?:别|不用|不必|无需|无须|不需要|不要)(?:太|过于|过度)?(?:担心|紧张|在意|理会|管|当回事|放在心上)|别管|别理|不用(?:管|理)|忽略|忍一忍|忍忍|(?:自己|自然|自行)(?:就)?会好|肯定|绝对|一定(?:不|没)|百分之百|100%|不可能是|(?:这|您|你|那)(?:的)?[^,。]{0,6}不是(?:心梗|中风|癌|肿瘤|急症|心脏病|脑梗)|没有得|没得|(?:心梗|中风|脑梗|胸痛|昏迷|心脏病)[^,。]{0,4}(?:没事|可以等|忍)",
    ),
    han_untreated: compile(
        r"(?:不(?:用|必|需要|需)|没(?:有)?必要|无[需须]|用不着)(?:再|去|做|进行|任何|专门)*(?:检查|治疗|治$|治,|治。|管|看$|看。|看,)",
    ),
    han_hedges: compile(
        r"一般|多数|大多|通常|往往|有的|有些|部分|(?:^|[^不])可能[^是]|时多|多不|多为|多由|人多|也许|如果|如|即使|并不|不一定|不代表|但|才|除非|要不|是否|不能|不可|不要忽|切勿|不等于|以为|认为|轻微|虽然|不论|无论|仍|不敢|确认|确定|才能|某些|少数|良性|小的|较小|无症状|没有症状|有时|常",
    ),
    han_turns: compile(
        r"不要(?:犹豫|拖延|等|忽|怕|害怕|因|以为|自行|觉得|掉以|硬)|别(?:犹豫|拖|等|忽视|怕|硬|以为)|切勿|不能(?:拖|等|忽|大意)|不可(?:拖|等|忽|大意)|不怕|不必害怕|除非|(?:但|如果|若|一旦|要是|不过)[^。;]{2,30}(?:就医|就诊|看医生|去医院|急诊|120|咨询医生|找医生|检查)|不要不|不该等|请勿",
    ),
    han_care: compile(r"医院|医生|大夫|就医|就诊|急诊|救护车|120|看病"),
});

pub(super) fn discourages(reading: &Reading) -> bool {
    let text = reading.text.as_str();
    if reading.question {
        return false;
    }
    if belittles::belittles(reading) {
        return true;
    }
    if text.contains(is_han) && discourages_han(text) {
        return true;
    }
    if !has_latin_words(text) {
        return false;
    }
    let it = &*PATTERNS;
    let care = [&it.no_need, &it.needless, &it.deters, &it.useless]
        .iter()
        .any(|pattern| pattern.is_match(text));
    if care && !it.turns.is_match(text) && !disclaims(text) {
        return true;
    }
    if (it.waits.is_match(text) || it.at_home.is_match(text))
        && !it.negated_wait.is_match(text)
        && !disclaims(text)
    {
        return true;
    }
    if it.asserts.is_match(text) && !it.turns.is_match(text) {
        return true;
    }
    (it.reassures.is_match(text) || it.not_that.is_match(text))
        && !it.hedges.is_match(text)
        && !disclaims(text)
}

/// "No need." after a sentence that speaks of doctors.
pub(super) fn answers(before: &Reading, reading: &Reading) -> bool {
    let it = &*PATTERNS;
    reading.text.chars().count() <= 40
        && it.short_no.is_match(&reading.text)
        && (it.care.is_match(&before.text) || it.han_care.is_match(&before.text))
}

fn has_latin_words(text: &str) -> bool {
    text.bytes().filter(u8::is_ascii_lowercase).count() >= 6
}

/// "I cannot replace a doctor."
fn disclaims(text: &str) -> bool {
    [
        "alone",
        "cant replace",
        "not a substitute",
        "no substitute",
        "isnt a substitute",
        "doesnt replace",
        "never replace",
        "not replace",
        "instead of replacing",
    ]
    .iter()
    .any(|it| text.contains(it))
}

fn discourages_han(text: &str) -> bool {
    let it = &*PATTERNS;
    text.split(['。', ';', '!', '?', '\n']).any(|sentence| {
        if it.han_turns.is_match(sentence)
            || [
                "不能代替",
                "无法代替",
                "不能替代",
                "无法替代",
                "不可替代",
                "不能取代",
            ]
            .iter()
            .any(|it| sentence.contains(it))
        {
            return false;
        }
        it.han_deters.is_match(sentence)
            || it.han_useless.is_match(sentence)
            || it.han_waits.is_match(sentence)
            || (it.han_reassures.is_match(sentence) || it.han_untreated.is_match(sentence))
                && !it.han_hedges.is_match(sentence)
    })
}
