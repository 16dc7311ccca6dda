//! Changes of a medicine by the words that stand in a sentence, wherever they stand: "the antibiotics can end
//! here", "a break from the medicine", 药扔了吧. Fails closed: only a sentence that says who decides, that warns,
//! or that describes what a change leads to leaves.

use super::reading::Reading;
use crate::pattern::pattern;
use bedside_language::is_han;

// Said of a medicine, these mean an end or a gap, however far the medicine is.
pattern!(
    ENDS,
    r"\b(stop(s|ped|ping)?|quit(s|ting)?|discontinu(e|es|ed|ing|ation)|ceas(e|es|ed|ing)|skip(s|ped|ping)?|omit(s|ted|ting)?|paus(e|es|ed|ing)|suspend(s|ed|ing)?|interrupt(s|ed|ing)?|withdraw(n|ing)?|withhold(ing)?|withheld|ditch(ed|ing)?|taper(s|ed|ing)?|wean(ed|ing)?|titrat\w+|halv(e|es|ed|ing)|doubl(e|ed|ing)|tripl(e|ed|ing)|resum(e|es|ed|ing)|restart(s|ed|ing)?|abandon(ed|ing)?|switch(es|ed|ing)?|swap(s|ped|ping)?|replac(e|es|ed|ing)|cut(ting)?|break from|holiday from|rest from|days? off|throw|bin|flush|get rid of|come off|coming off|go off|going off|get off|stay off|do without|go without|going without|live without|life without|better off without|leave (out|off|aside)|leaving out|put aside|lay off|forget|miss(ing)?|drop(ping)?|give up|giving up|end(s|ed|ing)?|finish(ed)? with|instead of|in place of|substitut\w+|go back (on|to)|every other day instead|no more|alter(ing)?|on hold|hold(ing)? (the|your|his|her|off|that|this|next|back)|stronger|weaker|next strength|bump|remov(e|ing)|cut out|scal(e|ing) back|eas(e|ing) off|phas(e|ing) out|ramp|boost(ing)?|slash|cancel|refus(e|ing)|do away with|go easy on|(dont|not|no need to|without) (continue|continuing|go on|carry on|keep|finish|renew)|(fine|ok|okay|safe|all right|alright|better|best) (not to|to not) (take|use|have|inject)|[\x{e000}\x{e001}] (has to|must|should|can|may|will) go|dos(e|age) (can|could|may|should|must|will|needs to|has to) (go|come|be) (up|down|higher|lower)|run out|refill\w*|as you (like|please|wish|see fit)|any longer|anymore|can wait|lay off|steer clear of|take away)\b"
);
// How much of it: only beside the medicine or its dose.
pattern!(
    MORE_OR_LESS,
    r"\b(rais(e|ing)|lower(ing)?|reduc(e|ing)|decreas(e|ing)|increas(e|ing)|adjust(ing)?|chang(e|ing)|modify(ing)?|add(ing)?|up|bump|cut|more|less|fewer|extra|additional|higher|lower|bigger|smaller|twice|double|half|another|second|stronger)( (down|up|on|back|of|the|your|his|her|that|this|these|those|own|usual|current|daily|evening|morning|night|a|an|[a-z]+)){0,3} ?([\x{e000}\x{e001}]|\b(dose|doses|dosage)\b)|([\x{e000}\x{e001}]|\bdos(e|age)\b)( [a-z]+){0,2} (is|are|seems?|looks) (too |far too |much too )?(low|high|small|big|strong|weak)\b|([\x{e000}\x{e001}]|\bdos(e|age)\b)( up| down)( a)?( little| bit| slowly| gradually)?$"
);
pattern!(
    COURSE,
    r"[\x{e000}\x{e001}]|\b(dose|doses|dosage|dosages|the course|your course|your treatment|the treatment)\b"
);
pattern!(
    NO_MORE_NEED,
    r"(your|the|these|those|this) ?([a-z]+ ){0,2}?[\x{e000}\x{e001}]( [a-z]+){0,2} (is|are|isnt|arent|does|do|doesnt|dont|has|have)( [a-z]+){0,2} (necessary|unnecessary|needed|required|useless|nothing|harm|pointless|no use|done its|done their|helping|working|poison)|\b(no (further|more|longer)|not any)( [a-z]+){0,3} (need|use|reason)?( [a-z]+){0,3} ?[\x{e000}\x{e001}]|\bonly (when|if|on) (you|it|bad|days)|\bless often\b|\b(dont|no longer|never|not) (really )?need (that|this|these|those|your|any of)( [a-z]+){0,2} ?[\x{e000}\x{e001}]|\b(use|take|inject)( [a-z]+){0,2} ?[\x{e000}\x{e001}]( [a-z]+)? (less|more)\b|\bas you (see fit|like|wish|please)\b|\bon your own\b|\byourself\b"
);
pattern!(
    SAYS_WHO_OR_WARNS,
    r"\b(dont|never|avoid|cant|shouldnt|mustnt|cannot|must not|should not|not to|not (stop|skip|change|be|double|take)|unless|without (asking|talking|consulting|first|your doctor|medical|advice|speaking)|whether|doctors?|physicians?|pharmacists?|clinicians?|specialists?|nurses?|cardiologists?|providers?|professionals?|team|prescriber|gp|surgeons?|dangerous|risky|until|at risk|(increase|raise|higher|more|greater|add)[a-z]* (the |your |to the |a )?risk|too early|early|suddenly|abruptly|prematurely|decision|resistan\w+|side effects|withdrawal symptoms|[a-z]+ (reducing|lowering|raising|increasing|relieving) ?[\x{e000}\x{e001}]|(isnt|not|never) (a |an |be |very |at all )*(good|appropriate|advis\w+|recommended|wise|ok|okay|possible|right|suitable)|which|who|body|hormone|disease|before you|if you (missed|miss|forget|forgot|have missed|stop|stopped)|bleeding|smoking|alcohol|can (cause|lead|make|be dangerous|result|raise|let|bring)|may (cause|lead|make|result|raise|worsen|come back)|could (cause|lead|make|result)|leads? to|(can|may) (come|return))\b|[\x{e000}\x{e001}]( [a-z]+){0,2} (lowers?|reduces?|increases?|causes?|prevents?|blocks?|eases?|stops? (the|a|clots?)|works? by|used to|can (cause|lower|reduce)|may cause)\b"
);
// "There is no harm in", which denies nothing.
pattern!(
    NO_HARM,
    r"\b(no|without (any )?|isnt|not|never|nothing) ?(a |any |really |at all )?(harm|danger|dangerous|problem|risk|risky|issue|bad|worry|trouble|side effects?)\b|\bdont (worry|bother|need|have to|feel like)\b|\bno (doctor|need)\b|\bwhy (dont you|not)\b"
);
// A whole sentence that can only be about a medicine the patient takes.
pattern!(
    IT_ALONE,
    r"^(?:(?:yes|sure|ok|okay|well|no|then|so|just|please|simply|you can|you may|you should|you could|once you feel better|when you feel better|if you feel better|when you feel fine) ?,? ?)*(?:stop|skip|quit|double|halve|drop|discontinue|pause|taper)(?: taking| using)? (?:it|them|that|this one|the rest)(?: now| at once| right away| immediately| straight away| gradually| slowly| by half| by one tablet| today| tonight| tomorrow| altogether| completely| for now| for a week| safely)?[.!]?$|^(?:yes|sure|ok|okay)?,? ?you (?:may|can|could|should) (?:discontinue|taper|stop taking|skip|double|halve) (?:it|them|that)\b|\b(?:once|when|if|as soon as) you feel (?:better|fine|well)(?: [a-z]+)? you (?:may|can|could|should) (?:stop|discontinue|quit|drop|skip) (?:it|them)?|^take no more( of (it|them))?[.!]?$|\b(?:rest of|remainder of|finish|complete) the course\b"
);

