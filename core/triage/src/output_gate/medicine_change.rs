//! Starting, stopping, skipping, raising or lowering of a medicine that the patient takes.

use super::{other_courses, reading::Reading};
use crate::pattern::compile;
use bedside_language::is_han;
use regex::Regex;
use std::sync::LazyLock;

const CHANGE: &str = "stop|quit|discontinue|cease|skip|omit|leave out|leave off|pause|hold|hold off|suspend|interrupt|double|triple|quadruple|halve|increase|raise|lower|reduce|decrease|cut|cut back|cut down|adjust|change|switch|swap|replace|come off|go off|get off|wean|taper|resume|restart|drop|withdraw|stay off|lay off|split|leave|modify|up|give up|miss|forget about|go without|stop using|stop taking|end|abandon|titrate|wean off|ditch|drop";
const CHANGING: &str = "stopping|quitting|discontinuing|skipping|omitting|leaving out|pausing|holding|suspending|doubling|tripling|halving|increasing|raising|lowering|reducing|decreasing|cutting|adjusting|changing|switching|swapping|replacing|coming off|going off|tapering|resuming|restarting|going without|weaning|dropping";
const OBJECT: &str = r"(?:[\x{e000}\x{e001}]|\bdos(?:e|es|age|ages)\b)";

struct Patterns {
    orders: Regex,
    allows: Regex,
    proposes: Regex,
    needs_no_more: Regex,
    takes_otherwise: Regex,
    of_it: Regex,
    han: Regex,
    /// 不用吃了: of a medicine, but not "most colds need no antibiotics".
    han_needless: Regex,
    han_usual: Regex,
    han_bare: Regex,
    han_of_it: Regex,
    han_held_back: Regex,
    han_describes: Regex,
    held_back: Regex,
}

