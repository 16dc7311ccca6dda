//! Reassurance and mockery of care that [`super::discourages_care`] does not read: care with a word that runs
//! it down, complaints that are called nothing, and waiting. Fails closed for strong words.

use super::reading::Reading;
use crate::pattern::pattern;
use bedside_language::is_han;

pattern!(
    CARE,
    r"\b(doctors?|physicians?|hospitals?|emergency (rooms?|departments?|services?|care)|er|a&e|clinics?|ambulances?|medical (care|help|advice|attention|people|professionals?|system)|medicine men|specialists?|nurses?|gp|professional help|professionals|appointments?|check ?ups?|scans?|x rays?|mri|cts?|tests?|testing|examinations?|biops(y|ies)|screening|(have|get|having|getting) (it|this|that) (examined|checked|seen|looked at)|see (someone|anyone|anybody)|be (seen|examined)|help from|120|911|healthcare|health care)\b"
);
// "Most people with a cold need no tests."
pattern!(
    ONLY_TESTS,
    r"\b(scans?|x rays?|mri|tests?|testing|examinations?|biops(y|ies)|screening)\b"
);
pattern!(
    RUNS_DOWN,
    r"\b(more harm than good|only (if|when) you (lose|faint|collapse|pass out|die|stop breathing)|overrated|greedy|want(s)? your money|after your money|cost(s)? you|costs? money|expensive and|rip ?off|scam|lie to|lying to|liars?|germs|make you sicker|worse off|wrong about|is wrong|are wrong|know(s)? nothing|dont know|no idea|clueless|useless|pointless|worthless|needless|unnecessary|unneeded|overkill|a waste|waste of|wasted|waste your|bother|fuss|too much trouble|not worth|isnt worth|arent worth|wont help|cant help|cannot help|couldnt help|not help|do nothing|does nothing|nothing for you|isnt needed|arent needed|not needed|isnt required|not required|isnt necessary|not necessary|out of the question|(put off|postpone|delay|move|reschedule)( [a-z]+){0,2} (appointment|visit|check ?up|doctor|examination)|no (tests?|scans?|check ?ups?|examinations?|x rays?|doctors?|ambulance|appointment|specialist)( is| are| was)?( really)?( (needed|necessary|required|for (this|that|it)))?$|stay out|stay away|keep away|keep out|steer clear|away from|leave (it|them|him|her)? ?alone|leave the|(avoid|avoiding|skip|skipping|cancel|cancelling|forget|forget about|ignore)( [a-z]+){0,3} (doctors?|hospitals?|emergency|er|clinics?|appointments?|check ?ups?|visit|ambulances?|medical|specialists?)|mistrust|distrust|dont trust|not trust|dont believe|never listen|dont listen|only (see|call|go|visit)|unless you are dying|if you are dying|dying people|(dont|do not|never|wouldnt|wont|shouldnt|neednt|need not|not)( [a-z]+){0,4} (doctors?|physicians?|hospitals?|ambulances?|emergency|er|clinics?|120|911|specialists?|anyone|anybody|someone|professionals?|professional help)|cant do (anything|much)|(cant|couldnt|could not|wont|would not|wouldnt) (do|help|change|tell)|full of|no use|no good|no point|no reason|no need|needs? no|need no|without (any )?(seeing|going|calling|a doctor needed)|rather than|instead of|better than|dont tell|not tell|hide (it|this) from|replace (your|a|the|any))\b"
);
pattern!(
    SENDS_TO_CARE,
    r"\b(dont|do not|never|not|cant|cannot|no) (hesitate|delay|wait|put off|ignore|postpone|cancel|skip|avoid|miss|be afraid|leave|replace|substitute|a substitute|forget|without|need to wait|have to wait|need (a|an) (appointment|referral)|need to be)|\b(unless|until|except|only if|but if|however|but see|but do|if you (have|notice|feel|are|get|develop)|should see|see a doctor if|call (a|your|an|the|120|911)|go to (a|the|an) (hospital|doctor|emergency|er|clinic)|seek|important to|may be needed|appointment is needed|walk in|not a substitute|no substitute|cant replace|doesnt replace|not replace|replaces|alone cant|not (a|your) doctor|drive|stopped|stop|i cant|i am not|im not|medicines?|medication|without asking (a|your)|without (a|your) (prescription|doctors advice)|without consulting|without medical advice|before)\b"
);
// A word of care beside a word that denies or limits: only known forms of it leave.
pattern!(
    PEOPLE,
    r"\b(doctors?|physicians?|hospitals?|emergency (room|rooms|department|departments|services?)|er|clinics?|ambulances?|medical (care|help|advice|attention|people|professionals?)|specialists?|professional help|120|911)\b"
);
pattern!(
    DENIES,
    r"\b(no|not|dont|never|nothing|nobody|noone|none|hardly|isnt|arent|wont|cant|couldnt|wouldnt|shouldnt|neednt|doesnt|only (weak|old|sick|dying|rich|silly|stupid)|exaggerate\w*|scare\w*|frighten\w*|too (expensive|far|much|many|busy|slow)|save (your|the|yourself)|why|whatever|pointless|only send|send you (home|away|back)|laugh\w*|mock\w*|rather|before you (call|go|see|visit)|talk you into|by itself|anyway|(is|am) enough)\b"
);
pattern!(
    FINE_DENIALS,
    r"\b(may|might|if|when|who|that|whether|which|because|so that|until|unless|most|some|many|usually|often|sometimes|drive|alone|yourself|improve|better|worse|know|sure|only a|not only|not a doctor|no doctor can|as (your|the|a) doctor|told|says?|said|asks?|advises?|advised|agrees?|prescri\w+|reliable|information|replace|substitute|at once|immediately|straight away|today|right away|now|same day|soon|directly|quickly|urgent care|make an appointment|book|should|always|ask|asking|tell|contact|consult|speak|talk to|talking to|without)\b"
);
pattern!(
    BELITTLES,
    r"\b(no|not an|isnt an|never an|hardly an) emergency\b|\b(you can|we can|i can|one can|safely|easily) (safely |easily |surely |definitely )?(rule out|exclude|ignore|dismiss|forget about|disregard|wait|sit it out|sleep on|sit out)|\b(rules? out|excludes?) (a |any |the )?(heart|stroke|cancer|serious)|\bsleep on it\b|\bsit (it|this) out\b|\bride (it|this) out\b|\btough (it|this) out\b|\bgrin and bear\b|\bsee how (you|it) (feel|feels|goes|is|are|look)s? (in the morning|tomorrow|next|on monday|in a few)|\b(stroke|heart attack|seizure|poisoning|chest pain|appendicitis|meningitis)( [a-z]+){0,4} (at home|by yourself|alone|on your own|yourself)\b|\bignore (it|this|that|them|the|your|these)\b|\b(yours?|the|your|this|that|blood|pain|numbness|weakness|lump|cough|fever|bleeding|symptoms?|it|its|thats|it is|that is|this is)( [a-z]+){0,5} (is|are|its|thats) (only |just |probably |surely |certainly |definitely |clearly |obviously |most likely |completely |totally |perfectly |absolutely |entirely |always |quite |nearly |almost )*(harmless|nothing|benign|no big deal|not dangerous|not serious|meaningless|imaginary|imagined|of no (concern|importance)|trivial|in your (head|mind|imagination))\b|\b(your|the) (heart|lungs?|brain|body|blood pressure|results?|liver|kidneys?|health) (is|are|looks?|seems?)( [a-z]+)? (perfect|perfectly|fine|healthy|normal|ok|okay|all right|in order|great|excellent|sound)\b|\byou( are|re) (not (ill|sick|in danger|at risk|dying)|perfectly|completely|absolutely|totally|just|only|imagining|overreacting|exaggerating|in no danger|safe|healthy|fine|okay|ok|well)\b|\b(its|it is|this is|that is|thats) (only |just |merely |simply |probably just |nothing but |nothing more than )(a |an |your |some )?(bruise|stress|anxiety|nerves|panic|imagination|gas|wind|cold|flu|bug|age|ageing|tiredness|muscle|cramp|phase|headache|hysteria|normal)|\bchances? (that|of)( [a-z]+){0,6} (zero|nil|none)\b|\b(i|we) (promise|guarantee|assure|swear|vow)\b|\bnothing (is )?(wrong|serious|bad|dangerous|going on|to fear|to worry|to be|happen)|\b(no|not any|without any?) (danger|risk|cause|reason) (at all|to you|for (alarm|concern|worry|fear|panic)|to (worry|panic|fear|be))|\b(mean|means|meant|signif\w+) nothing\b|\b(will|ll|would) be (fine|okay|ok|all right|well|gone)( [a-z]+){0,3}$|(it|this|that|they|pain|numbness|symptoms?)( will| ll)? (go away|goes away|pass(es)?|heals?|disappears?|sorts? (itself|themselves) out|resolves?|sort itself out)( [a-z]+){0,3} (itself|own|themselves|monday|soon|tomorrow|out)\b|(perfectly|completely|quite|very|totally|absolutely|entirely) normal|(is|are) normal,? (and |so |just |you can )?(ignore|dont|no need|nothing|do nothing)|\b(everything|all) (is|will be|s|looks) (fine|well|ok|okay|normal|good|all right)|\b(dont|do not|no need to|neednt|need not|stop|not) (worry(ing)?|panic(king)?|fret|fuss)\b|\bstay (at )?home,? (whatever|no matter|and (wait|sleep|forget|ignore))|\b(dont|neednt|need not|do not) (have|need)? ?(to )?(go (anywhere|there|out|in)|see any|tell any|be (seen|examined|checked))|\b(handle|manage|treat|cure|diagnose|heal|fix) (this|it|that|yourself|everything|your)( [a-z]+)* (yourself|on your own|alone|at home|without)|\byou can (diagnose|treat|cure|heal) yourself|\b(see|saw|have) no reason|\btrust me\b|\blisten to me\b|\btalking to me is enough|\bcan (easily |safely |surely |definitely )?wait\b|\b(no|not) (hurry|rush|urgency)\b|\bno worries\b|\b(isnt|arent|not|nothing|hardly|never) (at all |really |very |that |so |anything |something )*(urgent|serious|dangerous|alarming|worrying|worrisome|life threatening|critical)\b|\bgone (by |in )?(tomorrow|soon|monday|the morning|a few|no time)|\btoo (young|old|healthy|fit) (for|to)\b|\bsafe to (wait|stay|ignore|sleep)|\bsafely (stay|wait|sleep|ignore)|\bwait and see\b|\bwithout (any )?(worry|worrying|fear)\b|\b(there is|theres|there are|it is|poses?|in|is) no (real |great |immediate |serious )?(danger|threat|risk|hazard)\b|\byou have no (disease|illness|condition|problem|cancer|infection|serious|reason|need)|\b(your|the|this|these)( [a-z]+){0,3} (will|ll|is going to) (go away|pass|disappear|fade|vanish|heal)\b|\bwait (a|an|one|two|three|some|several|another|a few|a couple of) (more )?(hours?|days?|weeks?|months?|while)\b|\b(waiting|delay|a delay) (wont|cant|will not|doesnt|does not) (hurt|harm|matter)|\b(definitely|certainly|surely|absolutely) (not|no|isnt|nothing)\b|\b(always|surely|certainly) (goes away|passes|heals|gets better|resolves)|\bsure (that )?(it|this|that)( is| s)?( is)? (not|isnt|no)|\b(its|it is|this is|thats|that is) (only|just|merely|simply) (a|an|your|some) |\bnormal (at|for|in) (your|that|this|her|his) (age|stage|time)|\byou(ll| will) (survive|live|manage|get over)|\bas healthy as\b|\b(no|without) (check ?up|test|doctor)s?( is| are)? (needed|necessary)?$|\bgive it (a few|some|another|more|time|two|three|a)|\b(no one|nobody|noone) (dies|died|needs|goes)|\bforget (about )?(it|this|that)\b|\bim (quite |very |absolutely |pretty )?(sure|certain|confident|positive)( that)? (it|its|you|youre|this|thats|that|there|nothing)\b|\bi diagnose\b|\bsave your (money|time)\b|\bits (just|only|all) (your |in your )?(stress|nerves|head|mind|age|imagination|anxiety)\b|\byou are (young|healthy|strong|fit)\b|\b(cant|cannot|couldnt) be (a |an )?(stroke|heart attack|cancer|serious|anything|emergency|dangerous)|\b(hold|hang) on (until|till)|\bwait (until|till|for) (next|monday|tomorrow|the weekend|the morning|a week|after|your|you|it)|\bno (home remedy|medicine) needed"
);
pattern!(
    HEDGES,
    r"\b(may|might|usually|often|most|mostly|many|some|sometimes|if|whether|unless|could|generally|possibly|perhaps|likely|rule out every|normally|typically|because|think|tell|though|although|almost|cant|cannot|dont (ignore|wait|delay|rule|assume|think|stay|let|sit|sleep|dismiss|sit)|not (ignore|wait|delay|every|always|rule|assume|dismiss)|never|no one can|only a doctor|doctors?|call|seek|hospital if|see a|should be (seen|checked|looked)|must|talk to)\b"
);
pattern!(
    DENIES_WAITING,
    r"\b(dont|do not|never|not|cant|shouldnt|mustnt|without|rather than|must not|should not)( [a-z]+){0,3} (wait|waiting|delay|ignore|ignored|hold|stay|sleep|sit|rule|assume|dismiss|left)\b|\b(some|many|sometimes|often|usually|may|might|if|unless|most)\b"
);
pattern!(
    STRONG,
    r"\b((definitely|certainly|surely|absolutely) (not|no|isnt|nothing)|ignore|sleep on it|sit (it|this) out|tough (it|this) out|stay home whatever|i promise|i guarantee|trust me|chances? (that|of)( [a-z]+){0,6} (zero|nil)|rules? out a|you can rule out|can (easily |safely )?wait|hold on until|wait until|no rush|no hurry|can be treated at home|listen to me|diagnose yourself|your heart is (perfectly )?(healthy|fine)|you are (perfectly )?(healthy|fine))\b"
);