// "Do not take your insulin today", "avoid your tablets this week".
pattern!(
    FORBIDS_TAKING,
    r"\b(dont|never|not|avoid|no need to|neednt|shouldnt|stop)( to)?( (take|taking|use|using|inject|swallow|have|refill|fill|need|continue|keep taking|rely on))?( [a-z]+){0,2} your( [a-z]+){0,3} ?([\x{e000}\x{e001}]|prescription)|\b(dont|never|not|avoid|no need to|neednt)( to)?( (take|taking|use|using|inject|have|need))?( [a-z]+){0,3} ?[\x{e000}\x{e001}]( [a-z]+)? (any ?more|any longer|today|tonight|tomorrow|this (week|month|evening)|for (a|the next|some|now))"
);
pattern!(
    FORBIDS_FOR_A_REASON,
    r"\b(without|unless|doctors?|pharmacists?|if you|stop(ping)?|skip|change|double|more than|together|both|with (alcohol|other|food)|on your own|yourself|suddenly|abruptly|share|crush|exceed|other people|someone|out of|forget|before|miss|lower|raise|increase|reduce|adjust)\b"
);
pattern!(
    HAN_CHANGES,
    r"停(?:[药用服掉了吃打止几一二三两]|$)|停止|立即停|马上停|暂停|中断|断(?:药|掉|一|几)|扔|丢掉|戒|跳过|漏(?:掉|服|吃|一)|[少多][吃服用打喝吸喷](?:一|半|点|几|两|次|些|顿|\x{e000}|\x{e001})|(?:可以|能|就|先)[少多][吃服用打喝]|[少多](?:吃|服|打)?[一二两三半几点些](?:顿|次|个|片|粒|点)|(?:别|不用|不必|甭|无需|无须|不需要|没必要|用不着|没有必要|可以不|先不|就不|暂时不|不再|不该)再?(?:继续)?(?:天天)?[吃服用打喝]|不[吃服用打](?:了|也|就|都)|[吃服用打]到[^,。]{0,6}(?:为止|结束)|隔一?[天日晚][吃服用打]|(?:才|时候再?|再)[吃服用打](?:药|\x{e001})?,?[^,。]{0,4}(?:平时|不[吃用])|平时不[吃用]|重新|恢复(?:吃|服|使|用)|再吃起来|[吃用服]起来|又开始|换(?:成|药|了|着|用|吃|一|个|种|别|\x{e000}|$)|[\x{e000}\x{e001}][^,。]{0,4}换|替代|代替|取代|改(?:成|用|吃|服|为)|加(?:倍|量|药|大|上去|一倍|一点|一片|点|到|用|一种)|再加|翻倍|翻番|增量|增加(?:剂量|药量|用量|到|一|$)|提(?:高|上去|一提)|减(?:量|半|药|掉|少|到|成|一|点|片|了|下来|$)|逐渐[减加停]|慢慢(?:地)?[减停加]|(?:剂量|用量|药量|胰岛素|\x{e000})[^,。]{0,6}调(?:整|高|低|大|小|一)|调(?:整|高|低|大|小)[^,。]{0,4}(?:剂量|用量|药量|胰岛素|\x{e000})|减半|放个?假|剂量[^,。]{0,4}(?:太|偏)[大小高低]|药量[^,。]{0,6}(?:上|下|提|加|减)|随(?:您|你)(?:自己)?改|(?:剩下|其余)[^,。]{0,4}不[用必]|一半|放一放|放一边|搁|算了|可[吃用]可不|不用(?:补|再)|不要再[吃服用打]|自己调"
);
pattern!(
    HAN_OBJECT,
    r"[\x{e000}\x{e001}]|药|剂量|用量|胰岛素|激素|针|吸(?:两|一|几)次"
);
// Sentences that name no medicine but can mean nothing else.
pattern!(
    HAN_NO_OBJECT,
    r"停药|断药|减药|换药(?:吧|了|就|$)|加药|减量|加量|把量[加减提降]|量(?:加上去|减下来|提上去)|^(?:可以的?|好的?|行|是的?|嗯|对)?,?(?:就|先|那就)?停(?:了|掉)?(?:吧|就行|即可)?[。!.]?$"
);
pattern!(
    HAN_SAYS_WHO_OR_WARNS,
    r"(?:不要|不可|不能|不得|不应|不宜|切勿|请勿|勿|切忌|避免|严禁|禁止|未经|不建议|不主张|不适合|不得|别)[^,。;]{0,10}(?:停|减|加|换|断|改|调|服药|用药|吃药|漏|增|中断|代替|替代|间断|过量|补|滥用|随便|自行|乱)|不能(?:代替|替代)|不随意|不自行|不擅自|(?:别|不要|勿|不能)(?:随意|自行|突然|擅自|轻易|随便|自己|乱)|是否|能否|能不能|要不要|医生|医嘱|大夫|医师|药师|谁|怎么办|(?:停药|停用|减量|加量|换药|停服|断药|减药|漏服|漏药|加药|替代)[^,。;]{0,8}(?:后|前|时|会|可能|可导|可引|可出|容易|易|导致|的人|引起|期间|反应|症状|很?危险|治疗|品)|突然停[^,。]{0,8}(?:会|可能|危险|导致|引)|期间|过早|风险|复发|反弹|耐药|抗药|副作用|出血|过量|换气|换纱|换衣|换尿|换个姿势|发作|代谢|分泌|卵巢|不滥用|一般|多数|大多|通常|药物?相互|说明书|疫苗|打针时|戒[烟酒]|呼吸暂停|一半的?(?:人|患者|病)|约一半"
);
// 突然停也没关系: what is waved aside warns of nothing.
pattern!(
    HAN_NO_HARM,
    r"没(?:有)?(?:什么)?(?:关系|事|问题|风险|危险|副作用|影响)|不要紧|无妨|不危险|不会有|不用(?:问|找|听)[^,。]{0,4}(?:医生|大夫)"
);