static PATTERNS: LazyLock<Patterns> = LazyLock::new(|| {
    let rest = format!(r"(?: [a-z0-9]+){{0,6}} ?{OBJECT}");
    let lead = "(?:please|just|then|now|first|also|so|and|or|yes|simply|next|instead|but|you|lets|sure|ok|okay|no|today|go ahead and|its fine|fine|from now on|for now|well|immediately|in that case|if [a-z]+ [a-z]+ [a-z]+) ";
    Patterns {
        orders: compile(&format!(
            r"^(?:{lead})*(?:{CHANGE}){rest}|\b(?:and|or|then|just|please|simply|yes) (?:{CHANGE}){rest}|^(?:{lead})*start(?: taking)?{rest} again|^(?:{lead})*(?:start|begin)(?: taking| using)?(?: your| the){rest}"
        )),
        allows: compile(&format!(
            r"\b(?:you|we|he|she|they|your (?:child|mother|father)) (?:[a-z]+ )?(?:should|can|could|may|might|must|need to|have to|ought to|would|better|want to|are free to|will need to)(?: [a-z]+){{0,3}}? (?:{CHANGE}|stop|try (?:{CHANGING})){rest}|\b(?:free|safe|fine|ok|okay|best|better|possible|alright|all right|idea|time|wise|reasonable|acceptable|harmless|easier|enough|recommended|advisable|necessary|important|helpful|no problem) (?:for you )?to (?:[a-z]+ )?(?:{CHANGE}){rest}|\b(?:id|i would|i|we would|ill|i will|lets|we|i suggest you|recommend you|that you|advise you to|suggest that you|recommend that you|want you to|youd better)(?: [a-z]+){{0,2}}? (?:{CHANGE}){rest}"
        )),
        proposes: compile(&format!(
            r"\b(?:try|trying|consider|suggest|recommend|advise|propose|could|about|start|start by|means|mean|by|okay with|think about)(?: [a-z]+){{0,3}} (?:{CHANGING}){rest}|{OBJECT}(?: [a-z]+){{0,3}} (?:can|could|should|may|might|needs to|has to|must) (?:[a-z]+ )?be (?:[a-z]+ )?(?:stopped|discontinued|skipped|paused|doubled|halved|increased|reduced|lowered|raised|changed|tapered|replaced|cut|adjusted|omitted|withheld|left out|restarted|switched)|\b{OBJECT}(?: [a-z]+){{0,3}} (?:too low|too high)"
        )),
        needs_no_more: compile(&format!(
            r"\b(?:no longer need|no longer have|dont need(?: to take| to use| to keep taking| to continue)?(?: your| the| any more)|neednt take|no need (?:to take|to keep|to continue|to use|for)|dont have to take|not need to take|dont need to take|no reason to (?:keep|continue|take))(?: [a-z]+){{0,4}} ?(?:your |the )?{OBJECT}|\b(?:no need|dont need|no longer need|no reason)(?: [a-z]+){{0,5}} ?{OBJECT} ?(?:any ?more|now|anymore|today|any longer)|\bdont (?:take|use|inject)(?: your| the| any)?(?: [a-z]+)? ?{OBJECT} (?:[a-z]+ )?(?:today|tonight|tomorrow|this|any ?more|for (?:a|the|now|some|two|three|[0-9])|until|on)|\bdont (?:take|use|inject) your ?(?:[a-z]+ )?{OBJECT}|\bthere(?:s| is) no need for (?:your |the )?(?:[a-z]+ )?{OBJECT} (?:now|any)|\b(?:going|go|do|get by) without(?: your| the)?(?: [a-z]+)? ?{OBJECT}"
        )),
        takes_otherwise: compile(&format!(
            r"\b(?:half|twice|double|triple|part) (?:of )?(?:your|the|that|this)(?: [a-z]+){{0,2}} ?{OBJECT}|\b(?:go|going|return|switch) back to(?: [a-z]+){{0,3}} ?{OBJECT}|\bleave(?: [a-z]+){{0,2}} ?{OBJECT} (?:out|off|aside)|\b(?:take|taking|use|using)(?: [a-z]+){{0,3}} ?{OBJECT}(?: [a-z]+){{0,1}} only (?:when|if) you|\b(?:take|use|inject|need)(?: [a-z]+){{0,4}} (?:twice|double|half|more|less|extra|fewer|additional|higher|lower)(?: [a-z]+){{0,5}} ?{OBJECT}|\b(?:take|use|inject)(?: [a-z]+){{0,3}} ?{OBJECT}(?: [a-z]+){{0,2}} (?:at|in) (?:twice|double|half|a higher|a lower)|\bextra {OBJECT}|\b(?:higher|lower|bigger|larger|smaller|extra|double|half) dos(?:e|age) (?:is|would be|of \x{{e000}} (?:is|would))"
        )),
        of_it: compile(&format!(
            r"^(?:{lead})*(?:{CHANGE})(?: taking| using)? (?:it|them|this|that|these|those)\b|\byou (?:should|can|could|may|might|must) (?:[a-z]+ )?(?:{CHANGE})(?: taking| using)? (?:it|them|this|that)\b|\b(?:safe|fine|ok|okay|better|best) to (?:{CHANGE})(?: taking)? (?:it|them)|\bdont (?:take|use) (?:it|them) (?:today|tonight|tomorrow|any ?more|for)|\bstop (?:now|today|tomorrow)\b|\bdouble up\b"
        )),
        han: compile(
            r"停(?:药|用|服|掉|了|吃|打|止)|停止(?:服|使|用|吃)|立即停|[可能就先]以?停|就停|请停|停几|停一|停\x{e000}|停\x{e001}|暂停|中断|断药|断掉|减药|减量|减半|减掉|(?:减少|增加|加大|降低|提高|调整|调高|调低)(?:服用|使用|吃|用)?[^,。]{0,3}[\x{e000}\x{e001}]|[\x{e000}\x{e001}][^,。]{0,6}(?:减少|增加|加大|降低|提高|调高|调低)(?:一|些|点|剂量|用量|$)|减一|加量|增量|加倍|翻倍|加一倍|加上去|换药|换成|换别|换一|换着|换个|[吃服用]不[吃服用](?:都|也)|好了就|改用|改成|改服|改吃|跳过|漏掉|[少多][吃服打](?:一|半|点|几|两|次)|一半|(?:先|可以|就|今天|明天|今晚|这几天|这次)不[吃服用打]|不[吃服打](?:\x{e000}|\x{e001})?(?:也没|了)|别再?[吃服用打](?:药)?(?:\x{e000}|\x{e001})?了|可以不[吃服用打]|停一天|先别[吃服用打]|重新(?:吃|服|用)|恢复(?:吃|服|使)|再也不[吃用]",
        ),
        han_needless: compile(
            r"(?:不用|不必|不需要?|无需|无须|没必要|用不着|没有必要)再?继?续?[吃服用打]|必要再[吃服用]|可以不用",
        ),
        han_usual: compile("一般|大多|多数|通常|不少|往往|部分|有些|有的|普通"),
        han_bare: compile(
            r"^(?:请|就|可以|建议|您可以|你可以|应该|自己|先)?(?:把)?(?:药|\x{e001}|药量|剂量|用量)?(?:停药|加量|减量|换药|停了|加倍|减半|翻倍|停掉|加药|减药)(?:吧|了|就行|即可|就可以)?$|(?:可以|建议|应该|您可|你可|就|先|自己|自行|能|请)[^,。]{0,4}(?:停药|换药|减药|断药|加药)|(?:药量|剂量|用量|\x{e001}的?量)[^,。]{0,6}(?:加|减|增|降|翻|提高|调|改|停)|(?:加|减|增|降|翻|提高|调|改)[^,。]{0,4}(?:药量|剂量|用量)|(?:开始|马上|立刻|立即|今天|明天)(?:停药|换药|减药|加药|减量|加量)|^停药(?:吧|即可|就行|几天|一)",
        ),
        han_of_it: compile(
            r"^(?:您|你)?(?:现在|今天|明天|就|先|可以|应该|把它|自己)+(?:先)?(?:停|减半|加倍|加量|减量|不吃|不用吃|跳过)[^,。]{0,4}$|^(?:停|加倍|减半)(?:了|掉)?(?:吧|就行)?$|^不用(?:再)?(?:吃|服|打)了?$",
        ),
        han_held_back: compile(
            r"不要|不可|不能|不得|不应|不宜|切勿|勿|别(?:随意|自行|突然|擅自|轻易)|避免|切忌|未经|严禁|擅自|是否|能否|医生|医嘱|大夫|医师|药师|指导|吗$|谁|怎么办|不随意|不自行|不随便|不建议|不代表|不等于|不意味|需要调整$|不主张|不适合",
        ),
        han_describes: compile(
            r"(?:需要|如需|若需|想要?)[^,。;]{0,8}(?:时|前|的话)|(?:停药|停用|减量|加量|换药|停服|断药|减药|加药)[^,。;]{0,6}(?:后|前|时|会|可能|可导|可引|可出|容易|易|导致|的人|引起|期间|反应|症状)|停[^,。]{0,6}后|突然停|(?:增加|减少|降低|提高|加大)[^,。]{0,8}(?:风险|副作用|危险|发作|吸收|敏感|作用|效果|疗效|药效|复发|血|毒|出血|几率|可能|并发|炎症|负担|机会|排|分泌|损)|(?:减少|降低)[^,。]{0,4}胆固醇|\x{e000}[^,。]{0,4}(?:可|能|会|可以|有助于)(?:降低|减少|增加|提高|减轻)|抗药|耐药",
        ),
        held_back: compile(
            r"\b(?:dont|never|not|isnt|arent|avoid|without|cant|shouldnt|mustnt|neednt|wont|nor|neither|whether|doctors?|physicians?|pharmacists?|clinicians?|specialists?|nurses?|cardiologists?|team|tells you|unless|before you|which|who|risk|side effects?)\b",
        ),
    }
});