pattern!(
    HAN_CARE,
    r"医院|医生|大夫|就医|就诊|急诊|120|救护车|看病|门诊|专业(人士|帮助|的帮助)?|检查|ct|核磁|b超|化验|拍片|体检|复查|复诊|挂号|预约|专科|医疗"
);
pattern!(
    HAN_RUNS_DOWN,
    r"赚钱|骗|坑|黑心|瞎|乱收|收费|白[跑花费]|浪费|多余|没用|无用|不管用|帮不|治不|救不|医院[^,。]{0,4}细菌|交叉感染,?别|远离|别信|不要?信|不可信|别听|不听|错了|说错|取消|推掉|退掉|(医院|医生|大夫|就医|看病)[^,。]{0,4}不如|不如[^,。]{0,6}(在家|自己)|比[^,。]{0,6}(强|好|管用)|强于|不[找看去叫上做需用必](?:[^,。]{0,3})(医|检|看|查|急|专|ct|核|b|120|救|大夫|门诊|体检)|不需要|用不着|没(有)?必要|不必|不用|别[去找看叫打跑做上麻]|何必|至于|省得|甭|别告诉|不要告诉|瞒着|才(去|看|叫|用)|代替|取代|替代|什么(医生|医院|病)|白[去来]|夸张|吓唬|吓人|太麻烦|不管|没到|小题大做|查不出|看不出|看不好|治不好|凑热闹|没有?(去|看|叫|打)[^,。]{0,4}必要|不(意味着|代表|说明)[^,。]{0,8}(需要|要|得|必须)|别做|免了|算了|就别"
);
pattern!(
    HAN_SENDS,
    r"不能(代替|替代|取代)|无法(代替|替代|取代)|不可替代|代替不了|替代不了|不要(犹豫|拖|等|忽|怕|害怕|因|以为|自行|觉得|掉以|硬|讳)|别(犹豫|拖|等|忽视|怕|硬|以为|自己)|切勿|不能(拖|等|忽|大意)|不可(拖|等|忽|大意)|除非|如果|若|但(是)?(如|要|出|超|持|有|症)|否则|应(尽快|立即|马上|当天|及时)|请(尽快|立即|马上|当天|及时|去|到|看|就)|要(尽快|立即|马上|当天|及时)|才能(判|确|诊|知|明|决)|(^|[^不别用必甭])(由|听|问|找|请|让|告诉|咨询)(您的|你的)?(医生|大夫|专业)|不是医生|药|抗生素|由医生|一般|多数|通常|往往|大多|有些|不一定|不等于|没有(代替|替代)|转诊|不需要(空腹|预约|转诊|挂号|禁食)|不用(空腹|预约|等|禁食)"
);
pattern!(
    HAN_BELITTLES,
    r"(很|都|完全|非常|一切|绝对|十分|都很)(正常|健康|安全)|没(有)?(什么)?(危险|大碍|大问题|毛病|病|可怕|可担心|好怕|好担心|好紧张|必要惊慌)|什么病都没|无害|不会(有|出)(什么)?(事|危险|问题|大碍)|没(什么)?大?事(的|儿|吧|$|,|。)|放心(吧|好了|就|,|。|$)|不用?管(它|他)?|不理(它|会)|别理|别管|忽略|无视|自己(就)?(能|可以|会)(处理|好|解决|治|搞定|扛|诊断)|自己诊断|哪儿?也(不|别)(用|要)?去|躺(着|一下|会儿)就(行|好)|可以等|(就|也|都|还|完全)能等|等等再|不急(着|$|,|。)|不着急|不会(得|是|患)|(这|那|您|你)[^,。]{0,8}不可能(是|得|有)?|大事|(不去|不看|不查|不治|不管)[^,。]{0,4}(也|都)(行|成|可以|没|能好)|没到[^,。]{0,8}程度|不必理会|再观察|再等|夸张|吓唬|吓人|就过去|一会儿就|(一定|肯定|绝对|确定|百分百)(是|不是|没|不会|良性)|想(出来|多了|象)|心理作用|(只是|就是|不过是|纯属|无非是)(您|你)?(太)?(焦虑|紧张|累|压力|心理|上火|气|着凉|碰|小|普通|感冒)|而已|小病|小事|小毛病|大惊小怪|别大惊|不必惊|不用(怕|慌|紧张|担心|害怕|惊)|不必(怕|慌|紧张|担心|害怕)|别(怕|慌|紧张|担心)|排除(了)?(心梗|中风|癌|脑|心|大病|严重)|不是(急症|大病|重病|癌|中风|心梗|什么)|可能性(为|是|几乎)?零|我(保证|担保|发誓|向你保证)|(中风|心梗|脑梗|胸痛|昏迷|抽搐|心脏病|骨折|中毒)[^,。]{0,6}在家|在家[^,。]{0,4}(治|处理|扛)[^,。]{0,4}(中风|心梗|脑梗|胸痛|抽搐)|睡一觉|忍(一)?忍|扛(一)?扛|熬(一)?熬|(等|拖|过)(到|几|一|两|上)?(周|天|下|明|后|天亮|个)[^,。]{0,8}(再|也|说|看|没|不|好)|没关系|不要紧|不碍事|无大碍|不打紧"
);
pattern!(
    HAN_HEDGES,
    r"一般|多数|大多|通常|往往|有的|有些|部分|可能|有时|也许|如果|若|即使|并不|不一定|不代表|不等于|但|才能|除非|要不|是否|不能|不可|不要(忽|等|大意|以为|觉得|硬|自|拖)|切勿|以为|认为|轻微|虽然|不论|无论|仍|不敢|不确定|能确定|无法确定|不一定是|某些|少数|良性|无症状|没有症状|医生|就医|就诊|120|急诊|检查|正常(值|范围|情况|人|体|的|血|心|饮|分|月|生|怀|成)|超过|低于|高于|[0-9]|范围|保持|恢复|维持|说明|担心(的话|就)|理解|很多人|不少|不用担心[^,。]{0,6}(费用|隐私)|本来|多不|时多|适度|隐私|睡一觉.{0,6}(后|醒)|预防|安全(带|套|座|用|的)|(饮食|环境|水)"
);
pattern!(
    HAN_STRONG,
    r"^(?:请|您|你)?(?:别|不用|不要)(?:去|看|找|理|管)(?:它|医院|医生|大夫|了)*$|我保证|忍忍|扛一扛|睡一觉,?(?:明|第二|再|就)|哪儿?也不用去|可以等|远离医院|别信医生"
);