pub(super) fn changes(reading: &Reading) -> bool {
    if reading.question {
        return false;
    }
    let marked = reading.marked.as_str();
    if marked.contains(is_han) && changes_han(reading) {
        return true;
    }
    if IT_ALONE.is_match(marked) && !SAYS_WHO_OR_WARNS.is_match(&NO_HARM.replace_all(marked, " ")) {
        return true;
    }
    if !COURSE.is_match(marked) || marked.contains(is_han) {
        return false;
    }
    if FORBIDS_TAKING.is_match(marked) && !FORBIDS_FOR_A_REASON.is_match(marked) {
        return true;
    }
    if SAYS_WHO_OR_WARNS.is_match(&NO_HARM.replace_all(marked, " ")) {
        return false;
    }
    MORE_OR_LESS.is_match(marked) || ENDS.is_match(marked) || NO_MORE_NEED.is_match(marked)
}

fn changes_han(reading: &Reading) -> bool {
    reading.marked.split(['。', ';', '!', '?', '\n']).any(|sentence| {
        let plain = HAN_NO_HARM.replace_all(sentence, "");
        if HAN_SAYS_WHO_OR_WARNS.is_match(&plain) {
            return false;
        }
        HAN_NO_OBJECT.is_match(sentence)
            || (HAN_OBJECT.is_match(sentence) || reading.has_medicine()) && HAN_CHANGES.is_match(sentence)
    })
}