pub(super) fn changes(reading: &Reading) -> bool {
    if reading.question {
        return false;
    }
    if other_courses::changes(reading) {
        return true;
    }
    if reading.has_medicine() && reading.clauses.iter().skip(1).any(|it| changes_it_in(it)) {
        return true;
    }
    reading.clauses.iter().any(|clause| {
        if clause.contains(is_han) {
            changes_han(reading, clause)
        } else {
            changes_english(clause)
        }
    })
}

fn changes_english(clause: &str) -> bool {
    if !clause.contains(['\u{e000}', '\u{e001}']) && !clause.contains("dos") {
        return false;
    }
    let it = &*PATTERNS;
    if it.needs_no_more.is_match(clause) && !is_talk_of_kinds(clause) {
        return true;
    }
    if [&it.orders, &it.allows, &it.proposes, &it.takes_otherwise]
        .iter()
        .any(|pattern| pattern.is_match(clause))
    {
        return !it.held_back.is_match(clause);
    }
    false
}

/// "You do not need antibiotics for a cold" tells of no medicine that is taken.
fn is_talk_of_kinds(clause: &str) -> bool {
    clause.contains(" for a ") && !clause.contains("your")
}

fn changes_han(reading: &Reading, clause: &str) -> bool {
    if !reading.has_medicine() && !clause.contains(['药', '量', '停', '减', '倍']) {
        return false;
    }
    let it = &*PATTERNS;
    let clause = &*clause.replace("呼吸暂停", "");
    if it.han_held_back.is_match(clause) || it.han_describes.is_match(clause) {
        return false;
    }
    if it.han_bare.is_match(clause) {
        return true;
    }
    let object =
        clause.contains(['\u{e000}', '\u{e001}']) || clause.contains("吃药") || clause.contains("服药");
    let elsewhere = reading.has_medicine() && clause.chars().count() <= 12;
    if object && it.han_needless.is_match(clause) && !it.han_usual.is_match(clause) {
        return true;
    }
    it.han.is_match(clause) && (object || elsewhere && it.han_bare.is_match(&format!("可以{clause}")))
        || it.han.is_match(clause) && elsewhere && clause.contains(['停', '量', '倍', '药'])
        || clause.contains("不用吃药")
        || clause.contains("可以不吃药")
        || clause.contains("药") && clause.contains("不用吃")
        || it.han_of_it.is_match(clause) && reading.has_medicine()
}

/// "You can stop it now", after a medicine that the answer has just named.
pub(super) fn changes_it(reading: &Reading) -> bool {
    !reading.question && reading.clauses.iter().any(|it| changes_it_in(it))
}

fn changes_it_in(clause: &str) -> bool {
    let it = &*PATTERNS;
    it.of_it.is_match(clause) && !it.held_back.is_match(clause)
        || it.han_of_it.is_match(clause) && !it.han_held_back.is_match(clause)
}