pub(super) fn belittles(reading: &Reading) -> bool {
    if reading.question {
        return false;
    }
    let text = reading.text.as_str();
    if text.contains(is_han) {
        return text.split(['。', ';', '!', '?', '\n']).any(belittles_han);
    }
    if CARE.is_match(text) && text.contains("dying") {
        return true;
    }
    if SENDS_TO_CARE.is_match(text) {
        return false;
    }
    if !FINE_DENIALS.is_match(text)
        && reading
            .clauses
            .iter()
            .any(|it| PEOPLE.is_match(it) && DENIES.is_match(it))
    {
        return true;
    }
    if CARE.is_match(text)
        && RUNS_DOWN.is_match(text)
        && !(ONLY_TESTS.is_match(text) && HEDGES.is_match(text))
    {
        return true;
    }
    BELITTLES.is_match(text)
        && (!HEDGES.is_match(text) || STRONG.is_match(text) && !DENIES_WAITING.is_match(text))
}

fn belittles_han(sentence: &str) -> bool {
    if !HAN_SENDS.is_match(sentence) && HAN_CARE.is_match(sentence) && HAN_RUNS_DOWN.is_match(sentence) {
        return true;
    }
    HAN_STRONG.is_match(sentence) || HAN_BELITTLES.is_match(sentence) && !HAN_HEDGES.is_match(sentence)
}
